"""Neural networks: modules with PyTorch's names, state dicts and initial values.

>>> import flambeau as fb
>>> net = fb.nn.Sequential(fb.nn.Linear(4, 8), fb.nn.Linear(8, 2))
>>> sum(p.numel() for p in net.parameters())
58
"""

from __future__ import annotations

from flambeau.nn import init, utils
from flambeau.nn.container import ModuleDict, ModuleList, Sequential
from flambeau.nn.linear import Identity, Linear
from flambeau.nn.module import Module
from flambeau.nn.parameter import Buffer, Parameter
from flambeau.nn.parameter_container import ParameterDict, ParameterList

__all__ = [
    "Buffer",
    "Identity",
    "Linear",
    "Module",
    "ModuleDict",
    "ModuleList",
    "Parameter",
    "ParameterDict",
    "ParameterList",
    "Sequential",
    "init",
    "utils",
]
