"""WordPiece (Schuster & Nakajima 2012; Devlin et al. 2018): the longest known beginning, then the longest continuation, and so on."""

from __future__ import annotations

from typing import Any

from flambeau.base.errors import FileFormatError, explain
from flambeau_text.tokenize.bpe import Token, checked_vocab
from flambeau_text.tokenize.components import field


class WordPiece:
    """The model of a JSON object {"type": "WordPiece", "vocab": {token: id}, "unk_token": "[UNK]", ...}.

    >>> WordPiece({"vocab": {"[UNK]": 0, "un": 1, "##do": 2}}).tokenize("undo")
    [(1, 'un', 0, 2), (2, '##do', 2, 4)]
    """

    def __init__(self, spec: dict[str, Any]) -> None:
        self.vocab = checked_vocab(spec)
        self.unk = field(spec, "unk_token", str, "[UNK]")
        self.prefix = field(spec, "continuing_subword_prefix", str, "##")
        self.longest_word = field(spec, "max_input_chars_per_word", int, 100)
        self.longest_token = max((len(token) for token in self.vocab), default=0)

    def tokenize(self, word: str) -> list[Token]:
        """The tokens of a word, or the unknown token for all of it."""
        tokens: list[Token] = []
        start = 0
        if len(word) > self.longest_word:
            return self._unknown(word)
        while start < len(word):
            prefix = self.prefix if start else ""
            for stop in range(min(len(word), start + self.longest_token), start, -1):
                name = prefix + word[start:stop]
                if name in self.vocab:
                    tokens.append((self.vocab[name], name, start, stop))
                    start = stop
                    break
            else:
                return self._unknown(word)
        return tokens

    def _unknown(self, word: str) -> list[Token]:
        if self.unk not in self.vocab:
            raise FileFormatError(explain("WordPiece", expected=f"the unknown token {self.unk!r} in the vocabulary", got="none"))
        return [(self.vocab[self.unk], self.unk, 0, len(word))]


class WordLevel:
    """The model of a JSON object {"type": "WordLevel", "vocab": {word: id}, "unk_token": ...}: a piece of text is a token.

    >>> WordLevel({"vocab": {"<unk>": 0, "hello": 1}, "unk_token": "<unk>"}).tokenize("hello")
    [(1, 'hello', 0, 5)]
    """

    def __init__(self, spec: dict[str, Any]) -> None:
        self.vocab = checked_vocab(spec)
        self.unk = field(spec, "unk_token", str, "<unk>")

    def tokenize(self, word: str) -> list[Token]:
        """The word's token, or the unknown one."""
        if word in self.vocab:
            return [(self.vocab[word], word, 0, len(word))]
        if self.unk not in self.vocab:
            raise FileFormatError(explain("WordLevel", expected=f"the unknown token {self.unk!r} in the vocabulary", got="none"))
        return [(self.vocab[self.unk], self.unk, 0, len(word))]
