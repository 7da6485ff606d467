"""Running contracts: `check` in any program, `run` as a pytest test."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from flambeau.base.errors import ArgumentTypeError, explain, missing_extra
from flambeau.testing import op_checks
from flambeau.testing.op_case import OpCase


def _op_checks(case: OpCase, device: str) -> list[tuple[str, Callable[[], None]]]:
    if device.partition(":")[0] not in ("cpu", "meta"):
        return [("device", lambda: op_checks.on_device(case, device))]
    wanted: dict[str, bool] = {
        "values": True,
        "shapes": case.shapes is not None,
        "dtypes": bool(case.dtypes),
        "gradient": case.differentiable,
        "second_gradient": case.differentiable and case.twice,
        "layouts": True,
        "meta": case.meta,
        "vmap": case.vmap,
        "errors": bool(case.errors),
    }
    names = [name for name, on in wanted.items() if on and name not in case.skip]
    return [(name, partial(getattr(op_checks, name), case)) for name in names]


def checks_of(case: Any, device: str = "cpu") -> list[tuple[str, Callable[[], None]]]:
    """The checks of a contract case by name."""
    if isinstance(case, OpCase):
        return _op_checks(case, device)
    if hasattr(case, "checks"):
        listed: list[tuple[str, Callable[[], None]]] = case.checks(device)
        return listed
    raise ArgumentTypeError(explain("check", expected="an OpCase, LayerCase, ModelCase, OptimizerCase or DatasetCase", got=repr(case)))


def check(case: Any, device: str = "cpu") -> None:
    """Run all checks of a contract case; AssertionError names every check that failed, and why.

    >>> import flambeau as fb
    >>> from flambeau.testing import OpCase, floats, sample
    >>> check(OpCase("wrong", fb.exp, [sample(floats(2))], reference=lambda x: x, dtypes=(), differentiable=False, vmap=False))
    Traceback (most recent call last):
    ...
    AssertionError: wrong broke its contract.
    values: Tensor-likes are not close: 2 of 2 elements differ (100.0%).
    ...
    """
    _need_hypothesis(case)
    failures = []
    for name, run_check in checks_of(case, device):
        try:
            run_check()
        except Exception as error:
            failures.append((name, error))
    if failures:
        told = "\n".join(f"{name}: {_first_lines(error)}" for name, error in failures)
        raise AssertionError(f"{case.name} broke its contract.\n{told}") from failures[0][1]


def _first_lines(error: Exception) -> str:
    text = str(error) if isinstance(error, AssertionError) else f"{type(error).__name__}: {error}"
    return "\n".join(text.splitlines()[:12])


def _need_hypothesis(case: Any) -> None:
    if getattr(case, "shapes", None) is not None:
        try:
            import hypothesis  # noqa: F401
        except ImportError:
            raise missing_extra(f"the contract of {case.name}", "hypothesis", "flambeau[testing]") from None


def run(cases: Any, device: str = "cpu") -> Any:
    """A pytest test of one contract case or several: `test_my_ops = run([...])` in a test module.

    >>> import flambeau as fb
    >>> from flambeau.testing import OpCase, floats, sample
    >>> test_my_ops = run(OpCase("double", lambda x: x * 2, [sample(floats(2, 3))], reference=lambda x: x * 2))
    """
    try:
        import pytest
    except ImportError:
        raise missing_extra("flambeau.testing.run", "pytest", "flambeau[testing]") from None
    listed = list(cases) if isinstance(cases, Iterable) else [cases]

    @pytest.mark.parametrize("case", listed, ids=[c.name for c in listed])
    def test_contract(case: Any) -> None:
        check(case, device)

    return test_contract
