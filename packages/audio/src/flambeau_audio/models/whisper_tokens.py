"""Whisper's tokens as text, from the folder of a model. (Writing needs no more; `flambeau-text` has the whole tokenizer.)"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from flambeau.base.errors import ArgumentError, FileFormatError, explain
from flambeau.base.files import read_json
from flambeau.pretrained.byte_level import to_bytes
from flambeau.pretrained.places import locate


class WhisperTokenizer:
    """Token ids -> text.

    Args:
        vocab: token -> id, in the characters of byte-level BPE.
        added: id -> (text, whether it is special), such as (50257, ("<|endoftext|>", True)).

    >>> tokens = WhisperTokenizer({"ĠHi": 0, "Ã": 1, "©": 2}, {3: ("<|endoftext|>", True), 4: ("<|0.00|>", True), 5: ("<|1.00|>", True)})
    >>> tokens.decode([4, 0, 1, 2, 5, 3], skip_special_tokens=True)
    ' Hié'
    """

    def __init__(self, vocab: dict[str, int], added: dict[int, tuple[str, bool]]) -> None:
        self.words = {number: to_bytes(token) for token, number in vocab.items()}
        self.added = dict(added)
        quiet = self._special("<|notimestamps|>")
        self.times = quiet + 1 if quiet is not None else max([*self.words, *self.added], default=0) + 1

    @classmethod
    def from_pretrained(cls, path_or_id: str | os.PathLike[str]) -> WhisperTokenizer:
        """From `tokenizer.json`, or `vocab.json` and `added_tokens.json`, in a model's folder."""
        base = Path(locate(path_or_id, "flambeau_audio"))
        if (base / "tokenizer.json").is_file():
            found = read_json(base / "tokenizer.json")
            model = found.get("model")
            vocab = model.get("vocab") if isinstance(model, dict) else None
            added = {}
            for entry in found.get("added_tokens") or []:
                fine = isinstance(entry, dict) and isinstance(entry.get("id"), int) and isinstance(entry.get("content"), str)
                if not fine:
                    expected, got = "added_tokens with id and content", repr(entry)[:80]
                    raise FileFormatError(explain(f"{base / 'tokenizer.json'}", expected=expected, got=got))
                added[entry["id"]] = (entry["content"], bool(entry.get("special")))
        elif (base / "vocab.json").is_file():
            vocab = read_json(base / "vocab.json")
            added = {number: (text, True) for text, number in read_json(base / "added_tokens.json", {}).items()}
        else:
            raise ArgumentError(explain("WhisperTokenizer", expected=f"tokenizer.json or vocab.json in {base}", got="neither"))
        if not isinstance(vocab, dict) or not all(isinstance(number, int) for number in vocab.values()):
            raise FileFormatError(explain(f"tokenizer in {base}", expected="a vocab {token: number}", got=repr(vocab)[:80]))
        return cls(vocab, added)

    def decode(self, token_ids: Any, skip_special_tokens: bool = False, decode_with_timestamps: bool = False) -> str:
        """The text of ids (a list or a tensor).

        Args:
            token_ids: ids; those that stand for nothing are left out.
            skip_special_tokens: leave special tokens out, and the text before that a prompt repeats (`<|startofprev|>`).
            decode_with_timestamps: write times as `<|1.20|>`; they are left out otherwise.
        """
        text, run = [], bytearray()
        ids = list(token_ids.tolist() if hasattr(token_ids, "tolist") else token_ids)
        for number in self._without_prompt(ids) if skip_special_tokens else ids:
            is_time = number >= self.times
            if number in self.words and number not in self.added:
                run += self.words[number]
                continue
            text.append(run.decode("utf-8", "replace"))
            run.clear()
            if is_time and decode_with_timestamps:
                text.append(f"<|{(number - self.times) * 0.02:.2f}|>")
            elif number in self.added and not is_time and not (skip_special_tokens and self.added[number][1]):
                text.append(self.added[number][0])
        text.append(run.decode("utf-8", "replace"))
        return "".join(text)

    def _without_prompt(self, ids: list[int]) -> list[int]:
        before, start = (self._special(f"<|{name}|>") for name in ("startofprev", "startoftranscript"))
        if not ids or ids[0] != before:
            return ids
        return ids[ids.index(start) :] if start in ids else []

    def _special(self, text: str) -> int | None:
        return next((number for number, (known, _) in self.added.items() if known == text), None)

    def batch_decode(self, sequences: Iterable[Any], **options: Any) -> list[str]:
        """The texts of several rows of ids."""
        return [self.decode(row, **options) for row in sequences]
