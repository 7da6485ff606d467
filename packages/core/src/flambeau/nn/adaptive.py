"""Adaptive softmax: cheap output layers for many classes of which few are frequent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from flambeau.base.errors import ArgumentError, IndexingError, ShapeError, explain
from flambeau.nn import functional as F
from flambeau.nn.container import ModuleList, Sequential
from flambeau.nn.linear import Linear
from flambeau.nn.module import Module
from flambeau.ops.joining import cat
from flambeau.ops.pointwise import logical_and, where
from flambeau.tensor.tensor import Tensor


class ASMoutput(NamedTuple):
    """Log-probabilities of the targets, and minus their mean."""

    output: Tensor
    loss: Tensor


class AdaptiveLogSoftmaxWithLoss(Module):
    """Grave et al. 2017: classes sorted by falling frequency, in clusters that begin at `cutoffs`; rare clusters get a projection to
    `in_features / div_value**i` features, and work is done only for the clusters that occur.

    Takes features (N, in_features) and class numbers (N), or one sample; gives (log-probabilities of the targets, mean loss).
    """

    def __init__(
        self,
        in_features: int,
        n_classes: int,
        cutoffs: Sequence[int],
        div_value: float = 4.0,
        head_bias: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        cuts = list(cutoffs)
        if not cuts or cuts != sorted(set(cuts)) or cuts[0] <= 0 or cuts[-1] > n_classes - 1 or any(int(c) != c for c in cuts):
            expected = f"cutoffs that rise between 1 and {n_classes - 1}"
            raise ArgumentError(explain("AdaptiveLogSoftmaxWithLoss", expected=expected, got=str(cuts)))
        self.in_features, self.n_classes, self.cutoffs = in_features, n_classes, [*cuts, n_classes]
        self.div_value, self.head_bias = div_value, head_bias
        self.shortlist_size, self.n_clusters = cuts[0], len(cuts)
        self.head_size = self.shortlist_size + self.n_clusters
        self.head = Linear(in_features, self.head_size, bias=head_bias, device=device, dtype=dtype)
        self.tail = ModuleList()
        for i in range(self.n_clusters):
            hidden = int(in_features // div_value ** (i + 1))
            size = self.cutoffs[i + 1] - self.cutoffs[i]
            first = Linear(in_features, hidden, bias=False, device=device, dtype=dtype)
            self.tail.append(Sequential(first, Linear(hidden, size, bias=False, device=device, dtype=dtype)))

    def reset_parameters(self) -> None:
        """Draw new initial values."""
        self.head.reset_parameters()
        for first, second in self.tail:
            first.reset_parameters()
            second.reset_parameters()

    def forward(self, input: Any, target: Any) -> ASMoutput:
        """Log-probabilities of the targets and the loss."""
        if target.dim() > 1 or input.dim() != target.dim() + 1 or input.shape[:-1] != target.shape:
            got = f"{tuple(input.shape)} and {tuple(target.shape)}"
            raise ShapeError(explain("AdaptiveLogSoftmaxWithLoss", expected="(N, in_features) and (N), or (in_features) and ()", got=got))
        x, y = (input, target) if target.dim() else (input.unsqueeze(0), target.unsqueeze(0))
        if y.numel() and (int(y.min()) < 0 or int(y.max()) >= self.n_classes):
            got = f"values from {int(y.min())} to {int(y.max())}"
            raise IndexingError(explain("AdaptiveLogSoftmaxWithLoss", expected=f"classes below {self.n_classes}", got=got))
        in_head = y
        output = x.new_zeros(y.shape)
        for i, (low, high) in enumerate(zip(self.cutoffs[:-1], self.cutoffs[1:], strict=True)):
            inside = logical_and(y >= low, y < high)
            rows: Any = inside.nonzero().squeeze(1)
            if rows.numel():
                found: Any = F.log_softmax(self.tail[i](x.index_select(0, rows)), dim=1)
                chosen = found.gather(1, (y.index_select(0, rows) - low).unsqueeze(1)).squeeze(1)
                output = output.index_add(0, rows, chosen)
                in_head = where(inside, self.shortlist_size + i, in_head)
        head: Any = F.log_softmax(self.head(x), dim=1)
        output = output + head.gather(1, in_head.unsqueeze(1)).squeeze(1)
        loss = (-output).mean()
        return ASMoutput(output if target.dim() else output.squeeze(0), loss)

    def log_prob(self, input: Any) -> Tensor:
        """Log-probabilities of all classes: (N, n_classes)."""
        head: Any = F.log_softmax(self.head(input), dim=1)
        parts = [head[:, : self.shortlist_size]]
        for i in range(self.n_clusters):
            cluster: Any = F.log_softmax(self.tail[i](input), dim=1)
            parts.append(cluster + head[:, self.shortlist_size + i].unsqueeze(1))
        return cat(parts, dim=1)

    def predict(self, input: Any) -> Tensor:
        """The most probable class of every sample: (N); clusters are looked into only for the samples whose head points there."""
        best = self.head(input).argmax(dim=1)
        rows: Any = (best >= self.shortlist_size).nonzero().squeeze(1)
        if rows.numel():
            full: Any = self.log_prob(input.index_select(0, rows))
            best = best.index_copy(0, rows, full.argmax(dim=1))
        return best
