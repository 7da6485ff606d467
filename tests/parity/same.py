"""Run one piece of PyTorch code on PyTorch and on Flambeau, and compare everything that a program could see."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

import flambeau


def arrays(seed: int = 0, **shapes: Any) -> dict[str, np.ndarray]:
    """Float64 inputs by name; a shape may be an array itself."""
    rng = np.random.default_rng(seed)
    return {k: v if isinstance(v, np.ndarray) else rng.standard_normal(v) for k, v in shapes.items()}


def _inputs(m: Any, values: Mapping[str, np.ndarray], grad: bool) -> dict[str, Any]:
    made = {k: m.tensor(v) for k, v in values.items()}
    if grad:
        for t in made.values():
            if t.is_floating_point() or t.is_complex():
                t.requires_grad_()
    return made


def run(m: Any, code: str, values: Mapping[str, np.ndarray], grad: bool) -> tuple[Any, dict[str, Any]]:
    """The value of `out` (or of the expression), and the inputs, after the code ran."""
    scope: dict[str, Any] = {"m": m, "F": m.nn.functional if "F." in code else None, "np": np}
    inputs = _inputs(m, values, grad)
    scope.update(inputs)
    if "out" in code and ("\n" in code or "out =" in code):
        exec(code, scope)
        return scope["out"], inputs
    return eval(code, scope), inputs


def compare(ours: Any, theirs: Any, where: str = "out", rtol: float = 1e-9, atol: float = 1e-11) -> None:
    """Same structure, dtype, shape and values."""
    if isinstance(theirs, torch.Tensor):
        assert isinstance(ours, flambeau.Tensor), f"{where}: {type(ours)}"
        assert tuple(ours.shape) == tuple(theirs.shape), f"{where}: shape {tuple(ours.shape)}, PyTorch {tuple(theirs.shape)}"
        assert ours.dtype.name == str(theirs.dtype).removeprefix("torch."), f"{where}: {ours.dtype}, PyTorch {theirs.dtype}"
        a, b = ours.detach(), theirs.detach()
        if b.dtype == torch.bfloat16:
            a, b = a.float(), b.float()
        np.testing.assert_allclose(a.numpy(), b.resolve_conj().resolve_neg().numpy(), rtol=rtol, atol=atol, err_msg=where)
    elif isinstance(theirs, (tuple, list)) and not isinstance(theirs, torch.Size):
        assert len(ours) == len(theirs), f"{where}: {len(ours)} items, PyTorch {len(theirs)}"
        for i, (a, b) in enumerate(zip(ours, theirs)):
            compare(a, b, f"{where}[{i}]", rtol, atol)
    elif isinstance(theirs, float):
        np.testing.assert_allclose(ours, theirs, rtol=rtol, atol=atol, err_msg=where)
    elif isinstance(theirs, torch.dtype):
        assert ours.name == str(theirs).removeprefix("torch."), where
    else:
        assert ours == theirs or str(ours).replace("flambeau", "torch") == str(theirs), f"{where}: {ours!r}, PyTorch {theirs!r}"


def _differentiable(value: Any) -> list[Any]:
    parts: Sequence[Any] = value if isinstance(value, (tuple, list)) else [value]
    return [p for p in parts if isinstance(p, (torch.Tensor, flambeau.Tensor)) and p.requires_grad]


def _backward(m: Any, value: Any) -> None:
    total = None
    for i, p in enumerate(_differentiable(value)):
        weights = m.arange(1, p.numel() + 1, dtype=m.float64).reshape(p.shape) * (0.1 + i)
        part = (p.abs() * weights).sum() if p.is_complex() else (p * weights.to(p.dtype)).sum()
        total = part if total is None else total + part
    if total is not None:
        total.backward()


def check(code: str, values: Mapping[str, np.ndarray] | None = None, *, grad: bool = True, rtol: float = 1e-9, atol: float = 1e-11) -> None:
    """The code gives the same output, leaves the inputs the same, and has the same gradients."""
    values = values or {}
    for with_grad in (False, True) if grad else (False,):
        theirs, their_inputs = run(torch, code, values, with_grad)
        ours, our_inputs = run(flambeau, code, values, with_grad)
        compare(ours, theirs, "out", rtol, atol)
        for name in values:
            compare(our_inputs[name], their_inputs[name], f"input {name} afterwards", rtol, atol)
        if with_grad:
            _backward(torch, theirs)
            _backward(flambeau, ours)
            for name in values:
                a, b = our_inputs[name].grad, their_inputs[name].grad
                if b is None:
                    assert a is None or not bool((a != 0).any()), f"gradient of {name}: {a}, PyTorch none"
                else:
                    assert a is not None, f"gradient of {name}: none, PyTorch {b}"
                    compare(a, b, f"gradient of {name}", rtol, atol)
