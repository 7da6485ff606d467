"""Code for other machines: written and assembled for ARM and for other systems, not run."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import flambeau as fb
from tests.core.codegen.programs import build, captured, llvm  # first: skips where llvmlite is absent

from flambeau.codegen import pool  # isort: skip
from flambeau.codegen.nodes import Node  # isort: skip

F = fb.nn.functional
RNG = np.random.default_rng(0)
TARGETS = [
    ("neon", "aarch64-unknown-linux-gnu"),
    ("neon", "arm64-apple-darwin23.0.0"),
    ("generic", "aarch64-unknown-linux-gnu"),
    ("avx2", "x86_64-pc-windows-msvc"),
]


def kernels(monkeypatch: pytest.MonkeyPatch, fn: Any, arrays: list[np.ndarray], target: Any) -> list[Any]:
    """The kernels that a function would run."""
    graph, _ = captured(fn, *arrays)
    with monkeypatch.context() as m:
        m.setattr("flambeau.codegen.build._link", lambda low, steps, *_: steps)
        steps: Any = build(graph, target=target)
    assert not any(isinstance(s, Node) for s in steps)
    return [k for s in steps for k in s]


def normal(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype("f4")


def norm_and_softmax(x: Any) -> Any:
    x = x.detach().requires_grad_()
    y = F.softmax(F.layer_norm(x, (37,)).erf() + x.sin(), -1)
    return y.detach(), fb.autograd.grad(y.square().sum(), x)[0]


def attention(q: Any, k: Any, v: Any) -> Any:
    q, k, v = (t.detach().requires_grad_() for t in (q, k, v))
    y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    return fb.autograd.grad(y.square().sum(), (q, k, v))


def network(x: Any) -> Any:
    fb.manual_seed(0)
    rnn, conv = fb.nn.LSTM(12, 10), fb.nn.Conv1d(9, 4, 3)
    y = rnn(x)[0] @ fb.ones(10, 20)
    grads = fb.autograd.grad((y * y).sum(), list(rnn.parameters()))
    return y.detach(), x.transpose(0, 2).contiguous(), conv(x).detach(), *grads


PROGRAMS = {
    "norm and softmax": (norm_and_softmax, [normal(50, 37)]),
    "large sums": (lambda x: (x.sum(), x.sum(0), x.amax()), [normal(400, 500)]),
    "attention": (attention, [normal(2, 60, 16), normal(2, 70, 16), normal(2, 70, 16)]),
    "network": (network, [normal(6, 9, 12)]),
}


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize(("level", "triple"), TARGETS)
def test_kernels_assemble(level: str, triple: str, program: str, monkeypatch: pytest.MonkeyPatch) -> None:
    target = llvm.other(level, triple)
    found = kernels(monkeypatch, *PROGRAMS[program], target)
    assert found
    for kernel in {k.name: k for k in found}.values():
        assert len(llvm.compile_text(kernel.text, target)) > 200
        if level == "neon":
            assert "x86" not in kernel.text


def test_arm_products_use_fused_vector_instructions(monkeypatch: pytest.MonkeyPatch) -> None:
    target = llvm.other("neon", "aarch64-unknown-linux-gnu")
    found = kernels(monkeypatch, lambda x, y: x @ y, [normal(4, 20, 30), normal(4, 30, 40)], target)
    assembly = "\n".join(llvm.assembly(k.text, target) for k in found)
    assert len(re.findall(r"fmla\s+v\d+\.4s", assembly)) >= 16


@pytest.mark.parametrize(("level", "triple"), TARGETS[:2])
def test_the_pool_assembles(level: str, triple: str) -> None:
    target = llvm.other(level, triple)
    assert len(llvm.compile_text(pool.text(target), target)) > 200
