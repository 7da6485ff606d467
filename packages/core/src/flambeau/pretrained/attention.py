"""Attention as all models here use it: heads, masks, and the weights where somebody asks for them."""

from __future__ import annotations

import math
from typing import Any

from flambeau.base.dtypes import bool_, finfo
from flambeau.nn import functional as F
from flambeau.pretrained.cache import Cache
from flambeau.tensor.creation import arange


def split_heads(x: Any, size: int) -> Any:
    """(N, L, heads * size) -> (N, heads, L, size)"""
    return x.reshape(x.shape[0], x.shape[1], -1, size).transpose(1, 2)


def merge_heads(x: Any) -> Any:
    """(N, heads, L, size) -> (N, L, heads * size)"""
    return x.transpose(1, 2).reshape(x.shape[0], x.shape[2], -1)


def attend(
    query: Any, key: Any, value: Any, mask: Any = None, *, scale: float | None = None, dropout: float = 0.0, weights: bool = False
) -> tuple[Any, Any]:
    """softmax(query @ key^T * scale, masked) @ value: (N, heads, L, size) of each -> the same, and with `weights` those (N, heads, L, S).

    `mask` is "causal", None, bools that are true where attention is allowed, or numbers that are added. Keys and values may have fewer
    heads than queries, each for a group of them.
    """
    grouped = query.shape[1] != key.shape[1]
    if not weights:
        causal = isinstance(mask, str)
        out = F.scaled_dot_product_attention(
            query, key, value, None if causal else mask, dropout, is_causal=causal, scale=scale, enable_gqa=grouped
        )
        return out, None
    if grouped:
        times = query.shape[1] // key.shape[1]
        key, value = key.repeat_interleave(times, 1), value.repeat_interleave(times, 1)
    scores = query @ key.transpose(-1, -2) * (1 / math.sqrt(query.shape[-1]) if scale is None else scale)
    if isinstance(mask, str):
        mask = causal_mask(query.shape[-2], key.shape[-2], query.device)
    if mask is not None:
        low = finfo(scores.dtype).min
        scores = scores.masked_fill(~mask, low) if mask.dtype is bool_ else scores + mask
    shares = F.dropout(scores.softmax(-1), dropout) if dropout else scores.softmax(-1)
    return shares @ value, shares


def causal_mask(length: int, width: int, device: Any) -> Any:
    """(L, S) bools: the last `length` of `width` positions see those before them and themselves."""
    queries = arange(width - length, width, device=device)
    return arange(width, device=device) <= queries[:, None]


def padding_mask(attention_mask: Any) -> Any:
    """(N, S) ones and zeros -> (N, 1, 1, S) bools; None stays None, and (N, 1, L, S) is a mask already."""
    if attention_mask is None or attention_mask.dim() == 4:
        return None if attention_mask is None else attention_mask.bool()
    return attention_mask.bool()[:, None, None, :]


def decoder_mask(length: int, cache: Cache | None, attention_mask: Any, device: Any, window: int | None = None) -> Any:
    """What the next `length` tokens of a decoder may see: None for all, "causal", or bools that broadcast to (N, heads, L, S).

    Args:
        cache: what has been read before.
        attention_mask: (N, S) of all tokens, 0 for padding; None where there is none.
        window: how many tokens back, itself included, a token sees.
    """
    width = length if cache is None else cache.width(length)
    static = cache is not None and cache.static
    narrow = window is not None and width > window
    if attention_mask is None and not static and not narrow:
        return None if length == 1 else "causal" if width == length else causal_mask(length, width, device)
    queries = arange(length, device=device) if cache is None else cache.positions(length, device)
    keys = arange(width, device=device)
    mask = keys <= queries[:, None]
    if narrow:
        mask = mask & (keys > queries[:, None] - window)
    return mask if attention_mask is None else mask & padding_mask(attention_mask)
