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
    ("Adamax", {"lr": 0.1}),
    ("Adamax", {"lr": 0.1, "betas": (0.7, 0.9), "weight_decay": 0.1, "maximize": True}),
    ("NAdam", {"lr": 0.1}),
    ("NAdam", {"lr": 0.1, "weight_decay": 0.1, "momentum_decay": 0.1, "maximize": True}),
    ("NAdam", {"lr": 0.1, "weight_decay": 0.1, "decoupled_weight_decay": True}),
    ("RAdam", {"lr": 0.1}),
    ("RAdam", {"lr": 0.1, "betas": (0.8, 0.9), "weight_decay": 0.1}),
    ("RAdam", {"lr": 0.1, "weight_decay": 0.1, "decoupled_weight_decay": True}),
    ("RMSprop", {"lr": 0.01}),
    ("RMSprop", {"lr": 0.01, "momentum": 0.9, "weight_decay": 0.1}),
    ("RMSprop", {"lr": 0.01, "alpha": 0.9, "centered": True}),
    ("RMSprop", {"lr": 0.01, "centered": True, "momentum": 0.5, "maximize": True}),
    ("Adagrad", {"lr": 0.1}),
    ("Adagrad", {"lr": 0.1, "lr_decay": 0.1, "weight_decay": 0.1, "initial_accumulator_value": 0.5, "eps": 1e-4}),
    ("Adadelta", {}),
    ("Adadelta", {"lr": 0.5, "rho": 0.8, "eps": 1e-4, "weight_decay": 0.1, "maximize": True}),
    ("ASGD", {"lr": 0.1}),
    ("ASGD", {"lr": 0.1, "lambd": 0.05, "alpha": 0.5, "t0": 5, "weight_decay": 0.1}),
    ("Rprop", {"lr": 0.1}),
    ("Rprop", {"lr": 0.1, "etas": (0.3, 1.5), "step_sizes": (1e-3, 0.4), "maximize": True}),
    ("Adafactor", {}),
    ("Adafactor", {"lr": 0.3, "beta2_decay": -0.5, "eps": (1e-4, 0.1), "d": 1.5, "weight_decay": 0.1, "maximize": True}),
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


@pytest.mark.parametrize(
    "options",
    [{"lr": 0.1}, {"lr": 0.1, "nesterov": False, "adjust_lr_fn": "match_rms_adamw", "weight_decay": 0.3}, {"lr": 0.1, "ns_steps": 3}],
)
def test_muon(options):
    """Its matrix products are in bfloat16: a sum in another order may round the other way, which five iterations make 2 % of an update."""
    arrays = start("float32", [(6, 4), (4, 9)])
    params, others = ours(arrays), theirs(arrays)
    mine, reference = fb.optim.Muon(params, **options), torch.optim.Muon(others, **options)
    for step in range(20):
        run(mine, reference, params, others, range(step, step + 1), 2e-3)
        with fb.no_grad():
            for p, q in zip(params, others, strict=True):
                p.copy_(fb.tensor(q.detach().numpy()))
    assert_same_state(mine, reference, 1e-6)


@pytest.mark.parametrize("name, options", CASES, ids=IDS)
def test_bfloat16_parameters(name, options):
    arrays = start("float32", [(6, 4), (5,)])
    params = [fb.tensor(a).to(fb.bfloat16).requires_grad_() for a in arrays]
    others = [torch.tensor(a).to(torch.bfloat16).requires_grad_() for a in arrays]
    mine, reference = getattr(fb.optim, name)(params, **options), getattr(torch.optim, name)(others, **options)
    for step in range(5):
        for p, q, g in zip(params, others, start("float32", [(6, 4), (5,)], seed=step), strict=True):
            p.grad, q.grad = fb.tensor(g).to(fb.bfloat16), torch.tensor(g).to(torch.bfloat16)
        mine.step()
        reference.step()
    for p, q in zip(params, others, strict=True):
        assert p.dtype is fb.bfloat16
        np.testing.assert_allclose(p.detach().float().numpy(), q.detach().float().numpy(), rtol=0.04, atol=0.04)


# -- L-BFGS: its host arithmetic is in double precision here, in that of the parameters there -------------------
def rosenbrock(x):
    return ((1 - x[:-1]) ** 2 + 100 * (x[1:] - x[:-1] ** 2) ** 2).sum()


def quadratic(x):
    return (x**4).sum() * 0.1 + (x * x.flip(0)).sum() * 0.3 + ((x - 1) ** 2).sum()


@pytest.mark.parametrize("function", [rosenbrock, quadratic])
@pytest.mark.parametrize(
    "options",
    [
        {"lr": 0.001, "max_iter": 5},
        {"lr": 0.01, "max_iter": 8, "history_size": 3},
        {"line_search_fn": "strong_wolfe", "max_iter": 6},
        {"line_search_fn": "strong_wolfe", "max_iter": 7, "history_size": 2, "max_eval": 9},
        {"line_search_fn": "strong_wolfe", "max_iter": 4, "lr": 5.0},
    ],
)
def test_lbfgs(function, options):
    start_values = np.random.default_rng(0).standard_normal(6)
    made = []
    for library in (fb, torch):
        x = library.tensor(start_values, dtype=library.float64, requires_grad=True)
        optimizer = library.optim.LBFGS([x], **options)
        evaluations = []

        def closure(x=x, optimizer=optimizer, evaluations=evaluations):
            optimizer.zero_grad()
            loss = function(x)
            loss.backward()
            evaluations.append(loss.item())
            return loss

        made.append((x, optimizer, closure, evaluations))
    for _ in range(4):
        losses = [optimizer.step(closure).item() for _, optimizer, closure, _ in made]
        np.testing.assert_allclose(losses[0], losses[1], rtol=1e-6, atol=1e-12)
    (x, mine, _, evaluations), (y, reference, _, expected) = made
    np.testing.assert_allclose(evaluations, expected, rtol=1e-6, atol=1e-12)
    np.testing.assert_allclose(x.tolist(), y.tolist(), rtol=1e-6, atol=1e-9)
    a, b = mine.state[x], reference.state[y]
    assert (a["n_iter"], a["func_evals"], len(a["old_dirs"])) == (b["n_iter"], b["func_evals"], len(b["old_dirs"]))


@pytest.mark.parametrize("line_search", [None, "strong_wolfe"])
def test_lbfgs_states_carry_over(line_search):
    def make(library, values):
        x = library.tensor(np.array(values), dtype=library.float64, requires_grad=True)
        optimizer = library.optim.LBFGS([x], lr=0.02, max_iter=3, line_search_fn=line_search)

        def closure():
            optimizer.zero_grad()
            loss = quadratic(x)
            loss.backward()
            return loss

        return x, optimizer, closure

    first = [make(library, [0.5, -1.0, 2.0]) for library in (fb, torch)]
    for _, optimizer, closure in first:
        optimizer.step(closure)
    second = [make(library, first[1][0].tolist()) for library in (fb, torch)]
    second[0][1].load_state_dict(with_tensors(to_numpy(first[1][1].state_dict()), fb.tensor))
    second[1][1].load_state_dict(with_tensors(to_numpy(first[0][1].state_dict()), torch.tensor))
    for x, optimizer, closure in (*first, *second):
        optimizer.step(closure)
        np.testing.assert_allclose(x.tolist(), first[0][0].tolist(), rtol=1e-7)


def test_lbfgs_with_complex_and_missing_gradients():
    made = []
    for library in (fb, torch):
        z = library.tensor(np.array([1 + 2j, -0.5j]), requires_grad=True)
        x = library.tensor(np.array([[1.0, 2.0]]), requires_grad=True)
        unused = library.tensor(np.array([3.0]), requires_grad=True)
        optimizer = library.optim.LBFGS([z, x, unused], max_iter=6, line_search_fn="strong_wolfe")

        def closure(z=z, x=x, optimizer=optimizer):
            optimizer.zero_grad()
            loss = ((z - 1).abs() ** 2).sum() + (x**4).sum() + (z.real * x[0]).sum()
            loss.backward()
            return loss

        optimizer.step(closure)
        made.append((z.tolist(), x.tolist(), unused.tolist()))
    for a, b in zip(*made, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)
