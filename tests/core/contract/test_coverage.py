"""Every public operation has a contract case, and every primitive runs in one."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from operator import attrgetter

import flambeau as fb
import flambeau.nn.functional
import flambeau.ops
from flambeau.testing import op_checks, rules
from tests.core.contract.tables_all import ALL

# Random numbers are tested by their own suites: moments and streams in test_generator.py, tests/core/distributions and tests/parity.
RANDOM = """
bernoulli binomial get_rng_state initial_seed manual_seed multinomial normal poisson rand rand_like randint randint_like randn randn_like
randperm seed set_rng_state
dropout dropout1d dropout2d dropout3d dropout_ alpha_dropout alpha_dropout_ feature_alpha_dropout feature_alpha_dropout_ feature_dropout
feature_dropout_ gumbel_softmax
""".split()
# Not operations on tensors, or the attributes mT and T (cases Tensor.mT, Tensor.H and permute).
OTHER = """
Generator ValuesIndices default_generator _assert broadcast_shapes typename matrix_transpose reversed_axes
""".split()
CREATION = """
arange as_tensor asarray empty empty_like eye from_numpy full full_like linspace logspace ones ones_like range scalar_tensor tensor zeros
zeros_like
""".split()


def public_names():
    """What users reach: the names of all ops modules, creation, and the functional, linear algebra, Fourier and special namespaces."""
    for module in pkgutil.iter_modules(flambeau.ops.__path__):
        names = getattr(importlib.import_module(f"flambeau.ops.{module.name}"), "__all__", ())
        yield from (name for name in names if hasattr(fb, name))
    yield from CREATION
    for space in ("nn.functional", "linalg", "fft", "special"):
        for name, value in vars(attrgetter(space)(fb)).items():
            if not name.startswith("_") and inspect.isfunction(value):
                yield f"{space}.{name}"


def test_every_public_operation_has_a_case():
    tested = {case.name.partition(" ")[0] for case in ALL}
    same = {id(attrgetter(name)(fb)) for name in tested if hasattr_path(name)}  # another name of a tested function is tested
    missing = []
    for name in set(public_names()):
        if name in tested or name.rpartition(".")[2] in {*RANDOM, *OTHER}:
            continue
        if hasattr_path(name) and id(attrgetter(name)(fb)) in same:
            continue
        missing.append(name)
    assert not missing, f"without a contract case: {' '.join(sorted(missing))}"


def hasattr_path(name):
    try:
        attrgetter(name)(fb)
    except AttributeError:
        return False
    return True


def test_every_primitive_runs_in_a_case():
    """Forward and backward, with the shape rule of each compared with what its kernel makes."""
    from flambeau.primitives.prim import table

    rules.seen.clear()
    for case in ALL:
        with rules.agreeing_rules():
            op_checks.on_device(case, "cpu")
        op_checks.values(case)  # without gradients some functions choose other rows
    control = {"cond", "scan", "while_loop"}  # loaded at first use: tests/core/compile/test_control.py
    missing = set(table) - control - rules.seen
    assert not missing, f"primitives that no contract case runs: {' '.join(sorted(missing))}"
