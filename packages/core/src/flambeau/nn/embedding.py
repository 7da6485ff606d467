"""Tables of vectors that integers look up."""

from __future__ import annotations

from typing import Any

from flambeau.autograd.modes import no_grad
from flambeau.base.errors import ArgumentError, ShapeError, explain
from flambeau.nn import functional as F
from flambeau.nn import init
from flambeau.nn.module import Module
from flambeau.nn.parameter import Parameter, blank
from flambeau.tensor.tensor import Tensor


class _Table(Module):
    """`weight` (num_embeddings, embedding_dim), standard normal at first, the row `padding_idx` 0."""

    num_embeddings: int
    embedding_dim: int
    padding_idx: int | None

    def _make_table(self, rows: int, columns: int, padding_idx: int | None, given: Tensor | None, device: Any, dtype: Any) -> None:
        op = type(self).__name__
        if padding_idx is not None and not -rows <= padding_idx < rows:
            raise ArgumentError(explain(op, expected=f"padding_idx within {rows} rows", got=str(padding_idx)))
        self.num_embeddings, self.embedding_dim = rows, columns
        self.padding_idx = None if padding_idx is None else padding_idx % rows
        if given is not None and tuple(given.shape) != (rows, columns):
            raise ShapeError(explain(op, expected=f"a weight of shape {(rows, columns)}", got=str(tuple(given.shape))))
        self.weight = Parameter(given) if given is not None else blank(rows, columns, device=device, dtype=dtype)
        if given is None:
            self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new vectors."""
        init.normal_(self.weight)
        if self.padding_idx is not None:
            with no_grad():
                self.weight[self.padding_idx] = 0

    @classmethod
    def _pretrained(cls, embeddings: Tensor, freeze: bool, **settings: Any) -> Any:
        if embeddings.dim() != 2:
            raise ShapeError(explain(f"{cls.__name__}.from_pretrained", expected="a matrix", got=str(tuple(embeddings.shape))))
        made: Any = cls(*embeddings.shape, _weight=embeddings, **settings)  # type: ignore[call-arg]
        made.weight.requires_grad_(not freeze)
        return made


class Embedding(_Table):
    """Looks up rows: integers of any shape to that shape plus (embedding_dim).

    `padding_idx` is a row that is not learnt; `max_norm` rescales the rows that are looked up to that norm at most.

    >>> import flambeau as fb
    >>> fb.nn.Embedding(10, 3)(fb.tensor([[1, 2], [4, 3]])).shape
    flambeau.Size([2, 2, 3])
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
        _weight: Tensor | None = None,
        _freeze: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.max_norm, self.norm_type, self.scale_grad_by_freq, self.sparse = max_norm, norm_type, scale_grad_by_freq, sparse
        self._make_table(num_embeddings, embedding_dim, padding_idx, _weight, device, dtype)
        if _freeze:
            self.weight.requires_grad_(False)

    @classmethod
    def from_pretrained(cls, embeddings: Tensor, freeze: bool = True, padding_idx: int | None = None, **settings: Any) -> Any:
        """A table with the given rows, which are not learnt unless `freeze=False`; `settings` are those of the class.

        >>> import flambeau as fb
        >>> fb.nn.Embedding.from_pretrained(fb.tensor([[1.0, 2.0], [3.0, 4.0]]))(fb.tensor(1))
        tensor([3., 4.])
        """
        return cls._pretrained(embeddings, freeze, padding_idx=padding_idx, **settings)

    def forward(self, input: Tensor) -> Tensor:
        return F.embedding(input, self.weight, self.padding_idx, self.max_norm, self.norm_type, self.scale_grad_by_freq, self.sparse)

    def extra_repr(self) -> str:
        text = f"{self.num_embeddings}, {self.embedding_dim}"
        defaults = {"padding_idx": None, "max_norm": None, "norm_type": 2, "scale_grad_by_freq": False}
        for name, default in defaults.items():
            if getattr(self, name) != default:
                text += f", {name}={getattr(self, name)}"
        return text + (", sparse=True" if self.sparse else "")


class EmbeddingBag(_Table):
    """Looks up rows and reduces each bag of them: `mode` sum, mean or max.

    A bag is a row of a 2-d input, or the part of a 1-d input from one of `offsets` to the next.
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        mode: str = "mean",
        sparse: bool = False,
        _weight: Tensor | None = None,
        include_last_offset: bool = False,
        padding_idx: int | None = None,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.max_norm, self.norm_type, self.scale_grad_by_freq, self.sparse = max_norm, norm_type, scale_grad_by_freq, sparse
        self.mode, self.include_last_offset = mode, include_last_offset
        self._make_table(num_embeddings, embedding_dim, padding_idx, _weight, device, dtype)

    @classmethod
    def from_pretrained(cls, embeddings: Tensor, freeze: bool = True, max_norm: float | None = None, **settings: Any) -> Any:
        """A table with the given rows, which are not learnt unless `freeze=False`; `settings` are those of the class."""
        return cls._pretrained(embeddings, freeze, max_norm=max_norm, **settings)

    def forward(self, input: Tensor, offsets: Tensor | None = None, per_sample_weights: Tensor | None = None) -> Tensor:
        return F.embedding_bag(
            input,
            self.weight,
            offsets,
            self.max_norm,
            self.norm_type,
            self.scale_grad_by_freq,
            self.mode,
            self.sparse,
            per_sample_weights,
            self.include_last_offset,
            self.padding_idx,
        )

    def extra_repr(self) -> str:
        text = f"{self.num_embeddings}, {self.embedding_dim}"
        for name, default in {"max_norm": None, "norm_type": 2, "scale_grad_by_freq": False}.items():
            if getattr(self, name) != default:
                text += f", {name}={getattr(self, name)}"
        text += f", mode={self.mode!r}"
        return text + (f", padding_idx={self.padding_idx}" if self.padding_idx is not None else "")
