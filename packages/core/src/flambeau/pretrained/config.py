"""Configurations of models: Hugging Face's names, defaults and `config.json`."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any, ClassVar

from flambeau.base.errors import ArgumentError, explain
from flambeau.base.files import atomic_write, read_json

_COMMON: dict[str, Any] = {
    "architectures": None, "is_encoder_decoder": False, "tie_word_embeddings": True, "use_cache": True, "output_attentions": False,
    "output_hidden_states": False, "problem_type": None, "initializer_range": 0.02, "pad_token_id": None, "bos_token_id": None,
    "eos_token_id": None, "decoder_start_token_id": None, "forced_eos_token_id": None, "forced_bos_token_id": None,
}  # fmt: skip


class Config:
    """The numbers that make a model; a subclass for each family has its defaults.

    Options that a family does not know are kept, so that a file is written as it was read.

    Attributes:
        model_type: the family, as `config.json` has it.
        defaults: the family's options.
        aliases: other names of options: {"hidden_size": "n_embd"}.
        divisible: (size, count) pairs of names; each size must be a multiple of its count.
        may_be_none: numbers that may be None although their default is not.
        may_be_zero: whole numbers that may be 0; others are at least 1.
    """

    model_type: ClassVar[str] = ""
    defaults: ClassVar[dict[str, Any]] = {}
    aliases: ClassVar[dict[str, str]] = {}
    divisible: ClassVar[tuple[tuple[str, str], ...]] = ()
    may_be_none: ClassVar[tuple[str, ...]] = ()
    may_be_zero: ClassVar[tuple[str, ...]] = ("type_vocab_size",)

    def __init__(self, **options: Any) -> None:
        options = {self.aliases.get(name, name): value for name, value in options.items() if name != "model_type"}
        labels = options.pop("num_labels", None)
        names = options.pop("id2label", None) or {i: f"LABEL_{i}" for i in range(2 if labels is None else labels)}
        options.pop("label2id", None)
        for name, value in {**_COMMON, **self.defaults, **options}.items():
            if hasattr(type(self), name):
                raise ArgumentError(explain(type(self).__name__, expected="names of options", got=f"{name!r}, which the class has itself"))
            setattr(self, name, list(value) if isinstance(value, tuple) else value)  # JSON has lists only
        try:
            self.id2label: dict[int, str] = {int(i): str(name) for i, name in names.items()}
        except (AttributeError, TypeError, ValueError):
            raise ArgumentError(explain(type(self).__name__, expected="id2label {number: name}", got=repr(names)[:100])) from None
        self.label2id = {name: i for i, name in self.id2label.items()}
        self.check()

    def __getattr__(self, name: str) -> Any:
        other = type(self).aliases.get(name)
        if other is None or name.startswith("__"):
            raise AttributeError(f"{type(self).__name__} has no option {name!r}")
        return getattr(self, other)

    @property
    def num_labels(self) -> int:
        """How many classes a classifier on this model tells apart."""
        return len(self.id2label)

    def check(self) -> None:
        """Raise ArgumentError for numbers that make no model."""
        for name, default in {"initializer_range": 0.02, **self.defaults}.items():
            value = getattr(self, name)
            whole = type(default) is int and not name.endswith("_id") and not (value is None and name in self.may_be_none)
            if whole and (not isinstance(value, int) or isinstance(value, bool) or value < (name not in self.may_be_zero)):
                raise ArgumentError(explain(f"{type(self).__name__}.{name}", expected="a positive int", got=repr(value)))
            if type(default) is float and not is_number(value):
                raise ArgumentError(explain(f"{type(self).__name__}.{name}", expected="a number", got=repr(value)[:80]))
        for size, count in self.divisible:
            if getattr(self, size) % getattr(self, count):
                got = f"{getattr(self, size)} and {getattr(self, count)}"
                raise ArgumentError(explain(type(self).__name__, expected=f"{size} to be a multiple of {count}", got=got))

    def to_dict(self) -> dict[str, Any]:
        """All options, for `config.json`."""
        options = {name: value for name, value in self.__dict__.items() if not name.startswith("_")}
        options["id2label"] = {str(i): name for i, name in self.id2label.items()}
        return {"model_type": self.model_type, **options}

    @classmethod
    def from_pretrained(cls, folder: str | os.PathLike[str]) -> Any:
        """From the `config.json` in a folder."""
        return cls(**read_json(Path(folder) / "config.json"))

    def save_pretrained(self, folder: str | os.PathLike[str]) -> None:
        """Write `config.json` into a folder."""
        Path(folder).mkdir(parents=True, exist_ok=True)
        with atomic_write(Path(folder) / "config.json") as file:
            file.write(json.dumps(self.to_dict(), indent=2, sort_keys=True, ensure_ascii=False).encode() + b"\n")

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.to_dict() == other.to_dict()

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({json.dumps(self.to_dict(), default=str)})"


def is_number(value: Any) -> bool:
    """Whether this is a finite number."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
