"""`torch.distributed` of one process: a group of one can be made, and exchanging with oneself changes nothing."""

from __future__ import annotations

import os
from enum import Enum
from typing import Any

from flambeau.base.errors import FlambeauError, explain

_group: list[bool] = []  # not empty while a group is open


class ReduceOp(Enum):
    """How the values of the processes are put together; of one process they stay as they are."""

    SUM, AVG, PRODUCT, MIN, MAX = range(5)


class _Done:
    """What an exchange with `async_op=True` returns."""

    def wait(self, timeout: Any = None) -> bool:
        """It is done."""
        return True

    is_completed = is_success = wait


def is_available() -> bool:
    """A group of one process can be made."""
    return True


def is_initialized() -> bool:
    """Whether `init_process_group` was called."""
    return bool(_group)


def is_torchelastic_launched() -> bool:
    """False: programs are started without torchrun."""
    return False


is_nccl_available = is_gloo_available = is_mpi_available = is_torchelastic_launched


def get_rank(group: Any = None) -> int:
    """The only process has number 0."""
    return 0


def get_world_size(group: Any = None) -> int:
    """One process."""
    return 1


def get_backend(group: Any = None) -> str:
    """The name of what exchanges."""
    return "gloo"


def init_process_group(backend: Any = None, init_method: Any = None, timeout: Any = None, world_size: int = -1, **options: Any) -> None:
    """Open a group of one process. Raises FlambeauError for more (also by WORLD_SIZE, as torchrun sets it)."""
    size = world_size if world_size > 0 else int(os.environ.get("WORLD_SIZE", "1"))
    if size != 1:
        hint = "run the program in one process, without torchrun"
        got = f"a group of {size}"
        raise FlambeauError(explain("torch.distributed.init_process_group", expected="one process", got=got, hint=hint))
    _group[:] = [True]


def destroy_process_group(group: Any = None) -> None:
    """Close the group."""
    _group.clear()


def new_group(*args: Any, **kwargs: Any) -> None:
    """The group of one process again."""


def barrier(*args: Any, **kwargs: Any) -> None:
    """Nothing to wait for."""


def all_reduce(tensor: Any, op: Any = ReduceOp.SUM, group: Any = None, async_op: bool = False) -> Any:
    """The tensor stays as it is."""
    return _Done() if async_op else None


def broadcast(tensor: Any, src: int = 0, group: Any = None, async_op: bool = False) -> Any:
    """The tensor stays as it is."""
    return _Done() if async_op else None


reduce = all_reduce


def broadcast_object_list(object_list: list[Any], src: int = 0, group: Any = None, device: Any = None) -> None:
    """The list stays as it is."""


def all_gather(tensor_list: list[Any], tensor: Any, group: Any = None, async_op: bool = False) -> Any:
    """Copy the tensor to the only place."""
    tensor_list[0].copy_(tensor)
    return _Done() if async_op else None


def gather(tensor: Any, gather_list: list[Any] | None = None, dst: int = 0, group: Any = None, async_op: bool = False) -> Any:
    """Copy the tensor to the only place."""
    return all_gather(gather_list or [tensor], tensor, group, async_op)


def all_gather_object(object_list: list[Any], obj: Any, group: Any = None) -> None:
    """Put the object at the only place."""
    object_list[0] = obj
