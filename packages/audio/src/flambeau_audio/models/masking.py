"""Random choices of training speech models, made by tensor operations: spans that are hidden, and examples that are wrong."""

from __future__ import annotations

from typing import Any

import flambeau
from flambeau.base.errors import ArgumentError, explain


def mask_spans(
    shape: tuple[int, int],
    mask_prob: float,
    mask_length: int,
    min_masks: int = 0,
    lengths: Any = None,
    *,
    generator: Any = None,
    device: Any = None,
) -> Any:
    """Spans to hide, as SpecAugment (Park et al. 2019) and wav2vec 2.0 do: bools (N, T).

    Each row has `mask_prob * length / mask_length` spans, rounded at random but alike for all rows, that begin at different places; they
    may overlap, so `mask_prob` is the most that is hidden.

    Args:
        shape: (N, T).
        mask_prob: share of a row that is hidden.
        mask_length: the length of a span.
        min_masks: spans that each row has at least, where it is long enough.
        lengths: (N,) how much of each row counts; all of it when absent.
        generator: of the random numbers.

    >>> _ = flambeau.manual_seed(0)
    >>> mask_spans((2, 20), 0.5, 5).sum(1).max().item() <= 10
    True
    """
    count, length = shape
    if not 1 <= mask_length <= length:
        raise ArgumentError(explain("mask_spans", expected=f"a mask_length from 1 to the length {length}", got=str(mask_length)))
    random = {"generator": generator, "device": device}
    if lengths is None:
        lengths = flambeau.full((count,), length, dtype=flambeau.int64, device=device)
    most = min(max(int(mask_prob * length / mask_length + 1), min_masks), length // mask_length)
    if most == 0:
        return flambeau.zeros(count, length, dtype=flambeau.bool, device=device)
    spans = (mask_prob * lengths / mask_length + flambeau.rand(1, **random)).floor().long()
    starts = (lengths - mask_length + 1).clamp(min=0)  # where a span may begin
    spans = flambeau.minimum(spans.clamp(min_masks, most), starts)
    places = flambeau.arange(length, device=device)
    keys = flambeau.rand(count, length, **random).masked_fill(places >= starts[:, None], -1.0)
    begins = keys.topk(most, -1)[1]
    begins = begins.masked_fill(flambeau.arange(most, device=device) >= spans[:, None], length)[:, :, None]
    return ((begins <= places) & (places < begins + mask_length)).any(1)


def sample_negatives(mask: Any, num_negatives: int, *, generator: Any = None) -> Any:
    """For each hidden place of a row, `num_negatives` other hidden places of it: (N, T) bools -> (N, T, K) numbers of flat places.

    They are drawn evenly, with repetition. Rows need two hidden places at least; what stands at other places means nothing.
    """
    count, length = mask.shape
    hidden = mask.bool()
    order = (~hidden).long().argsort(dim=-1, stable=True)  # hidden places first
    ranks = (hidden.long().cumsum(-1) - 1).clamp(min=0)[:, :, None]
    others = (hidden.long().sum(-1) - 1).clamp(min=1)[:, None, None]
    drawn = (flambeau.rand(count, length, num_negatives, generator=generator, device=mask.device) * others).long()
    drawn = flambeau.minimum(drawn, others - 1)
    drawn = (drawn + (drawn >= ranks).long()).clamp(max=length - 1)
    found = order.gather(1, drawn.reshape(count, -1)).reshape(drawn.shape)
    return found + flambeau.arange(count, device=mask.device)[:, None, None] * length
