"""`torch.distributed` of one process: programs that ask whether they are distributed get the answer no."""

from __future__ import annotations

from typing import Any, NoReturn

from flambeau.base.errors import FlambeauError, explain


def is_available() -> bool:
    """No process groups here."""
    return False


def is_initialized() -> bool:
    """No process groups here."""
    return False


is_torchelastic_launched = is_nccl_available = is_gloo_available = is_mpi_available = is_initialized


def get_rank(group: Any = None) -> int:
    """The only process has number 0."""
    return 0


def get_world_size(group: Any = None) -> int:
    """One process."""
    return 1


def init_process_group(*args: Any, **kwargs: Any) -> NoReturn:
    """Refused: there are no process groups."""
    hint = "run the program in one process, without torchrun"
    raise FlambeauError(explain("torch.distributed.init_process_group", expected="one process", got="a process group", hint=hint))


def destroy_process_group(group: Any = None) -> None:
    """Nothing to end."""


def barrier(*args: Any, **kwargs: Any) -> None:
    """Nothing to wait for."""
