"""Vectors of texts by an encoder whose token states are averaged (Reimers & Gurevych 2019, "Sentence-BERT"), and search with them."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import flambeau
from flambeau.base.errors import ArgumentError, ArgumentTypeError, FileFormatError, explain
from flambeau.base.files import read_json
from flambeau_text.locate import locate
from flambeau_text.models.auto import load_model
from flambeau_text.tokenize import Tokenizer, load_tokenizer

_POOLINGS = ("mean", "cls", "max")


class Embedder:
    """Texts to vectors.

    Args:
        model: an encoder, such as `BertModel`.
        tokenizer: its tokenizer.
        pooling: how the states of tokens become one vector: "mean" over tokens that are no padding, "cls" (the first), "max".
        normalize: whether vectors have length 1, so that a product of two is their cosine.
        max_length: texts are cut to this many tokens.
    """

    def __init__(self, model: Any, tokenizer: Tokenizer, *, pooling: str = "mean", normalize: bool = True, max_length: int = 256) -> None:
        if pooling not in _POOLINGS:
            raise ArgumentError(explain("Embedder", expected=f"a pooling of {', '.join(_POOLINGS)}", got=repr(pooling)))
        self.model, self.tokenizer = model.eval(), tokenizer
        self.pooling, self.normalize, self.max_length = pooling, normalize, max_length

    @classmethod
    def from_pretrained(cls, folder: str | os.PathLike[str], **options: Any) -> Embedder:
        """From a folder in the layout of sentence-transformers, or of any encoder; options replace what the files say."""
        base = locate(folder)
        found: dict[str, Any] = {"normalize": not (base / "modules.json").is_file() or _normalizes(base / "modules.json")}
        pooling = read_json(base / "1_Pooling" / "config.json", {})
        for name, key in (("cls", "pooling_mode_cls_token"), ("max", "pooling_mode_max_tokens"), ("mean", "pooling_mode_mean_tokens")):
            if pooling.get(key):
                found["pooling"] = name
        limit = read_json(base / "sentence_bert_config.json", {}).get("max_seq_length")
        if isinstance(limit, int):
            found["max_length"] = limit
        return cls(load_model(base, task="base"), load_tokenizer(base), **{**found, **options})

    def embed(self, texts: str | Sequence[str], *, batch_size: int = 32) -> np.ndarray[Any, Any]:
        """(n, E) float32 vectors of texts, or (E,) of one text. Texts of like length share a batch."""
        if isinstance(texts, str):
            return self.embed([texts])[0]
        texts = list(texts)
        encodings = self.tokenizer(texts, truncation=True, max_length=self.max_length)["input_ids"] if texts else []
        order = np.argsort([-len(ids) for ids in encodings], kind="stable")
        out = np.zeros((len(texts), self.model.config.hidden_size), np.float32)
        for start in range(0, len(order), batch_size):
            chosen = order[start : start + batch_size]
            batch = self.tokenizer(
                [texts[i] for i in chosen], padding=True, truncation=True, max_length=self.max_length, return_tensors="fb"
            )
            with flambeau.no_grad():
                hidden = self.model(**batch).last_hidden_state
                out[chosen] = self._pool(hidden, batch["attention_mask"]).numpy()
        return out

    def _pool(self, hidden: Any, mask: Any) -> Any:
        """(N, L, E) states and (N, L) mask -> (N, E)"""
        if self.pooling == "cls":
            pooled = hidden[:, 0]
        elif self.pooling == "max":
            pooled = hidden.masked_fill(mask[:, :, None] == 0, -1e9).amax(1)
        else:
            weights = mask[:, :, None].to(hidden.dtype)
            pooled = (hidden * weights).sum(1) / weights.sum(1).clamp(min=1e-9)
        return flambeau.nn.functional.normalize(pooled, dim=1) if self.normalize else pooled


class Search:
    """The texts nearest to a query.

    >>> class Lengths:  # any object with `embed` will do
    ...     def embed(self, texts):
    ...         return np.array([[len(text), 1.0] for text in texts], np.float32)
    >>> Search(Lengths(), ["a", "bbb", "cccccc"])("dddd", k=1)
    [('bbb', 0.997...)]
    """

    def __init__(self, embedder: Any, texts: Sequence[str]) -> None:
        if isinstance(texts, str):
            raise ArgumentTypeError(explain("Search", expected="a list of texts", got="one text"))
        self.embedder, self.texts = embedder, list(texts)
        self.vectors = _unit(embedder.embed(self.texts)) if self.texts else np.zeros((0, 1), np.float32)

    def __call__(self, query: str, k: int = 5) -> list[tuple[str, float]]:
        """(text, cosine) of the `k` nearest texts, the nearest first."""
        if not self.texts:
            return []
        scores = self.vectors @ _unit(self.embedder.embed([query]))[0]
        return [(self.texts[i], float(scores[i])) for i in np.argsort(-scores, kind="stable")[:k]]


def _unit(vectors: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)


def _normalizes(path: Path) -> bool:
    try:
        return any(str(step.get("type", "")).endswith("Normalize") for step in json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, AttributeError, TypeError) as error:
        raise FileFormatError(explain(f"read {path}", expected="a list of modules", got=str(error))) from None
