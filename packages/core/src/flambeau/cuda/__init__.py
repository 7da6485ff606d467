"""NVIDIA GPUs under the names of `torch.cuda`. Nothing here imports CuPy before a GPU is asked for.

>>> import flambeau as fb
>>> fb.cuda.is_available() in (True, False)
True
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, NamedTuple

from flambeau.base.errors import DeviceError, FlambeauError
from flambeau.cuda import amp as amp
from flambeau.device.base import backend
from flambeau.device.base import device as Device
from flambeau.tensor.kinds import kinds as _kinds


def _owner() -> Any:
    return backend(Device("cuda"))


def _index(device: Any) -> int:
    if device is None:
        return current_device()
    where = device if isinstance(device, Device) else Device(device)
    return _owner().index(where)


def is_available() -> bool:
    """Whether CuPy is installed and finds a GPU."""
    try:
        return device_count() > 0
    except FlambeauError:
        return False


def device_count() -> int:
    """The number of GPUs; 0 where CuPy or a GPU is missing."""
    try:
        return int(_owner().xp.cuda.runtime.getDeviceCount())
    except (DeviceError, ImportError):
        return 0


def current_device() -> int:
    """The number of the current GPU."""
    return int(_owner().xp.cuda.runtime.getDevice())


def set_device(device: Any) -> None:
    """Make a GPU the current one."""
    _owner().xp.cuda.Device(_index(device)).use()


@contextlib.contextmanager
def device(device: Any) -> Iterator[None]:
    """Make a GPU the current one for a block."""
    with _owner().xp.cuda.Device(_index(device)):
        yield


def synchronize(device: Any = None) -> None:
    """Wait until all work queued on a GPU is done."""
    _owner().synchronize(Device("cuda", _index(device)))


class DeviceProperties(NamedTuple):
    """What the driver says about a GPU. Memory is in bytes."""

    name: str
    major: int
    minor: int
    total_memory: int
    multi_processor_count: int


def get_device_properties(device: Any = None) -> DeviceProperties:
    """Name, compute capability, memory and processors of a GPU."""
    p = _owner().xp.cuda.runtime.getDeviceProperties(_index(device))
    name = p["name"].decode() if isinstance(p["name"], bytes) else p["name"]
    return DeviceProperties(name, p["major"], p["minor"], p["totalGlobalMem"], p["multiProcessorCount"])


def get_device_name(device: Any = None) -> str:
    """The name of a GPU."""
    return get_device_properties(device).name


def get_device_capability(device: Any = None) -> tuple[int, int]:
    """The compute capability of a GPU, as (major, minor)."""
    p = get_device_properties(device)
    return p.major, p.minor


def is_bf16_supported() -> bool:
    """Whether the current GPU computes in bfloat16 (compute capability 8.0 and newer)."""
    return is_available() and get_device_capability()[0] >= 8


def mem_get_info(device: Any = None) -> tuple[int, int]:
    """Free and total memory of a GPU in bytes."""
    with _owner().xp.cuda.Device(_index(device)) as current:
        free, total = current.mem_info
    return int(free), int(total)


def _pool(device: Any) -> Any:
    xp = _owner().xp
    with xp.cuda.Device(_index(device)):
        return xp.get_default_memory_pool()


def memory_allocated(device: Any = None) -> int:
    """Bytes that tensors occupy now; 0 without a GPU."""
    return int(_pool(device).used_bytes()) if is_available() else 0


def memory_reserved(device: Any = None) -> int:
    """Bytes that the memory pool holds, in use or not; 0 without a GPU."""
    return int(_pool(device).total_bytes()) if is_available() else 0


def empty_cache() -> None:
    """Give the pool's unused memory back to the driver; without a GPU there is none."""
    if is_available():
        _pool(None).free_all_blocks()


def max_memory_allocated(device: Any = None) -> int:
    """Bytes that tensors occupied at most since the pool was last emptied: what it holds, for it keeps them. 0 without a GPU."""
    return memory_reserved(device)


max_memory_reserved = max_memory_cached = max_memory_allocated
memory_cached = memory_reserved


def reset_peak_memory_stats(device: Any = None) -> None:
    """Let `max_memory_allocated` start anew: the pool's unused memory goes back to the driver."""
    empty_cache()


reset_max_memory_allocated = reset_max_memory_cached = reset_peak_memory_stats


def memory_summary(device: Any = None, abbreviated: bool = False) -> str:
    """Bytes in use and bytes held, for people to read."""
    return f"allocated {memory_allocated(device):,} bytes, reserved {memory_reserved(device):,} bytes"


def ipc_collect() -> None:
    """Nothing to collect: memory is not shared between processes."""


def is_initialized() -> bool:
    """Whether there is a GPU; nothing needs to be set up before."""
    return is_available()


def init() -> None:
    """Nothing to set up."""


def memory_stats(device: Any = None) -> dict[str, int]:
    """Bytes in use and bytes held, under PyTorch's keys."""
    return {"allocated_bytes.all.current": memory_allocated(device), "reserved_bytes.all.current": memory_reserved(device)}


class Stream:
    """A queue of work on a GPU; `with flambeau.cuda.stream(s):` sends work to it."""

    def __init__(self, device: Any = None, priority: int = 0, **kwargs: Any) -> None:
        xp = _owner().xp
        with xp.cuda.Device(_index(device)):
            self.raw = xp.cuda.Stream(non_blocking=True)

    def synchronize(self) -> None:
        """Wait until the work in this queue is done."""
        self.raw.synchronize()

    def wait_stream(self, stream: Any) -> None:
        """Let work queued from now on wait for what another stream has queued."""
        self.wait_event(stream.record_event())

    def wait_event(self, event: Event) -> None:
        """Let work queued from now on wait for an event."""
        self.raw.wait_event(event.raw)

    def record_event(self, event: Any = None) -> Event:
        """Mark this point of the queue."""
        event = event or Event()
        event.record(self)
        return event

    def query(self) -> bool:
        """Whether all queued work is done."""
        return bool(self.raw.done)


class Event:
    """A point in a queue of work, to wait for or to measure time between."""

    def __init__(self, enable_timing: bool = False, blocking: bool = False, interprocess: bool = False) -> None:
        self.raw = _owner().xp.cuda.Event(block=blocking, disable_timing=not enable_timing)

    def record(self, stream: Any = None) -> None:
        """Mark the current point of a stream."""
        self.raw.record(None if stream is None else stream.raw)

    def synchronize(self) -> None:
        """Wait for this point."""
        self.raw.synchronize()

    def query(self) -> bool:
        """Whether this point is reached."""
        return bool(self.raw.done)

    def elapsed_time(self, end_event: Event) -> float:
        """Milliseconds from this event to another."""
        return float(_owner().xp.cuda.get_elapsed_time(self.raw, end_event.raw))


@contextlib.contextmanager
def stream(stream: Stream) -> Iterator[Stream]:
    """Send work to a stream within a block."""
    with stream.raw:
        yield stream


def current_stream(device: Any = None) -> Stream:
    """The stream that work is sent to now."""
    made: Stream = object.__new__(Stream)
    made.raw = _owner().xp.cuda.get_current_stream()
    return made


def manual_seed(seed: int) -> None:
    """Seed the default generator, whose numbers are the same on every device."""
    from flambeau.ops import random

    random.manual_seed(seed)


manual_seed_all = manual_seed


def get_rng_state(device: Any = None) -> Any:
    """The state of the default generator, whose numbers are the same on every device."""
    from flambeau.ops import random

    return random.get_rng_state()


def set_rng_state(new_state: Any, device: Any = None) -> None:
    """Take up a state that `get_rng_state` gave."""
    from flambeau.ops import random

    random.set_rng_state(new_state)


def get_rng_state_all() -> list[Any]:
    """The state for each GPU, which is one and the same."""
    return [get_rng_state() for _ in range(device_count())]


def set_rng_state_all(new_states: list[Any]) -> None:
    """Take up what `get_rng_state_all` gave."""
    for state in new_states:
        set_rng_state(state)


globals().update(_kinds("cuda"))
