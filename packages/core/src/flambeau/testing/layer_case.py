"""The contract of a layer (`nn.Module`)."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from flambeau.autograd.modes import no_grad
from flambeau.base.dtypes import named
from flambeau.ops.random import manual_seed
from flambeau.tensor.creation import empty
from flambeau.tensor.tensor import Tensor
from flambeau.testing.compare import assert_close
from flambeau.testing.op_checks import results, tensors
from flambeau.testing.sample import Sample

Checks = list[tuple[str, Callable[[], None]]]


@dataclass(frozen=True)
class LayerCase:
    """What is known about a layer.

    Args:
        name: how it is called in messages.
        make: builds a fresh layer.
        samples: example inputs (`sample(floats(2, 3))`); the first one serves most checks.
        state: the names in its state dict, where they matter (as they do for checkpoints of PyTorch).
        shapes: the shape of the first output for each sample, where given.
        reference: the expected output from the layer and its inputs, computed in another way.
        dtypes: dtypes it runs in beside float32.
        differentiable: whether its output is a differentiable function of float inputs and parameters (in evaluation mode).
        unused: parameters that get no gradient from these samples.
        skip: names of checks that make no sense for it, each with the reason.

    >>> import flambeau as fb
    >>> from flambeau.testing import check, floats, sample
    >>> check(LayerCase("linear", lambda: fb.nn.Linear(3, 2), [sample(floats(4, 3))], state=("weight", "bias"), shapes=[(4, 2)]))
    """

    name: str
    make: Callable[[], Any]
    samples: Sequence[Sample]
    state: Sequence[str] | None = None
    shapes: Sequence[tuple[int, ...]] = ()
    reference: Callable[..., Any] | None = None
    dtypes: Sequence[str] = ("float64", "bfloat16")
    differentiable: bool = True
    unused: Sequence[str] = ()
    skip: dict[str, str] = field(default_factory=dict)

    # -- helpers --------------------------------------------------------------------------------------------------------------------------
    def layer(self, dtype: str = "float32", device: Any = "cpu") -> Any:
        """A fresh layer, always with the same initial values, in evaluation mode."""
        manual_seed(0)
        return self.make().eval().to(named(dtype)).to(device)

    def inputs(self, index: int = 0, dtype: str = "float32", device: Any = "cpu", grad: bool = False) -> list[Any]:
        """The tensors of a sample."""
        sample = self.samples[index]
        return tensors(sample, sample.arrays(f"{self.name} {index}"), dtype, device, grad)

    def run(self, layer: Any, values: list[Any], index: int = 0) -> list[Any]:
        """The tensors that the layer returns."""
        args, kwargs = self.samples[index].filled(values)
        return [t for t in results(layer(*args, **kwargs)) if isinstance(t, Tensor)]

    def outputs(self, layer: Any) -> list[Any]:
        """What it returns for the first sample, without gradients."""
        with no_grad():
            return self.run(layer, self.inputs())

    # -- checks ---------------------------------------------------------------------------------------------------------------------------
    def checks(self, device: str) -> Checks:
        """All that apply on a device."""
        if device.partition(":")[0] != "cpu":
            return [("device", lambda: self.on_device(device))]
        listed: Checks = [
            (n, getattr(self, n)) for n in ("values", "state_dict", "modes", "copies", "training", "precision", "meta", "printing")
        ]
        if self.differentiable:
            listed.append(("gradient", self.gradient))
        return [(name, run) for name, run in listed if name not in self.skip]

    def values(self) -> None:
        """Outputs have the promised shapes and values, twice the same, and inputs are left alone."""
        layer = self.layer()
        for i in range(len(self.samples)):
            inputs = self.inputs(i)
            before = [t.clone() for t in inputs]
            first, second = self.run(layer, inputs, i), self.run(layer, inputs, i)
            assert_close(first, second, rtol=0, atol=0, equal_nan=True, msg=lambda m: f"two calls differ: {m}")
            assert_close(inputs, before, rtol=0, atol=0, equal_nan=True, msg=lambda m: f"an input was changed: {m}")
            if i < len(self.shapes):
                assert tuple(first[0].shape) == tuple(self.shapes[i]), f"output of shape {tuple(first[0].shape)}, not {self.shapes[i]}"
            if self.reference is not None:
                args, kwargs = self.samples[i].filled(inputs)
                with no_grad():
                    expected = results(self.reference(layer, *args, **kwargs))
                assert_close(first, expected, rtol=1e-4, atol=1e-5)

    def state_dict(self) -> None:
        """Its state loads into a fresh layer, which then computes the same; wrong names are refused."""
        layer, other = self.layer(), self.make().eval()
        state = layer.state_dict()
        if self.state is not None:
            assert sorted(state) == sorted(self.state), f"state dict {sorted(state)}, promised {sorted(self.state)}"
        other.load_state_dict(state)
        assert_close(self.outputs(other), self.outputs(layer), rtol=0, atol=0, equal_nan=True)
        if not state:
            return
        for wrong in (dict(list(state.items())[1:]), {**state, "no such name": next(iter(state.values()))}):
            refused = False
            try:
                other.load_state_dict(wrong)
            except RuntimeError:
                refused = True
            assert refused, "a state dict with a missing or a strange name was loaded"

    def modes(self) -> None:
        """`train` and `eval` reach all parts."""
        layer = self.layer()
        for on in (True, False):
            assert layer.train(on) is layer
            assert all(m.training is on for m in layer.modules()), f"train({on}) did not reach all modules"

    def copies(self) -> None:
        """Deep copies and pickles compute the same and share nothing."""
        layer = self.layer()
        expected = self.outputs(layer)
        for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
            assert_close(self.outputs(other), expected, rtol=0, atol=0, equal_nan=True)
            with no_grad():
                for p in other.parameters():
                    p.add_(1.0)
            assert_close(self.outputs(layer), expected, rtol=0, atol=0, equal_nan=True, msg=lambda m: f"a copy shares parameters: {m}")

    def training(self) -> None:
        """In training mode every parameter gets a finite gradient."""
        layer = self.layer().train()
        out = [o for o in self.run(layer, self.inputs(grad=True)) if o.requires_grad]
        named_parameters = [(n, p) for n, p in layer.named_parameters() if p.requires_grad and n not in self.unused]
        if not named_parameters:
            return
        total: Any = 0
        for o in out:
            total = total + (o * o).sum()
        total.backward()
        for name, p in named_parameters:
            assert p.grad is not None, f"parameter {name} gets no gradient"
            assert bool(p.grad.isfinite().all()), f"the gradient of {name} is not finite"

    def gradient(self) -> None:
        """Gradients of inputs and parameters agree with finite differences in float64."""
        from flambeau.autograd.numeric import gradcheck
        from flambeau.nn.utils.stateless import functional_call

        layer = self.layer("float64")
        inputs = self.inputs(dtype="float64", grad=True)
        parameters = {n: p.detach().requires_grad_() for n, p in layer.named_parameters()}

        def call(*values: Any) -> Any:
            own, given = values[: len(parameters)], list(values[len(parameters) :])
            args, kwargs = self.samples[0].filled(given)
            out = functional_call(layer, dict(zip(parameters, own)), args, kwargs)
            return tuple(t for t in results(out) if isinstance(t, Tensor))

        if parameters or any(t.requires_grad for t in inputs):
            gradcheck(call, (*parameters.values(), *inputs), fast_mode=True)

    def precision(self) -> None:
        """Other dtypes in, the same out."""
        for dtype in self.dtypes:
            out = self.run(self.layer(dtype), self.inputs(dtype=dtype))
            for o in out:
                if o.is_floating_point():
                    assert o.dtype is named(dtype), f"an output of dtype {o.dtype} for {dtype}"
                    assert bool(o.isfinite().all()), f"outputs in {dtype} are not finite"

    def meta(self) -> None:
        """Shapes follow without data."""
        expected = self.outputs(self.layer())
        got = self.run(self.layer(device="meta"), [empty(t.shape, dtype=t.dtype, device="meta") for t in self.inputs()])
        assert [(tuple(o.shape), o.dtype) for o in got] == [(tuple(o.shape), o.dtype) for o in expected]

    def printing(self) -> None:
        """It can be printed."""
        assert type(self.layer()).__name__ in repr(self.layer())

    def on_device(self, device: str) -> None:
        """Moved to a device it computes what it computes on the CPU, there."""
        expected = self.outputs(self.layer())
        got = self.run(self.layer(device=device), self.inputs(device=device))
        for o, want in zip(got, expected):
            assert o.device.type == device.partition(":")[0], f"an output on {o.device}"
            assert_close(o.detach().cpu(), want, rtol=1e-4, atol=1e-5, equal_nan=True)
