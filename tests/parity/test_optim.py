"""Every optimizer beside PyTorch's, step by step, and state dicts in both directions."""

from __future__ import annotations

import copy

import numpy as np
import pytest

import flambeau as fb

torch = pytest.importorskip("torch")

SHAPES = [(5, 4), (4,), (), (2, 3, 2)]
CASES = [
    ("SGD", {"lr": 0.1}),
    ("SGD", {"lr": 0.05, "momentum": 0.9}),
    ("SGD", {"lr": 0.05, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
    ("SGD", {"lr": 0.05, "momentum": 0.8, "dampening": 0.3, "weight_decay": 0.1, "maximize": True}),
    ("Adam", {"lr": 0.1}),
    ("Adam", {"lr": 0.01, "betas": (0.8, 0.95), "eps": 1e-4, "weight_decay": 0.1}),
    ("Adam", {"lr": 0.1, "amsgrad": True, "maximize": True}),
    ("Adam", {"lr": 0.1, "weight_decay": 0.2, "decoupled_weight_decay": True}),
    ("Adam", {"lr": 0.1, "betas": (0.3, 0.9)}),
    ("AdamW", {"lr": 0.1}),
    ("AdamW", {"lr": 0.03, "weight_decay": 0.3, "amsgrad": True}),
]
IDS = [f"{name}-{'-'.join(f'{k}={v}' for k, v in options.items())}" for name, options in CASES]


def start(dtype: str, shapes: list[tuple[int, ...]], seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    values = [rng.standard_normal(s) for s in shapes]
    if dtype.startswith("complex"):
        values = [v + 1j * rng.standard_normal(v.shape) for v in values]
    return [np.asarray(v).astype(dtype) for v in values]


def ours(arrays: list[np.ndarray]) -> list[fb.Tensor]:
    return [fb.tensor(a.copy(), requires_grad=True) for a in arrays]


def theirs(arrays: list[np.ndarray]) -> list:
    return [torch.tensor(a, requires_grad=True) for a in arrays]


def gradients(params: list, step: int) -> list[np.ndarray]:
    """The gradient of a bowl at what the parameters are, with noise that changes with the step."""
    rng = np.random.default_rng(100 + step)
    result = []
    for i, p in enumerate(params):
        x = p.detach().numpy()
        noise = rng.standard_normal(x.shape)
        result.append(((i + 1) * x / (1 + np.abs(x)) + 0.3 * noise).astype(x.dtype))
    return result


def give(params: list, grads: list[np.ndarray], tensor) -> None:
    for p, g in zip(params, grads, strict=True):
        p.grad = tensor(g)


def run(mine, reference, params, others, steps: range, rtol: float) -> None:
    """Both take the same gradients, from PyTorch's parameters, so that rounding does not add up through the gradients."""
    for step in steps:
        grads = gradients(others, step)
        give(params, grads, fb.tensor)
        give(others, grads, torch.tensor)
        mine.step()
        reference.step()
        for p, q in zip(params, others, strict=True):
            np.testing.assert_allclose(p.detach().numpy(), q.detach().numpy(), rtol=rtol, atol=rtol, err_msg=f"step {step}")


def to_numpy(value):
    """A state dict with arrays in place of tensors, to compare and to carry over."""
    if isinstance(value, dict):
        return {k: to_numpy(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(to_numpy(v) for v in value)
    return value.detach().numpy().copy() if hasattr(value, "detach") else value


def with_tensors(value, tensor):
    if isinstance(value, dict):
        return {k: with_tensors(v, tensor) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(with_tensors(v, tensor) for v in value)
    return tensor(value) if isinstance(value, np.ndarray) else value


def assert_same_state(mine, reference, rtol: float) -> None:
    a, b = to_numpy(mine.state_dict()), to_numpy(reference.state_dict())
    assert a["param_groups"] == b["param_groups"]
    assert set(a["state"]) == set(b["state"])
    for index, state in b["state"].items():
        assert list(a["state"][index]) == list(state)
        for key, value in state.items():
            got = a["state"][index][key]
            if isinstance(value, np.ndarray):
                assert got.dtype == value.dtype and got.shape == value.shape, key
                np.testing.assert_allclose(got, value, rtol=rtol, atol=rtol, err_msg=key)
            else:
                assert got == value


@pytest.mark.parametrize("name, options", CASES, ids=IDS)
@pytest.mark.parametrize("dtype, rtol", [("float32", 2e-6), ("float64", 1e-13)])
def test_thirty_steps(name, options, dtype, rtol):
    arrays = start(dtype, SHAPES)
    params, others = ours(arrays), theirs(arrays)
    mine, reference = getattr(fb.optim, name)(params, **options), getattr(torch.optim, name)(others, **options)
    run(mine, reference, params, others, range(30), rtol)
    assert_same_state(mine, reference, 5 * rtol)


@pytest.mark.parametrize("name, options", CASES, ids=IDS)
def test_state_dicts_carry_over_in_both_directions(name, options):
    arrays = start("float32", SHAPES)
    params, others = ours(arrays), theirs(arrays)
    mine, reference = getattr(fb.optim, name)(params, **options), getattr(torch.optim, name)(others, **options)
    run(mine, reference, params, others, range(5), 1e-5)
    now = [p.detach().numpy().copy() for p in others]
    params2, others2 = ours(now), theirs(now)
    mine2, reference2 = getattr(fb.optim, name)(params2, lr=7.0), getattr(torch.optim, name)(others2, lr=7.0)
    mine2.load_state_dict(with_tensors(to_numpy(reference.state_dict()), fb.tensor))
    reference2.load_state_dict(with_tensors(to_numpy(mine.state_dict()), torch.tensor))
    run(mine2, reference2, params2, others2, range(5, 12), 1e-5)
    assert_same_state(mine2, reference2, 1e-5)


def test_a_state_dict_of_torch_tensors_loads_as_it_is():
    arrays = start("float32", SHAPES)
    params, others = ours(arrays), theirs(arrays)
    reference = torch.optim.Adam(others, lr=0.1)
    give(others, gradients(others, 0), torch.tensor)
    reference.step()
    mine = fb.optim.Adam(params)
    mine.load_state_dict(copy.deepcopy(reference.state_dict()))
    assert_same_state(mine, reference, 1e-7)


@pytest.mark.parametrize("name, options", [c for c in CASES if c[0] not in ("Adafactor", "Muon")])
def test_complex_parameters(name, options):
    arrays = start("complex64", [(3, 2), (4,)])
    params, others = ours(arrays), theirs(arrays)
    mine, reference = getattr(fb.optim, name)(params, **options), getattr(torch.optim, name)(others, **options)
    run(mine, reference, params, others, range(12), 5e-6)
    assert_same_state(mine, reference, 2e-5)
