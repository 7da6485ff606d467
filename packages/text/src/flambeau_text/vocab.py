"""Vocab: tokens to numbers and back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from flambeau.base.errors import ArgumentError, NameNotFound, did_you_mean, explain


class Vocab:
    """Tokens in the order of their numbers.

    Args:
        tokens: the tokens, each once.
        default_index: the number of tokens that are not there; without it they are an error.

    >>> vocab = Vocab(["<unk>", "a", "b"], default_index=0)
    >>> vocab(["b", "z"]), vocab["a"], vocab.lookup_tokens([1, 2]), "z" in vocab
    ([2, 0], 1, ['a', 'b'], False)
    """

    def __init__(self, tokens: Iterable[str], default_index: int | None = None) -> None:
        self._tokens = list(tokens)
        self._numbers = {token: i for i, token in enumerate(self._tokens)}
        if len(self._numbers) != len(self._tokens):
            twice = next(token for token, count in Counter(self._tokens).items() if count > 1)
            raise ArgumentError(explain("Vocab", expected="each token once", got=f"{twice!r} twice"))
        self.set_default_index(default_index)

    def set_default_index(self, index: int | None) -> None:
        """The number of tokens that are not there."""
        if index is not None and not 0 <= index < len(self._tokens):
            raise ArgumentError(explain("Vocab", expected=f"a default_index below {len(self._tokens)}", got=str(index)))
        self.default_index = index

    def __len__(self) -> int:
        return len(self._tokens)

    def __contains__(self, token: str) -> bool:
        return token in self._numbers

    def __getitem__(self, token: str) -> int:
        number = self._numbers.get(token, self.default_index)
        if number is None:
            hint = did_you_mean(token, self._tokens) or "a default_index"
            raise NameNotFound(explain("Vocab", expected="a token that is there", got=repr(token), hint=hint))
        return number

    def __call__(self, tokens: Iterable[str]) -> list[int]:
        return [self[token] for token in tokens]

    lookup_indices = __call__

    def lookup_token(self, index: int) -> str:
        """The token of a number."""
        return self._tokens[index]

    def lookup_tokens(self, indices: Iterable[int]) -> list[str]:
        """The tokens of numbers."""
        return [self._tokens[int(i)] for i in indices]

    def get_itos(self) -> list[str]:
        """All tokens, in order."""
        return list(self._tokens)

    def get_stoi(self) -> dict[str, int]:
        """{token: number}"""
        return dict(self._numbers)

    def append_token(self, token: str) -> None:
        """Add a token with the next number."""
        if token in self._numbers:
            raise ArgumentError(explain("Vocab", expected="a token that is not there", got=repr(token)))
        self._numbers[token] = len(self._tokens)
        self._tokens.append(token)


def build_vocab_from_iterator(
    iterator: Iterable[Iterable[str]],
    min_freq: int = 1,
    specials: Sequence[str] = (),
    special_first: bool = True,
    max_tokens: int | None = None,
) -> Vocab:
    """A Vocab of the tokens that an iterator over texts gives, the most frequent first, equals in the order of the alphabet.

    Args:
        iterator: gives the tokens of each text.
        min_freq: how often a token must occur.
        specials: tokens that are added, with the first or (special_first=False) the last numbers.
        max_tokens: the most tokens, special ones included.

    >>> build_vocab_from_iterator([["b", "a"], ["a"]], specials=["<unk>"]).get_itos()
    ['<unk>', 'a', 'b']
    """
    counts: Counter[str] = Counter()
    for tokens in iterator:
        counts.update(tokens)
    ranked = sorted((entry for entry in counts.items() if entry[0] not in specials), key=lambda entry: (-entry[1], entry[0]))
    kept = [token for token, count in ranked if count >= min_freq]
    if max_tokens is not None:
        kept = kept[: max(0, max_tokens - len(specials))]
    return Vocab([*specials, *kept] if special_first else [*kept, *specials])
