"""Weights = address + checksum + preprocessing + what is known about them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from flambeau.base.errors import ArgumentError, explain
from flambeau.base.registry import load_target
from flambeau.hub.cache import check_sha256
from flambeau.hub.download import fetch

REQUIRED_META = ("num_params", "metrics", "recipe", "licence")


@dataclass(frozen=True)
class Weights:
    """One set of pretrained weights.

    Attributes:
        url: where the file is (`https://`, `http://`, `file://`, or a scheme that a plugin fetches).
        sha256: the file's checksum, 64 hexadecimal digits; checked when it is downloaded and each time it is opened. PyTorch's
            checkpoints state the first 8 digits, in their names; then these are what is checked.
        preprocess: place of a class or function that makes the preprocessing, "package.module:attr", or "" when there is none.
        options: what `preprocess` is called with.
        meta: what is known: `num_params` (a count), `metrics` (dataset -> metric -> number), `recipe` (how they were made, a link or a
            name), `licence` (an SPDX identifier), and whatever else helps, such as `categories`.
        size: the file's size in bytes, when known: nothing larger is downloaded.

    >>> weights = Weights(
    ...     "https://example.org/net.safetensors",
    ...     "ab" * 32,
    ...     "decimal:Context",
    ...     {"num_params": 10, "metrics": {"digits": {"accuracy": 99.0}}, "recipe": "digits", "licence": "Apache-2.0"},
    ... )
    >>> weights.transforms(prec=3).prec
    3
    """

    url: str
    sha256: str
    preprocess: str = ""
    options: Mapping[str, Any] = field(default_factory=dict, hash=False, kw_only=True)
    meta: Mapping[str, Any] = field(default_factory=dict, hash=False)
    size: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "sha256", check_sha256(self.sha256, self.url))
        absent = [key for key in REQUIRED_META if key not in self.meta]
        if absent:
            raise ArgumentError(explain(f"weights {self.url}", expected=f"meta with {', '.join(REQUIRED_META)}", got=f"none of {absent}"))
        for name in ("meta", "options"):
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))

    def path(self, progress: Callable[[int, int | None], None] | bool = False) -> Path:
        """A checked local copy, downloaded at most once. Raises DownloadError, or OfflineError when switched offline."""
        return fetch(self.url, self.sha256, size=self.size, progress=progress)

    def transforms(self, **options: Any) -> Any:
        """The preprocessing that these weights were trained with, made by calling the place `preprocess`.

        `options` add to the options of these weights, or replace them.
        """
        if not self.preprocess:
            raise ArgumentError(explain(f"weights {self.url}", expected="a preprocessing", got="weights without one"))
        return load_target(self.preprocess, f"preprocessing of {self.url}")(**{**self.options, **options})
