"""Flambeau: tensors, autograd, neural networks and a compiler in pure Python, with PyTorch's names.

>>> import flambeau as fb
>>> x = fb.tensor([1.0, 2.0, 3.0], requires_grad=True)
>>> (x**2).sum().backward()
>>> x.grad
tensor([2., 4., 6.])
"""

from __future__ import annotations

import warnings as _warnings

from flambeau import plugins  # a miss in a registry asks the installed plugins
from flambeau.__about__ import __version__
from flambeau.accelerator import get_device_module
from flambeau.autograd.modes import (
    enable_grad,
    inference_mode,
    is_anomaly_enabled,
    is_grad_enabled,
    is_inference_mode_enabled,
    no_grad,
    set_grad_enabled,
)
from flambeau.base.dtypes import (
    bfloat16,
    complex64,
    complex128,
    dtype,
    finfo,
    float16,
    float32,
    float64,
    iinfo,
    int8,
    int16,
    int32,
    int64,
    set_default_dtype,
    uint8,
    uint16,
    uint32,
    uint64,
)
from flambeau.base.dtypes import bool_ as bool
from flambeau.base.dtypes import default_dtype as get_default_dtype
from flambeau.base.dtypes import promote as promote_types
from flambeau.base.lazy import lazy_attributes as _lazy_attributes
from flambeau.base.registry import get
from flambeau.base.registry import query as list
from flambeau.base.switches import *
from flambeau.device import default_device as get_default_device
from flambeau.device import device, set_default_device
from flambeau.device.cpu import CPU_BACKEND as _CPU
from flambeau.ops.activation import *
from flambeau.ops.calculus import *
from flambeau.ops.compare import *
from flambeau.ops.compare import _assert as _assert
from flambeau.ops.convolution import *
from flambeau.ops.counting import *
from flambeau.ops.distance import *
from flambeau.ops.dropout import *
from flambeau.ops.einsum import *
from flambeau.ops.factor import *
from flambeau.ops.indexing import *
from flambeau.ops.joining import *
from flambeau.ops.linalg_names import *
from flambeau.ops.linear import *
from flambeau.ops.loss import *
from flambeau.ops.margin import *
from flambeau.ops.matmul import *
from flambeau.ops.matrix import *
from flambeau.ops.norm import *
from flambeau.ops.pointwise import *
from flambeau.ops.pooling import *
from flambeau.ops.products import *
from flambeau.ops.promotion import result_type
from flambeau.ops.random import *
from flambeau.ops.reduction import *
from flambeau.ops.resample import *
from flambeau.ops.shape import *
from flambeau.ops.solve import *
from flambeau.ops.sorting import *
from flambeau.ops.special import *
from flambeau.ops.spectral import *
from flambeau.ops.windows import *
from flambeau.tensor import methods as _methods
from flambeau.tensor.creation import (
    arange,
    as_tensor,
    asarray,
    empty,
    empty_like,
    eye,
    from_numpy,
    full,
    full_like,
    linspace,
    logspace,
    ones,
    ones_like,
    scalar_tensor,
    tensor,
    zeros,
    zeros_like,
)
from flambeau.tensor.creation import range_ as range
from flambeau.tensor.interop import from_dlpack, frombuffer
from flambeau.tensor.kinds import *
from flambeau.tensor.printing import set_printoptions
from flambeau.tensor.tensor import Size, Tensor

# NumPy warns about 0/0, overflow and the like; a tensor library returns the IEEE result.
_warnings.filterwarnings("ignore", category=RuntimeWarning, module=r"flambeau(\..*)?")


def _kernels() -> object:
    """What runs large operations as machine code, loaded at the first one."""
    from flambeau.codegen.eager import kernels

    return kernels()


_CPU.accelerate(1 << 14, _kernels)

float, double, half, int, long, short = float32, float64, float16, int32, int64, int16
cfloat, cdouble = complex64, complex128
pi, e, inf, nan, newaxis = 3.141592653589793, 2.718281828459045, 1e999, 1e999 - 1e999, None

__getattr__, __dir__ = _lazy_attributes(
    globals(),
    {
        "autograd",
        "nn",
        "optim",
        "data",
        "random",
        "distributions",
        "serialization",
        "hub",
        "export",
        "amp",
        "train",
        "plugins",
        "pretrained",
        "testing",
        "linalg",
        "fft",
        "special",
        "sparse",
        "utils",
        "base",
        "device",
        "cuda",
        "cpu",
        "accelerator",
        "func",
        "torch",
    },
    {"vision", "audio", "text", "rl"},
    {
        "compile": "flambeau.compiler:compile",
        "autocast": "flambeau.ops.casting:autocast",
        "clear_autocast_cache": "flambeau.ops.casting:clear_autocast_cache",
        "get_autocast_dtype": "flambeau.ops.casting:get_autocast_dtype",
        "is_autocast_cache_enabled": "flambeau.ops.casting:is_autocast_cache_enabled",
        "is_autocast_enabled": "flambeau.ops.casting:is_autocast_enabled",
        "is_autocast_available": "flambeau.ops.casting:is_autocast_available",
        "set_autocast_cache_enabled": "flambeau.ops.casting:set_autocast_cache_enabled",
        "set_autocast_dtype": "flambeau.ops.casting:set_autocast_dtype",
        "set_autocast_enabled": "flambeau.ops.casting:set_autocast_enabled",
        "cond": "flambeau.graph.control:cond",
        "fori_loop": "flambeau.graph.control:fori_loop",
        "scan": "flambeau.graph.control:scan",
        "while_loop": "flambeau.graph.control:while_loop",
        "save": "flambeau.serialization:save",
        "load": "flambeau.serialization:load",
        "sparse_coo_tensor": "flambeau.sparse:sparse_coo_tensor",
        "vmap": "flambeau.autograd.vmap:vmap",
    },
)
