"""Features at named layers of any model."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

from flambeau import nn
from flambeau.base.errors import ArgumentError, did_you_mean, explain


class IntermediateLayerGetter(nn.ModuleDict):
    """Runs the children of a model one after the other, up to the last one that is wanted, and returns what some of them give.

    For models that are a sequence of their children (ResNet up to `layer4`, or `features` of a MobileNet). Names in the state dict are
    those of the model.

    Args:
        model: the model.
        return_layers: name of a child -> name in the result.
    """

    def __init__(self, model: nn.Module, return_layers: Mapping[str, str]) -> None:
        children = OrderedDict(model.named_children())
        _check(return_layers, children)
        super().__init__()
        wanted = set(return_layers)
        for name, module in children.items():
            self[name] = module
            wanted.discard(name)
            if not wanted:
                break
        self.return_layers = dict(return_layers)

    def forward(self, x: Any) -> OrderedDict[str, Any]:
        out: OrderedDict[str, Any] = OrderedDict()
        for name, module in self.items():
            x = module(x)
            if name in self.return_layers:
                out[self.return_layers[name]] = x
        return out


class FeatureExtractor(nn.Module):
    """A model that returns what some of its layers give, by name."""

    def __init__(self, model: nn.Module, return_nodes: Mapping[str, str]) -> None:
        super().__init__()
        _check(return_nodes, dict(model.named_modules()))
        self.model, self.return_nodes = model, dict(return_nodes)
        self.training = model.training

    def forward(self, *args: Any, **kwargs: Any) -> OrderedDict[str, Any]:
        found: dict[str, Any] = {}
        layers = dict(self.model.named_modules())
        handles = [
            layers[name].register_forward_hook(lambda module, inputs, output, new=new: found.__setitem__(new, output))
            for name, new in self.return_nodes.items()
        ]
        try:
            self.model(*args, **kwargs)
        finally:
            for handle in handles:
                handle.remove()
        return OrderedDict((new, found[new]) for new in self.return_nodes.values() if new in found)


def create_feature_extractor(model: nn.Module, return_nodes: Sequence[str] | Mapping[str, str]) -> FeatureExtractor:
    """The features of named layers: a model that returns a dict.

    Args:
        model: any model; its parameters are shared.
        return_nodes: names of layers as in `model.named_modules()`, or a mapping from them to names in the result.

    >>> import flambeau
    >>> from flambeau_vision.models import resnet18
    >>> extract = create_feature_extractor(resnet18().eval(), {"layer2": "fine", "avgpool": "pooled"})
    >>> {name: tuple(value.shape) for name, value in extract(flambeau.zeros(1, 3, 32, 32)).items()}
    {'fine': (1, 128, 4, 4), 'pooled': (1, 512, 1, 1)}
    """
    nodes = return_nodes if isinstance(return_nodes, Mapping) else {name: name for name in return_nodes}
    return FeatureExtractor(model, nodes)


def _check(wanted: Mapping[str, str], known: Mapping[str, Any]) -> None:
    if not wanted:
        raise ArgumentError(explain("features", expected="at least one layer", got="none"))
    for name in wanted:
        if not name or name not in known:
            raise ArgumentError(explain("features", expected="names of layers", got=repr(name), hint=did_you_mean(name, known)))
