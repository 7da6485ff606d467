"""How texts are generated: Hugging Face's names and defaults, and `generation_config.json`."""

from __future__ import annotations

import os
from dataclasses import dataclass, fields, replace
from numbers import Integral, Real
from pathlib import Path
from typing import Any

from flambeau.base.errors import ArgumentError, ArgumentTypeError, FileFormatError, did_you_mean, explain
from flambeau.base.files import read_json


@dataclass(frozen=True)
class GenerationConfig:
    """Settings of `generate`.

    Attributes:
        max_new_tokens: how many tokens are added at most; without it, `max_length` counts the prompt too.
        max_length: the longest text in tokens.
        min_new_tokens: how many tokens are added at least; `min_length` counts the prompt too.
        do_sample: draw tokens; else take the most probable.
        num_beams: how many texts are followed at once (beam search).
        num_return_sequences: how many results each prompt gets.
        temperature: below 1 favours probable tokens, above 1 the others.
        top_k: draw from this many tokens; 0 for all.
        top_p: draw from the smallest set with this share of the probability.
        min_p: draw from tokens with at least this share of the best one's probability.
        repetition_penalty: above 1 makes tokens that have occurred less probable (Keskar et al. 2019).
        no_repeat_ngram_size: no sequence of this many tokens occurs twice; 0 for no limit.
        length_penalty: beams are compared by score / length ** this.
        early_stopping: when beam search ends: True as soon as enough texts are complete, False by a heuristic, "never" when no better
            one is possible.
        bos_token_id, eos_token_id, pad_token_id, decoder_start_token_id: special tokens; several ids may end a text.
        forced_bos_token_id, forced_eos_token_id: what comes first, and what comes last at the greatest length.
        bad_words_ids: tokens and sequences of tokens that never occur, as [[id, ...], ...].
        use_cache: keep keys and values of earlier tokens.
        cache_implementation: "dynamic", or "static" for a cache of fixed size whose steps are compiled.
    """

    max_new_tokens: int | None = None
    max_length: int = 20
    min_new_tokens: int = 0
    min_length: int = 0
    do_sample: bool = False
    num_beams: int = 1
    num_return_sequences: int = 1
    temperature: float = 1.0
    top_k: int = 50
    top_p: float = 1.0
    min_p: float | None = None
    repetition_penalty: float = 1.0
    no_repeat_ngram_size: int = 0
    length_penalty: float = 1.0
    early_stopping: bool | str = False
    bos_token_id: int | None = None
    eos_token_id: int | list[int] | None = None
    pad_token_id: int | None = None
    decoder_start_token_id: int | None = None
    forced_bos_token_id: int | None = None
    forced_eos_token_id: int | None = None
    bad_words_ids: list[list[int]] | None = None
    use_cache: bool = True
    cache_implementation: str = "dynamic"

    def __post_init__(self) -> None:
        for name, kind in (*((name, Integral) for name in _COUNTS), *((name, Real) for name in _NUMBERS)):
            value = getattr(self, name)
            if not (isinstance(value, kind) or (value is None and name in ("max_new_tokens", "min_p"))):
                expected = f"{name}, {'a whole number' if kind is Integral else 'a number'}"
                raise ArgumentTypeError(explain("generate", expected=expected, got=repr(value)[:80]))
        rules = {
            "max_new_tokens": self.max_new_tokens is None or self.max_new_tokens >= 0,
            "num_beams": self.num_beams >= 1,
            "num_return_sequences": self.num_return_sequences >= 1,
            "temperature": self.temperature > 0,
            "top_k": self.top_k >= 0,
            "top_p": 0 < self.top_p <= 1,
            "min_p": self.min_p is None or 0 <= self.min_p <= 1,
            "repetition_penalty": self.repetition_penalty > 0,
            "bad_words_ids": _sequences(self.bad_words_ids or []),
            "early_stopping": self.early_stopping in (True, False, "never"),
            "cache_implementation": self.cache_implementation in ("dynamic", "static"),
        }
        for name, fine in rules.items():
            if not fine:
                raise ArgumentError(explain("generate", expected=f"a {name} that makes sense", got=repr(getattr(self, name))))
        if self.num_return_sequences > self.num_beams and not self.do_sample:
            got = f"{self.num_return_sequences} for num_beams={self.num_beams}"
            raise ArgumentError(explain("generate", expected="num_return_sequences of at most num_beams, without sampling", got=got))

    @property
    def ends(self) -> list[int]:
        """The ids that end a text."""
        found = self.eos_token_id
        return [] if found is None else [found] if isinstance(found, int) else list(found)

    def update(self, **options: Any) -> GenerationConfig:
        """With other settings. Raises ArgumentTypeError for a name that is none."""
        known = {field.name for field in fields(self)}
        for name in options:
            if name not in known:
                hint = did_you_mean(name, known) or "the names of GenerationConfig"
                raise ArgumentTypeError(explain("generate", expected="a known setting", got=repr(name), hint=hint))
        return replace(self, **options)

    @classmethod
    def of(cls, model: Any) -> GenerationConfig:
        """A model's settings: those of its folder, else what its configuration says of special tokens."""
        own = getattr(model, "generation_config", None)
        if own is not None:
            return own
        return cls(**_known({name: getattr(model.config, name, None) for name in _TOKENS}))

    @classmethod
    def from_pretrained(cls, folder: str | os.PathLike[str]) -> GenerationConfig:
        """From a folder's `generation_config.json`, else its `config.json`; what is not a setting here is left out."""
        base = Path(folder)
        options = _known({**read_json(base / "config.json", {}), **read_json(base / "generation_config.json", {})})
        try:
            return cls(**options)
        except TypeError as error:
            raise FileFormatError(explain(f"generation settings in {base}", expected="numbers", got=str(error))) from None


_COUNTS = (
    "max_new_tokens", "max_length", "min_new_tokens", "min_length", "num_beams", "num_return_sequences", "top_k", "no_repeat_ngram_size",
)  # fmt: skip
_NUMBERS = ("temperature", "top_p", "min_p", "repetition_penalty", "length_penalty")


def _sequences(words: Any) -> bool:
    """Whether this is a list of lists of ids, none of them empty."""
    whole = isinstance(words, (list, tuple)) and all(isinstance(word, (list, tuple)) and word for word in words)
    return whole and all(isinstance(token, Integral) and int(token) >= 0 for word in words for token in word)


_TOKENS = (
    "bos_token_id", "eos_token_id", "pad_token_id", "decoder_start_token_id", "forced_bos_token_id", "forced_eos_token_id",
)  # fmt: skip


def _known(options: dict[str, Any]) -> dict[str, Any]:
    names = {field.name for field in fields(GenerationConfig)} - {"cache_implementation"}
    return {name: value for name, value in options.items() if name in names and value is not None}
