"""The contract of a model: that of a layer, and what training, saving and batches need."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from flambeau.testing.compare import assert_close
from flambeau.testing.layer_case import Checks, LayerCase


@dataclass(frozen=True)
class ModelCase(LayerCase):
    """What is known about a model, beside the fields of `LayerCase`.

    Args:
        num_parameters: how many numbers it learns, where promised.
        batched: whether the first axis of its inputs and outputs counts examples that do not affect each other.

    >>> import flambeau as fb
    >>> from flambeau.testing import check, floats, sample
    >>> make = lambda: fb.nn.Sequential(fb.nn.Linear(3, 4), fb.nn.ReLU(), fb.nn.Linear(4, 2))
    >>> check(ModelCase("mlp", make, [sample(floats(5, 3))], num_parameters=26))
    """

    num_parameters: int | None = None
    batched: bool = True

    def checks(self, device: str) -> Checks:
        """All that apply on a device."""
        listed = super().checks(device)
        if device.partition(":")[0] == "cpu":
            own: Checks = [("size", self.size), ("saving", self.saving), ("learning", self.learning)]
            if self.batched:
                own.append(("examples", self.examples))
            listed += [(name, run) for name, run in own if name not in self.skip]
        return listed

    def size(self) -> None:
        """It has as many parameters as promised."""
        found = sum(p.numel() for p in self.layer().parameters())
        assert self.num_parameters in (None, found), f"{found} parameters, promised {self.num_parameters}"

    def saving(self) -> None:
        """Its state goes through a safetensors file."""
        from flambeau.serialization import load, save

        layer, other = self.layer(), self.make().eval()
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.safetensors"
            save(layer.state_dict(), path)
            other.load_state_dict(load(path))
        assert_close(self.outputs(other), self.outputs(layer), rtol=0, atol=0, equal_nan=True)

    def learning(self) -> None:
        """A few small steps of gradient descent lower a loss."""
        from flambeau.optim import SGD

        layer = self.layer()  # evaluation mode: no random numbers, no batch statistics
        optimizer = SGD([p for p in layer.parameters() if p.requires_grad], lr=1e-3)

        def loss() -> Any:
            total: Any = 0
            for o in self.run(layer, self.inputs()):
                total = total + (o.square().mean() if o.requires_grad else 0)
            return total

        first = float(loss())
        for _ in range(3):
            optimizer.zero_grad()
            value = loss()
            value.backward()
            optimizer.step()
        last = float(loss())
        assert last < first, f"the loss went from {first} to {last} in three steps downhill"

    def examples(self) -> None:
        """The outputs for a batch are those for its examples."""
        layer = self.layer()
        inputs = self.inputs()
        together = self.outputs(layer)
        for i in range(inputs[0].shape[0]):
            alone = self.run(layer, [t[i : i + 1] for t in inputs])
            for one, all_ in zip(alone, together):
                assert_close(
                    one, all_[i : i + 1], rtol=1e-4, atol=1e-5, msg=partial("example {}: alone and in a batch differ: {}".format, i)
                )
