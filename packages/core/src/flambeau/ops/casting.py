"""autocast: in which dtype operations compute. Micikevicius et al. 2018, "Mixed Precision Training".

Each operation of the table has one of four ways: "low" takes its operands in the low precision, "float32" in float32, "widest" in the
widest dtype among them, "float32 inside" computes in float32 and gives the dtype of its input. Other operations take what they get. The
lists are PyTorch's, for the CPU; a GPU adds those of `GPU`.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from types import TracebackType
from typing import Any

from flambeau.autograd.modes import mode
from flambeau.base import dtypes
from flambeau.base.errors import ArgumentError, ArgumentTypeError, explain
from flambeau.device.base import device, device_types
from flambeau.ops.promotion import to_dtype
from flambeau.primitives.bind import state
from flambeau.tensor.tensor import Tensor

_FAMILIES = {
    "low": """conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d bmm mm matmul baddbmm addmm addbmm linear prelu
        scaled_dot_product_attention vecdot multi_head_attention_forward einsum""",
    "float32": """avg_pool3d binary_cross_entropy grid_sample polar quantile nanquantile stft cdist trace view_as_complex max_pool3d
        max_unpool2d max_unpool3d adaptive_avg_pool3d mse_loss cosine_embedding_loss nll_loss hinge_embedding_loss poisson_nll_loss
        smooth_l1_loss cross_entropy l1_loss huber_loss margin_ranking_loss soft_margin_loss triplet_margin_loss multi_margin_loss
        ctc_loss kl_div multilabel_margin_loss binary_cross_entropy_with_logits""",
    "float32 inside": "batch_norm layer_norm group_norm instance_norm rms_norm",
    "widest": "stack cat index_copy",
}
CPU = {name: way for way, names in _FAMILIES.items() for name in names.split()}
GPU = {
    **dict.fromkeys("mv addmv addr".split(), "low"),
    **dict.fromkeys(
        "softplus layer_norm group_norm cosine_similarity pdist renorm logsumexp softmax log_softmax cumprod".split(), "float32"
    ),
}
INLINE = {"matmul", "linear"}  # they look themselves: on small tensors a call in between would be felt
DEFAULTS = {"cpu": dtypes.bfloat16, "cuda": dtypes.float16}
_chosen: dict[str, dtypes.dtype] = {}
_HALVES = (dtypes.bfloat16, dtypes.float16)


class _Cache:
    """Weights in the low precision, while an autocast lasts: id -> (weight, its version, cast)."""

    def __init__(self) -> None:
        self.entries: dict[tuple[int, Any], tuple[Any, int, Any]] = {}
        self.on, self.depth = True, 0


_cache = _Cache()


def get_autocast_dtype(device_type: str) -> dtypes.dtype:
    """The low precision of a device: bfloat16 on the CPU, float16 on a GPU, unless `set_autocast_dtype` chose another."""
    return _chosen.get(device_type, DEFAULTS.get(device_type, dtypes.bfloat16))


def set_autocast_dtype(device_type: str, dtype: Any) -> None:
    """Choose the low precision of a device."""
    _chosen[device_type] = dtypes.as_dtype(dtype)


def is_autocast_enabled(device_type: str | None = None) -> bool:
    """Whether autocast is on (for a GPU, if no device is named, as in PyTorch)."""
    return any(name == (device_type or "cuda") for name, _ in mode.casting or ())


def is_autocast_cache_enabled() -> bool:
    """Whether weights are converted once for as long as an autocast lasts."""
    return _cache.on


def is_autocast_available(device_type: str) -> bool:
    """Whether autocast knows a type of device."""
    return device_type in DEFAULTS


def set_autocast_enabled(device_type: str, enabled: bool) -> None:
    """Switch autocast on or off for a device, without a block."""
    others = tuple(rule for rule in mode.casting or () if rule[0] != device_type)
    mode.casting = (*others, (device_type, get_autocast_dtype(device_type))) if enabled else others or None


def set_autocast_cache_enabled(enabled: bool) -> None:
    """Whether weights are converted once for as long as an autocast lasts."""
    _cache.on = enabled


def clear_autocast_cache() -> None:
    """Forget converted weights."""
    _cache.entries.clear()


class autocast:
    """Let matrix products, convolutions and attention compute in low precision within a block; also a decorator. `torch.autocast`.

    Args:
        device_type: "cpu" or "cuda": whose tensors.
        dtype: bfloat16 or float16; `get_autocast_dtype(device_type)` by default.
        enabled: False leaves autocast within the block.
        cache_enabled: whether a weight is converted once and kept until the outermost block ends.

    >>> import flambeau as fb
    >>> with fb.autocast("cpu"):
    ...     y = fb.ones(2, 3) @ fb.ones(3, 2)
    >>> y.dtype, (y + 1.0).dtype
    (flambeau.bfloat16, flambeau.bfloat16)
    """

    def __init__(self, device_type: str, dtype: Any = None, enabled: bool = True, cache_enabled: bool | None = None) -> None:
        if not isinstance(device_type, str):
            got = f"a {type(device_type).__name__}"
            raise ArgumentTypeError(explain("autocast", expected="the type of a device, such as 'cpu'", got=got))
        if device_type not in device_types():
            raise ArgumentError(explain("autocast", expected=f"one of {device_types()}", got=repr(device_type)))
        self.device = device_type
        self.fast_dtype = get_autocast_dtype(device_type) if dtype is None else dtypes.as_dtype(dtype)
        if enabled and self.fast_dtype not in _HALVES:
            warnings.warn(f"autocast is off: the low precision is bfloat16 or float16, not {self.fast_dtype}", stacklevel=2)
            enabled = False
        self._enabled, self._cache = enabled, cache_enabled
        self._before: list[tuple[Any, bool]] = []

    def __enter__(self) -> autocast:
        self._before.append((mode.casting, _cache.on))
        others = tuple(rule for rule in mode.casting or () if rule[0] != self.device)
        mode.casting = (*others, (self.device, self.fast_dtype)) if self._enabled else others or None
        if self._cache is not None:
            _cache.on = self._cache
        _cache.depth += 1
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        mode.casting, _cache.on = self._before.pop()
        _cache.depth -= 1
        if not _cache.depth:
            clear_autocast_cache()

    def __call__(self, fn: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(fn)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            with self:
                return fn(*args, **kwargs)

        return wrapped


# -- the operations -------------------------------------------------------------------------------------------------------------------
def casting(functions: dict[str, Any]) -> None:
    """Let the functions of a module that stand in the tables see autocast. Called at the end of the module."""
    for name in {**CPU, **GPU}.keys() - INLINE:
        fn = functions.get(name)
        if callable(fn) and not hasattr(fn, "casts"):
            functions[name] = _cast(name, fn)


def _cast(name: str, fn: Callable[..., Any]) -> Callable[..., Any]:
    """The function, which looks at autocast first. Inside it, nothing is cast any more."""

    @functools.wraps(fn)
    def call(*args: Any, **kwargs: Any) -> Any:
        if mode.casting is None:
            return fn(*args, **kwargs)
        return under_autocast(name, fn, *args, **kwargs)

    call.casts = True  # type: ignore[attr-defined]
    return call


def under_autocast(name: str, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call a function of the tables with its operands converted, and with autocast off inside."""
    rules = mode.casting or ()
    tensors = [x for x in _leaves((*args, *kwargs.values())) if x._a.dtype.kind in "fV"]
    kind = device_of(tensors[0]) if tensors else ""
    low = next((d for where, d in rules if where == kind), None)
    way = ({**CPU, **GPU} if kind == "cuda" else CPU).get(name)
    if way is None:
        return fn(*args, **kwargs)
    before, mode.casting = mode.casting, None
    try:
        if low is None:
            return fn(*args, **kwargs)
        target = _target(way, low, tensors)
        out = fn(*[_converted(x, target) for x in args], **{k: _converted(x, target) for k, x in kwargs.items()})
        return to_dtype(out, tensors[0].dtype) if way == "float32 inside" else out
    finally:
        mode.casting = before


def device_of(x: Any) -> str:
    """The type of its device."""
    return str(device(x.device).type)


def _leaves(values: Any) -> list[Any]:
    """Tensors among arguments, and in lists of them."""
    found = []
    for x in values:
        if isinstance(x, Tensor):
            found.append(x)
        elif isinstance(x, (list, tuple)):
            found += [y for y in x if isinstance(y, Tensor)]
    return found


def _target(way: str, low: dtypes.dtype, tensors: list[Any]) -> dtypes.dtype:
    if way == "low":
        return low
    if way == "widest":
        return functools.reduce(dtypes.promote, [x.dtype for x in tensors if x.dtype is not dtypes.float64])
    return dtypes.float32


def _converted(x: Any, target: dtypes.dtype) -> Any:
    if isinstance(x, Tensor):
        eligible = x._a.dtype.kind in "fV" and x.dtype is not dtypes.float64 and x.dtype is not target
        return _kept(x, target) if eligible else x
    if isinstance(x, (list, tuple)) and any(isinstance(y, Tensor) for y in x):
        return type(x)([_converted(y, target) for y in x])
    return x


def _kept(x: Any, target: dtypes.dtype) -> Any:
    """A weight is converted once; in a program that is being captured, by the program."""
    weight = x.dtype is dtypes.float32 and target is not dtypes.float32 and x.requires_grad and x.is_leaf
    if not (weight and _cache.on and mode.grad) or state.interceptor is not None or mode.vmap:
        return to_dtype(x, target)
    key = (id(x), target)
    entry = _cache.entries.get(key)
    if entry is None or entry[0] is not x or entry[1] != x._version:
        entry = _cache.entries[key] = (x, x._version, to_dtype(x, target))
    return entry[2]
