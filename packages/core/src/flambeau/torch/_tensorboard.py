"""`torch.utils.tensorboard.SummaryWriter`: the writer of the package tensorboardX, which knows PyTorch's tensors but not ours."""

from __future__ import annotations

import warnings
from typing import Any

import flambeau
from flambeau.base.errors import missing_extra


class SummaryWriter:
    """tensorboardX's writer, with each tensor among the arguments given to it as an array.

    `add_graph` writes nothing and warns. Raises MissingExtra without the package (`pip install "flambeau[tensorboard]"`).
    """

    def __init__(self, log_dir: Any = None, *args: Any, **kwargs: Any) -> None:
        try:
            from tensorboardX import SummaryWriter as Writer
        except ImportError:
            raise missing_extra("torch.utils.tensorboard", "tensorboardX", "flambeau[tensorboard]") from None
        self._writer = Writer(log_dir, *args, **kwargs)
        self.log_dir = str(self._writer.logdir)

    def __getattr__(self, name: str) -> Any:
        if name == "_writer":  # __init__ did not get that far
            raise AttributeError(name)
        found = getattr(self._writer, name)
        if not callable(found):
            return found

        def call(*args: Any, **kwargs: Any) -> Any:
            return found(*_as_arrays(args), **_as_arrays(kwargs))

        return call

    def add_graph(self, *args: Any, **kwargs: Any) -> None:
        """Nothing but a warning."""
        warnings.warn("SummaryWriter.add_graph: the graph is not written.", stacklevel=2)

    def get_logdir(self) -> Any:
        """The folder of the event files."""
        return self.log_dir

    def __enter__(self) -> SummaryWriter:
        return self

    def __exit__(self, *error: Any) -> None:
        self._writer.close()


def _as_arrays(value: Any) -> Any:
    """The same with arrays in place of tensors, also in lists, tuples and dicts."""
    if isinstance(value, flambeau.Tensor):
        held = value.detach().cpu()
        return (held.float() if held.dtype is flambeau.bfloat16 else held).numpy()
    if type(value) in (list, tuple):
        return type(value)(_as_arrays(item) for item in value)
    return {key: _as_arrays(item) for key, item in value.items()} if type(value) is dict else value
