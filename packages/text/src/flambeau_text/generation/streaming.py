"""Text as it is generated: pieces that are whole characters, and strings that end it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from flambeau.base.errors import ArgumentError, explain
from flambeau_text.tokenize import Tokenizer


class TextStreamer:
    """Prints (or hands to `write`) a text while its tokens come; for `generate(..., streamer=...)`.

    Tokens that are part of a character wait for the rest of it.
    """

    def __init__(self, tokenizer: Tokenizer, write: Callable[[str], Any] | None = None, *, skip_prompt: bool = False) -> None:
        self.tokenizer, self.skip_prompt = tokenizer, skip_prompt
        self.write = write if write is not None else lambda piece: print(piece, end="", flush=True)
        self.ids: list[int] = []
        self.shown = 0
        self.begun = False

    def put(self, ids: Sequence[int]) -> None:
        """Take the ids of the prompt, then those of each new token."""
        first, self.begun = not self.begun, True
        self.ids += [int(i) for i in ids]
        if first and self.skip_prompt:
            self.shown = len(self.tokenizer.decode(self.ids))
            return
        text = self.tokenizer.decode(self.ids)
        if text.endswith("\ufffd"):
            return  # the middle of a character
        self._show(text)

    def end(self) -> None:
        """Show what is left; the streamer can be used again."""
        self._show(self.tokenizer.decode(self.ids))
        self.ids, self.shown, self.begun = [], 0, False

    def _show(self, text: str) -> None:
        if len(text) > self.shown:
            self.write(text[self.shown :])
            self.shown = len(text)


class StopStrings:
    """Whether one of some strings has occurred in what was generated."""

    def __init__(self, tokenizer: Tokenizer, strings: Sequence[str]) -> None:
        self.tokenizer, self.strings = tokenizer, [strings] if isinstance(strings, str) else list(strings)
        if not all(isinstance(string, str) and string for string in self.strings):
            raise ArgumentError(explain("generate", expected="stop_strings, texts that are not empty", got=repr(strings)[:80]))

    def __call__(self, new_ids: Sequence[int]) -> bool:
        """Whether the text of these ids has one of the strings, with something of it in the last token."""
        text = self.tokenizer.decode(list(new_ids))
        return any(string in text for string in self.strings)

    def cut(self, text: str) -> str:
        """The text up to the first of the strings."""
        places = [text.find(string) for string in self.strings if string in text]
        return text[: min(places)] if places else text
