"""Derivatives under PyTorch's names: `backward`, `grad`, `Function`, and what builds on them.

>>> import flambeau as fb
>>> x = fb.tensor(3.0, requires_grad=True)
>>> fb.autograd.grad(x**3, x)
(tensor(27.),)
"""

from __future__ import annotations

from flambeau.base.lazy import lazy_attributes

__getattr__, __dir__ = lazy_attributes(
    globals(),
    {"functional", "graph", "function"},
    attributes={
        **{name: f"flambeau.autograd.engine:{name}" for name in ("backward", "grad")},
        **{
            name: f"flambeau.autograd.modes:{name}"
            for name in ("detect_anomaly", "enable_grad", "inference_mode", "no_grad", "set_detect_anomaly", "set_grad_enabled")
        },
        **{name: f"flambeau.autograd.numeric:{name}" for name in ("GradcheckError", "gradcheck", "gradgradcheck")},
        "Function": "flambeau.autograd.function:Function",
        "Variable": "flambeau.autograd.variable:Variable",
    },
)
