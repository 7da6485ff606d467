"""Tokenizer: texts to ids and back, as a `tokenizer.json` says."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from flambeau.base.errors import ArgumentError, ArgumentTypeError, FileFormatError, explain
from flambeau.base.files import atomic_write
from flambeau_text.tokenize.added import AddedToken
from flambeau_text.tokenize.aligned import checked
from flambeau_text.tokenize.batch import Batch, collect
from flambeau_text.tokenize.components import field
from flambeau_text.tokenize.encoding import Encoding, pad_all
from flambeau_text.tokenize.engine import Text, engine_of, model_of

PathLike = str | os.PathLike[str]
_NO_TRUNCATION = 10**9


class Tokenizer:
    """Texts to ids and back.

    The Rust library `tokenizers` does the work where it is installed, else Python; the results are the same.

    Args:
        spec: the content of a `tokenizer.json`; `Tokenizer.from_file(path)` reads one, `load_tokenizer(folder)` a whole folder.
        special: what the special tokens are for: {"pad_token": "<pad>", "eos_token": "</s>", ...}.
        backend: "auto", "python" or "rust".
        config: the content of a `tokenizer_config.json` (`padding_side`, `model_max_length`, `chat_template`, ...).

    >>> spec = {"model": {"type": "WordLevel", "vocab": {"<unk>": 0, "good": 1, "day": 2}, "unk_token": "<unk>"}}
    >>> tokenizer = Tokenizer({**spec, "pre_tokenizer": {"type": "Whitespace"}})
    >>> encoding = tokenizer.encode("good day")
    >>> encoding.ids, encoding.offsets, tokenizer.decode(encoding.ids)
    ([1, 2], [(0, 4), (5, 8)], 'good day')
    """

    def __init__(
        self,
        spec: dict[str, Any],
        *,
        special: dict[str, str] | None = None,
        backend: str = "auto",
        config: dict[str, Any] | None = None,
    ) -> None:
        if not isinstance(spec, dict) or not isinstance(spec.get("model"), dict):
            raise FileFormatError(explain("tokenizer.json", expected="an object with a model", got=type(spec).__name__))
        self.spec: dict[str, Any] = {**_EMPTY, **spec}
        _check_lengths(self.spec)
        self.special = dict(special or {})
        self.config = dict(config or {})
        self.backend = backend
        self._build()

    def _build(self) -> None:
        self._engines: dict[str, Any] = {}
        self._vocab: dict[str, int] = dict(model_of(self.spec["model"]).vocab)
        self._added = [AddedToken.of(entry) for entry in field(self.spec, "added_tokens", list)]
        for token in self._added:
            self._vocab[token.content] = token.id
        self._tokens = {id_: token for token, id_ in self._vocab.items()}
        self._special_ids = {token.id for token in self._added if token.special}

    # -- files --------------------------------------------------------------------------------------------------------------------------
    @classmethod
    def from_file(cls, path: PathLike, **options: Any) -> Tokenizer:
        """Read a `tokenizer.json`. Raises FileFormatError when it is none."""
        return cls.from_str(Path(path).read_bytes(), **options)

    @classmethod
    def from_str(cls, text: str | bytes, **options: Any) -> Tokenizer:
        """From the content of a `tokenizer.json`."""
        try:
            spec = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise FileFormatError(explain("tokenizer.json", expected="JSON", got=str(error)[:200])) from None
        return cls(spec, **options)

    def to_str(self) -> str:
        """The content of a `tokenizer.json`."""
        return json.dumps(self.spec, ensure_ascii=False, indent=2)

    def save(self, path: PathLike) -> None:
        """Write a `tokenizer.json`, atomically."""
        with atomic_write(path) as file:
            file.write(self.to_str().encode())

    # -- the vocabulary -----------------------------------------------------------------------------------------------------------------
    @property
    def vocab(self) -> dict[str, int]:
        """{token: id}, added tokens too."""
        return dict(self._vocab)

    def __len__(self) -> int:
        return len(self._vocab)

    def token_to_id(self, token: str) -> int | None:
        """The id of a token, or None."""
        return self._vocab.get(token)

    def id_to_token(self, id_: int) -> str | None:
        """The token of an id, or None."""
        return self._tokens.get(id_)

    @property
    def special_tokens(self) -> list[str]:
        """The added tokens that are special: left out of decoded texts."""
        return [token.content for token in self._added if token.special]

    def add_tokens(self, tokens: Sequence[str], *, special: bool = False) -> int:
        """Add tokens that are found before the model sees the rest; returns how many are new to the vocabulary."""
        entries, new = list(self.spec["added_tokens"]), 0
        for token in tokens:
            if any(entry["content"] == token for entry in entries):
                continue
            id_ = self._vocab.get(token)
            if id_ is None:
                id_ = max(self._vocab.values(), default=-1) + 1 + new
                new += 1
            flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": not special, "special": special}
            entries.append({"id": id_, "content": token, **flags})
        self.spec = {**self.spec, "added_tokens": sorted(entries, key=lambda entry: entry["id"])}
        self._build()
        return new

    def special_id(self, name: str) -> int | None:
        """The id of a special token by its use, such as "eos_token"."""
        token = self.special.get(name)
        return None if token is None else self._vocab.get(token)

    # -- texts to ids -------------------------------------------------------------------------------------------------------------------
    def encode(self, text: Text, pair: Text | None = None, *, add_special_tokens: bool = True) -> Encoding:
        """The encoding of a text, or of a pair; a text may be a list of words. Padding and truncation are those of the file.

        Raises ArgumentError for text with lone surrogates.
        """
        return self.encode_batch([text if pair is None else (text, pair)], add_special_tokens=add_special_tokens)[0]

    def encode_batch(self, texts: Iterable[Any], *, add_special_tokens: bool = True) -> list[Encoding]:
        """The encodings of several texts, or of pairs given as tuples."""
        encodings = self._encode_all(texts, self.spec["truncation"], add_special_tokens)
        padding = self.spec["padding"]
        if padding is not None:
            strategy = padding["strategy"]
            self._pad(encodings, strategy["Fixed"] if isinstance(strategy, dict) else None, padding)
        return encodings

    def _encode_all(self, texts: Iterable[Any], truncation: dict[str, Any] | None, special: bool) -> list[Encoding]:
        key = json.dumps(truncation)
        if key not in self._engines:
            self._engines = {key: engine_of(self.spec, self.backend, truncation)}
        engine = self._engines[key]
        return [engine.encode(*(_checked(text), None if pair is None else _checked(pair)), special) for text, pair in map(_pair, texts)]

    @staticmethod
    def _pad(encodings: list[Encoding], length: int | None, padding: dict[str, Any]) -> None:
        pad_all(
            encodings,
            length=length,
            multiple=padding.get("pad_to_multiple_of"),
            id_=padding.get("pad_id", 0),
            type_id=padding.get("pad_type_id", 0),
            token=padding.get("pad_token", "[PAD]"),
            direction=padding.get("direction", "Right").lower(),
        )

    def __call__(
        self,
        text: Any,
        text_pair: Any = None,
        *,
        padding: bool | str = False,
        truncation: bool | str = False,
        max_length: int | None = None,
        stride: int = 0,
        add_special_tokens: bool = True,
        is_split_into_words: bool = False,
        return_tensors: str | None = None,
        pad_to_multiple_of: int | None = None,
        **returns: bool,
    ) -> Batch:
        """Texts to a batch for a model, with Hugging Face's arguments.

        Args:
            text, text_pair: a text, or a list of them.
            padding: True or "longest", "max_length", or False.
            truncation: True or "longest_first", "only_first", "only_second", or False.
            max_length: what texts are cut and padded to; the model's own length when absent.
            stride: how many tokens two parts of one text share, with `return_overflowing_tokens`.
            is_split_into_words: a text is a list of words.
            return_tensors: "fb" for tensors, "np" for arrays, None for lists.
            returns: `return_offsets_mapping`, `return_special_tokens_mask`, `return_token_type_ids`, `return_attention_mask`,
                `return_overflowing_tokens` (each part is a row; `overflow_to_sample_mapping` says of which text).
        """
        unknown = set(returns) - _RETURNS
        if unknown:
            raise ArgumentTypeError(explain("tokenizer", expected=f"arguments of {sorted(_RETURNS)}", got=str(sorted(unknown))))
        many = isinstance(text, (list, tuple)) and (not is_split_into_words or bool(text and isinstance(text[0], (list, tuple))))
        texts, pairs = (list(text), text_pair) if many else ([text], None if text_pair is None else [text_pair])
        if pairs is not None and len(pairs) != len(texts):
            raise ArgumentError(explain("tokenizer", expected=f"{len(texts)} second texts", got=str(len(pairs))))
        joined = texts if pairs is None else list(zip(texts, pairs, strict=True))
        limit = self.max_length if max_length is None else max_length
        encodings = self._encode_all(joined, _truncation(truncation, limit, stride, self.config), add_special_tokens)
        samples = list(range(len(encodings)))
        if returns.get("return_overflowing_tokens"):
            samples = [i for i, e in enumerate(encodings) for _ in range(1 + len(e.overflowing))]
            encodings = [part for e in encodings for part in (e, *e.overflowing)]
        if padding:
            if padding == "max_length" and limit is None:
                raise ArgumentError(explain("tokenizer", expected="a max_length for padding='max_length'", got="none"))
            self._pad(encodings, limit if padding == "max_length" else None, self._padding(pad_to_multiple_of))
        batch = collect(encodings, self._names(returns), return_tensors)
        if not many and return_tensors is None and not returns.get("return_overflowing_tokens"):
            single = Batch({name: rows[0] for name, rows in batch.items()})
            single.encodings = encodings
            return single
        if returns.get("return_overflowing_tokens"):
            batch["overflow_to_sample_mapping"] = samples
        return batch

    @property
    def max_length(self) -> int | None:
        """The longest text the model takes, in tokens, where the files say so."""
        limit = self.config.get("model_max_length")
        return int(limit) if isinstance(limit, (int, float)) and limit < _NO_TRUNCATION else None

    @property
    def has_type_ids(self) -> bool:
        """Whether pairs get different type ids."""
        return _has_type_ids(self.spec["post_processor"])

    def _names(self, returns: dict[str, bool]) -> list[str]:
        names = ["input_ids"]
        names += ["token_type_ids"] if returns.get("return_token_type_ids", self.has_type_ids) else []
        names += ["attention_mask"] if returns.get("return_attention_mask", True) else []
        names += ["special_tokens_mask"] if returns.get("return_special_tokens_mask") else []
        return names + (["offset_mapping"] if returns.get("return_offsets_mapping") else [])

    def _padding(self, multiple: int | None) -> dict[str, Any]:
        token = self.special.get("pad_token")
        if token is None and self.spec["padding"] is not None:
            return {**self.spec["padding"], "pad_to_multiple_of": multiple, "direction": self.config.get("padding_side", "right")}
        if token is None or token not in self._vocab:
            hint = 'tokenizer.special["pad_token"] = tokenizer.special["eos_token"]'
            raise ArgumentError(explain("padding", expected="a pad_token", got="a tokenizer without one", hint=hint))
        side = self.config.get("padding_side", "right")
        return {"pad_token": token, "pad_id": self._vocab[token], "pad_to_multiple_of": multiple, "direction": side}

    # -- ids to text --------------------------------------------------------------------------------------------------------------------
    def decode(self, ids: Any, *, skip_special_tokens: bool = True) -> str:
        """The text of ids: a list, an array or a tensor."""
        numbers = ids.tolist() if hasattr(ids, "tolist") else list(ids) if isinstance(ids, Iterable) else [ids]
        numbers = [numbers] if isinstance(numbers, int) else numbers
        if not all(isinstance(i, (int, np.integer)) for i in numbers):
            raise ArgumentTypeError(
                explain("decode", expected="ids of one text", got=repr(ids)[:80], hint="decode_batch for several texts")
            )
        skipped = self._special_ids if skip_special_tokens else ()
        tokens = [self._tokens[i] for i in numbers if i in self._tokens and i not in skipped]
        if not self._engines:
            self._engines = {"null": engine_of(self.spec, self.backend, None)}
        return str(next(iter(self._engines.values())).decode(tokens))

    def decode_batch(self, rows: Iterable[Any], *, skip_special_tokens: bool = True) -> list[str]:
        """The texts of several rows of ids."""
        return [self.decode(row, skip_special_tokens=skip_special_tokens) for row in rows]

    def __deepcopy__(self, memo: Any) -> Tokenizer:
        return Tokenizer(copy.deepcopy(self.spec), special=self.special, backend=self.backend, config=copy.deepcopy(self.config))

    def __repr__(self) -> str:
        return f"Tokenizer({self.spec['model'].get('type', 'model')}, {len(self)} tokens, {self.backend})"


_EMPTY: dict[str, Any] = {
    "version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None, "pre_tokenizer": None,
    "post_processor": None, "decoder": None,
}  # fmt: skip

_RETURNS = {
    "return_offsets_mapping", "return_special_tokens_mask", "return_token_type_ids", "return_attention_mask", "return_overflowing_tokens",
}  # fmt: skip


def _pair(text: Any) -> tuple[Any, Any]:
    return text if isinstance(text, tuple) and len(text) == 2 else (text, None)


def _checked(text: Any) -> Any:
    return [checked(word) for word in text] if isinstance(text, (list, tuple)) else checked(text)


def _truncation(wanted: bool | str, limit: int | None, stride: int, config: dict[str, Any]) -> dict[str, Any] | None:
    """The JSON object of a truncation."""
    if not wanted or limit is None:
        return None
    names = {"longest_first": "LongestFirst", "only_first": "OnlyFirst", "only_second": "OnlySecond"}
    strategy = "longest_first" if wanted is True else wanted
    if strategy not in names:
        raise ArgumentError(explain("tokenizer", expected=f"truncation of {', '.join(names)}", got=repr(wanted)))
    if not 0 <= stride < max(limit, 1):
        raise ArgumentError(explain("tokenizer", expected=f"a stride below max_length={limit}", got=str(stride)))
    side = str(config.get("truncation_side", "right")).capitalize()
    return {"direction": side, "max_length": limit, "strategy": names[strategy], "stride": stride}


def _check_lengths(spec: dict[str, Any]) -> None:
    """Raise FileFormatError for a truncation or a padding that makes no sense."""
    for name in ("truncation", "padding"):
        if spec[name] is not None:
            entry = field(spec, name, dict)
            if name == "truncation":
                field(entry, "max_length", int), field(entry, "strategy", str)
            elif isinstance(strategy := entry.get("strategy"), dict):
                field(strategy, "Fixed", int)
            elif strategy != "BatchLongest":
                raise FileFormatError(
                    explain("tokenizer.json", expected="a padding strategy, BatchLongest or Fixed", got=repr(strategy)[:100])
                )


def _has_type_ids(spec: Any) -> bool:
    if isinstance(spec, list):
        return any(map(_has_type_ids, spec))
    if isinstance(spec, dict):
        return spec.get("type") == "BertProcessing" or spec.get("type_id", 0) == 1 or any(map(_has_type_ids, spec.values()))
    return False
