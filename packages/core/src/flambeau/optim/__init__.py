"""Optimizers with PyTorch's names, arguments, state dicts and step-by-step results."""

from flambeau.optim.adam import Adam, AdamW
from flambeau.optim.optimizer import Optimizer
from flambeau.optim.sgd import SGD

__all__ = ["SGD", "Adam", "AdamW", "Optimizer"]
