"""Attention under PyTorch's names. Vaswani et al. 2017, "Attention Is All You Need".

L and S are the lengths of target and source, E the size of a head, N the batch, H the heads.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from flambeau.autograd.batched import tracked
from flambeau.base.errors import ArgumentError, ArgumentTypeError, DtypeError, ShapeError, explain
from flambeau.base.shapes import broadcast
from flambeau.ops import reduction as reduce_ops
from flambeau.ops.casting import casting
from flambeau.ops.dropout import dropout
from flambeau.ops.joining import cat, chunk, split
from flambeau.ops.linear import check_dtypes, linear
from flambeau.ops.matmul import matmul
from flambeau.ops.pointwise import add_op, div_op, mul_op, ne_op
from flambeau.primitives import elementwise as rows
from flambeau.primitives.attention import attention
from flambeau.primitives.contraction import swap
from flambeau.primitives.indexing import zeros_of
from flambeau.primitives.movement import expand, pad, permute, reshape
from flambeau.primitives.normalize import softmax
from flambeau.tensor.creation import as_tensor
from flambeau.tensor.tensor import Tensor


def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """softmax(query @ key^T * scale + mask) @ value: query (..., L, E), key (..., S, E), value (..., S, Ev) give (..., L, Ev).

    `attn_mask` broadcasts to (..., L, S): true where attention is allowed, or numbers that are added. `is_causal` lets position i see the
    sources up to i. A position that may see nothing gives zeros. `scale` is 1 / sqrt(E) if not given. `dropout_p` always applies.
    `enable_gqa` repeats the heads (axis -3) of key and value to those of query.

    >>> import flambeau as fb
    >>> q, k, v = fb.zeros(1, 2, 4), fb.zeros(1, 3, 4), fb.tensor([[[1.0], [2.0], [6.0]]])
    >>> fb.nn.functional.scaled_dot_product_attention(q, k, v)
    tensor([[[3.],
             [3.]]])
    """
    if is_causal and attn_mask is not None:
        raise ArgumentError(explain(_SDPA, expected="attn_mask or is_causal", got="both", hint="put the causal part into the mask"))
    factor = 1.0 / math.sqrt(query._a.shape[-1]) if scale is None and query._a.shape[-1] else (1.0 if scale is None else float(scale))
    lead = _lead(query, key, value, enable_gqa)
    if _takes_row(dropout_p, query, key, value, attn_mask):
        if attn_mask is not None:
            _check_mask(attn_mask, (*lead, query._a.shape[-2], key._a.shape[-2]))
        shared = enable_gqa and key._a.shape[:-2] == value._a.shape[:-2] == (*lead[:-1], key._a.shape[-3])
        if enable_gqa and not shared:
            key, value = _repeated(query, key), _repeated(query, value)
        q, k, v = (x if shared and x is not query else _spread(x, lead) for x in (query, key, value))
        return attention(q, k, v, *(() if attn_mask is None else (attn_mask,)), scale=factor, causal=is_causal)[0]
    if enable_gqa:
        key, value = _repeated(query, key), _repeated(query, value)
    if is_causal:
        attn_mask = _causal(query._a.shape[-2], key._a.shape[-2], query.device)
    scores = matmul(mul_op(query, factor), swap(key))
    seeing = None
    if attn_mask is not None:
        scores, seeing = _masked(scores, attn_mask, certain=is_causal)
    weights = softmax(scores, axis=(scores._a.ndim - 1,))
    if dropout_p > 0.0:
        weights = dropout(weights, dropout_p)
    out = matmul(weights, value)
    return out if seeing is None else rows.where(seeing, out, 0.0)


def _takes_row(dropout_p: float, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> bool:
    """Whether the primitive computes it: not with dropout, nor with a mask that takes a gradient, nor on empty or other numbers."""
    if dropout_p > 0.0 or query._a.dtype.kind not in "fV":
        return False
    return all(x._a.size for x in (query, key, value)) and (mask is None or not tracked(mask))


def _spread(x: Tensor, lead: tuple[int, ...]) -> Tensor:
    shape = (*lead, *x._a.shape[-2:])
    return x if x._a.shape == shape else expand(x, shape=shape)


_SDPA = "scaled_dot_product_attention"


def _lead(query: Tensor, key: Tensor, value: Tensor, gqa: bool) -> tuple[int, ...]:
    """The axes in front of the result's last two; checks the shapes."""
    shapes = [t._a.shape for t in (query, key, value)]
    got = f"query {tuple(shapes[0])}, key {tuple(shapes[1])}, value {tuple(shapes[2])}"
    if min(map(len, shapes)) < 2 or shapes[0][-1] != shapes[1][-1] or shapes[1][-2] != shapes[2][-2]:
        raise ShapeError(explain(_SDPA, expected="query (..., L, E), key (..., S, E) and value (..., S, Ev)", got=got))
    check_dtypes(_SDPA, query, key, value)
    leads = [s[:-2] for s in shapes]
    if gqa:
        for lead in leads[1:]:
            if not leads[0] or not lead or not lead[-1] or leads[0][-1] % lead[-1]:
                raise ShapeError(explain(_SDPA, expected="query heads (axis -3) divisible by those of key and value", got=got))
        leads = [leads[0], *((*lead[:-1], leads[0][-1]) for lead in leads[1:])]
    return broadcast(_SDPA, *leads)


def _repeated(query: Tensor, x: Tensor) -> Tensor:
    """Each head of x as often as query has heads for it."""
    shape, heads = x._a.shape, query._a.shape[-3]
    lead, times = shape[:-3], heads // shape[-3]
    spread = expand(reshape(x, shape=(*lead, shape[-3], 1, *shape[-2:])), shape=(*lead, shape[-3], times, *shape[-2:]))
    return reshape(spread, shape=(*lead, heads, *shape[-2:]))


def _causal(length: int, source: int, device: Any) -> Tensor:
    return as_tensor(np.tri(length, source, dtype=bool), device=device)


def _check_mask(mask: Tensor, have: tuple[int, ...]) -> None:
    if mask._a.dtype.kind not in "bfV":
        raise DtypeError(explain(_SDPA, expected="a bool or floating-point attn_mask", got=repr(mask.dtype), hint=".bool()"))
    if broadcast(_SDPA, have, mask._a.shape) != have:
        raise ShapeError(explain(_SDPA, expected=f"an attn_mask that broadcasts to {tuple(have)}", got=str(tuple(mask.shape))))


def _masked(scores: Tensor, mask: Tensor, certain: bool) -> tuple[Tensor, Tensor | None]:
    """Scores with the mask applied, and which rows see anything (None for all). Rows that see nothing are left unmasked, free of NaN."""
    _check_mask(mask, scores._a.shape)
    if mask._a.dtype.kind == "b":
        if certain:
            return rows.where(mask, scores, float("-inf")), None
        seeing = reduce_ops.any(mask, -1, keepdim=True)
        return rows.where(rows.logical_or(mask, rows.logical_not(seeing)), scores, float("-inf")), seeing
    seeing = reduce_ops.any(ne_op(mask.detach(), float("-inf")), -1, keepdim=True)
    return add_op(scores, rows.where(seeing, mask, 0.0)), seeing


# -- multi-head attention ----------------------------------------------------------------------------------------------------------------
_MHA = "multi_head_attention_forward"


def multi_head_attention_forward(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    embed_dim_to_check: int,
    num_heads: int,
    in_proj_weight: Tensor | None,
    in_proj_bias: Tensor | None,
    bias_k: Tensor | None,
    bias_v: Tensor | None,
    add_zero_attn: bool,
    dropout_p: float,
    out_proj_weight: Tensor,
    out_proj_bias: Tensor | None,
    training: bool = True,
    key_padding_mask: Tensor | None = None,
    need_weights: bool = True,
    attn_mask: Tensor | None = None,
    use_separate_proj_weight: bool = False,
    q_proj_weight: Tensor | None = None,
    k_proj_weight: Tensor | None = None,
    v_proj_weight: Tensor | None = None,
    static_k: Tensor | None = None,
    static_v: Tensor | None = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """What `nn.MultiheadAttention` computes: projections, attention in `num_heads` heads, and the output projection.

    query (L, N, E), key and value (S, N, ...), or without N; returns (L, N, E) and the attention weights (N, L, S), averaged over the heads
    or (N, H, L, S), or None without `need_weights`. Masks are bool (true: not allowed) or numbers to add: `key_padding_mask` (N, S),
    `attn_mask` (L, S) or (N * H, L, S). `is_causal` says that attn_mask, which must be given, is the causal one.
    """
    if is_causal and attn_mask is None:
        raise ArgumentError(
            explain(_MHA, expected="attn_mask together with is_causal", got="None", hint="Transformer.generate_square_subsequent_mask")
        )
    query, key, value, key_padding_mask, was_batched = _with_batch(query, key, value, key_padding_mask)
    length, n, width = query._a.shape
    if width != embed_dim_to_check or width % num_heads:
        expected = f"embedding size {embed_dim_to_check}, divisible by {num_heads} heads"
        raise ShapeError(explain(_MHA, expected=expected, got=f"query of shape {tuple(query.shape)}"))
    separate = (q_proj_weight, k_proj_weight, v_proj_weight) if use_separate_proj_weight else None
    q, k, v = _projected((query, key, value), in_proj_weight, in_proj_bias, separate)
    if bias_k is not None and bias_v is not None:
        k, v = (cat([t, expand(reshape(b, shape=(1, 1, width)), shape=(1, n, width))]) for t, b in ((k, bias_k), (v, bias_v)))
    q, k, v = (_heads(q, num_heads), _static(k, static_k, n, num_heads), _static(v, static_v, n, num_heads))
    if add_zero_attn:
        k, v = (cat([t, zeros_of(t.detach(), (n, num_heads, 1, t._a.shape[-1]))], 2) for t in (k, v))
    mask = _merged_mask(attn_mask, key_padding_mask, (n, num_heads, length, k._a.shape[2]), q)
    p = dropout_p if training else 0.0
    if need_weights:
        out, weights = _explicit(q, k, v, mask, p)
        weights = reduce_ops.mean(weights, 1) if average_attn_weights else weights
        weights = weights if was_batched else reshape(weights, shape=weights._a.shape[1:])
    else:
        out, weights = scaled_dot_product_attention(q, k, v, mask, p), None
    out = linear(reshape(permute(out, axes=(2, 0, 1, 3)), shape=(length, n, width)), out_proj_weight, out_proj_bias)
    return (out if was_batched else reshape(out, shape=(length, out._a.shape[-1]))), weights


def _with_batch(query: Tensor, key: Tensor, value: Tensor, padding: Tensor | None) -> tuple[Tensor, Tensor, Tensor, Tensor | None, bool]:
    """The inputs with the batch axis, and whether they had it. Inputs that are one tensor stay one."""
    ranks = {t._a.ndim for t in (query, key, value)}
    if ranks not in ({2}, {3}) or (padding is not None and padding._a.ndim != query._a.ndim - 1):
        got = f"query {tuple(query.shape)}, key {tuple(key.shape)}, value {tuple(value.shape)}"
        got += "" if padding is None else f", key_padding_mask {tuple(padding.shape)}"
        raise ShapeError(explain(_MHA, expected="inputs (length, N, E) with key_padding_mask (N, S), or all without N", got=got))
    if query._a.ndim == 3:
        return query, key, value, padding, True
    q = _unsqueezed(query)
    k = q if key is query else _unsqueezed(key)
    v = q if value is query else k if value is key else _unsqueezed(value)
    return q, k, v, None if padding is None else reshape(padding, shape=(1, *padding._a.shape)), False


def _unsqueezed(t: Tensor) -> Tensor:
    return reshape(t, shape=(t._a.shape[0], 1, t._a.shape[1]))


def _projected(inputs: Any, weight: Tensor | None, bias: Tensor | None, separate: Any) -> tuple[Tensor, ...]:
    """Query, key and value projections; one product where the inputs are one tensor."""
    query, key, value = inputs
    if separate is not None:
        biases = (None,) * 3 if bias is None else chunk(bias, 3)
        return tuple(linear(x, w, b) for x, w, b in zip(inputs, separate, biases, strict=True))
    if weight is None:
        raise ArgumentTypeError(explain(_MHA, expected="in_proj_weight, or separate weights with use_separate_proj_weight", got="None"))
    if key is query and value is query:
        return chunk(linear(query, weight, bias), 3, -1)
    width = weight._a.shape[0] // 3
    if value is key:
        parts = split(weight, [width, 2 * width])
        halves: Any = (None, None) if bias is None else split(bias, [width, 2 * width])
        return (linear(query, parts[0], halves[0]), *chunk(linear(key, parts[1], halves[1]), 2, -1))
    biases = (None,) * 3 if bias is None else chunk(bias, 3)
    return tuple(linear(x, w, b) for x, w, b in zip(inputs, chunk(weight, 3), biases, strict=True))


def _heads(x: Tensor, heads: int) -> Tensor:
    """(length, N, E) as (N, H, length, E / H)."""
    length, n, width = x._a.shape
    return permute(reshape(x, shape=(length, n, heads, width // heads)), axes=(1, 2, 0, 3))


def _static(x: Tensor, given: Tensor | None, n: int, heads: int) -> Tensor:
    """The projected x by heads, or the tensor (N * H, S, E / H) given in its place."""
    if given is None:
        return _heads(x, heads)
    if given._a.ndim != 3 or given._a.shape[0] != n * heads:
        raise ShapeError(explain(_MHA, expected=f"static keys and values ({n * heads}, S, E / H)", got=f"shape {tuple(given.shape)}"))
    return reshape(given, shape=(n, heads, *given._a.shape[1:]))


def _merged_mask(attn_mask: Tensor | None, padding: Tensor | None, shape: tuple[int, int, int, int], like: Tensor) -> Tensor | None:
    """One mask of numbers to add, (N or 1, H or 1, L or 1, S); sources added behind the given ones may be seen."""
    n, heads, length, source = shape
    total = None
    if attn_mask is not None:
        added = _additive(attn_mask, like)
        have = added._a.shape
        if have[-2:-1] != (length,) or have[:-2] not in ((), (1,), (n * heads,)) or have[-1] > source:
            expected = f"attn_mask ({length}, S) or ({n * heads}, {length}, S) for S up to {source}"
            raise ShapeError(explain(_MHA, expected=expected, got=f"shape {tuple(attn_mask.shape)}"))
        lead = (n, heads) if len(have) == 3 and have[0] == n * heads else (1, 1)
        total = _extended(reshape(added, shape=(*lead, length, have[-1])), source)
    if padding is not None:
        if padding._a.shape[0] != n or padding._a.shape[1] > source:
            raise ShapeError(explain(_MHA, expected=f"key_padding_mask ({n}, {source})", got=f"shape {tuple(padding.shape)}"))
        added = _extended(reshape(_additive(padding, like), shape=(n, 1, 1, padding._a.shape[1])), source)
        total = added if total is None else add_op(total, added)
    return total


def _additive(mask: Tensor, like: Tensor) -> Tensor:
    if mask._a.dtype.kind == "b":
        return rows.where(mask, float("-inf"), zeros_of(like.detach(), ()))
    if mask._a.dtype.kind not in "fV":
        raise DtypeError(explain(_MHA, expected="bool or floating-point masks", got=repr(mask.dtype), hint=".bool()"))
    return mask


def _extended(mask: Tensor, source: int) -> Tensor:
    extra = source - mask._a.shape[-1]
    return pad(mask, widths=((0, 0),) * 3 + ((0, extra),), value=0.0) if extra else mask


def _explicit(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, p: float) -> tuple[Tensor, Tensor]:
    """Attention that also returns its weights."""
    scores = matmul(div_op(q, math.sqrt(q._a.shape[-1])), swap(k))
    weights = softmax(scores if mask is None else add_op(scores, mask), axis=(3,))
    weights = dropout(weights, p) if p > 0.0 else weights
    return matmul(weights, v), weights


casting(globals())
