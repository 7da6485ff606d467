"""How a batch travels from a worker process: a small message on a socket, the bytes in shared memory.

Every message is short, so that a worker can never block on a full pipe. The parent reads arrays in place: a segment is lent to the batch
and goes back to the worker when the last array of the batch is garbage. A consumer that keeps many batches gets copies instead, so the
number of segments (and file descriptors) stays small.
"""

from __future__ import annotations

import io
import pickle
import weakref
from collections import deque
from typing import Any

import numpy as np

from flambeau.data import shm

_INLINE = 4096  # a payload up to this many bytes goes with the message
_ALIGN = 64
_LENT_AT_MOST = 4  # segments a worker's consumer may hold before batches are copied


class _Pickler(pickle.Pickler):
    """Pickles tensors and arrays by their memory, out of band."""

    def reducer_override(self, obj: Any) -> Any:
        if type(obj) is np.ndarray and obj.dtype.kind != "O" and not obj.flags.forc:
            return np.ascontiguousarray(obj).__reduce_ex__(5)
        return NotImplemented


def dump(obj: Any) -> list[Any]:
    """`obj` as a pickle and the buffers it refers to."""
    buffers: list[pickle.PickleBuffer] = []
    stream = io.BytesIO()
    _Pickler(stream, protocol=5, buffer_callback=buffers.append).dump(obj)
    return [stream.getbuffer(), *(buffer.raw() for buffer in buffers)]


def _place(sizes: list[int]) -> tuple[list[int], int]:
    """Aligned offsets for parts of these sizes, and the end."""
    offsets, end = [], 0
    for size in sizes:
        offsets.append(end)
        end += -(-size // _ALIGN) * _ALIGN
    return offsets, end


def _write(target: memoryview, parts: list[Any], offsets: list[int]) -> None:
    view = np.frombuffer(target, dtype=np.uint8)
    for part, offset in zip(parts, offsets, strict=True):
        view[offset : offset + part.nbytes] = np.frombuffer(part, dtype=np.uint8)


class Sender:
    """The worker's end: sends objects, lends segments."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.pool = shm.SegmentPool()

    def send(self, obj: Any) -> None:
        parts = dump(obj)
        sizes = [part.nbytes for part in parts]
        table = np.array([len(sizes), *sizes], dtype=np.int64).data.cast("B")
        parts.insert(0, table)
        offsets, end = _place([part.nbytes for part in parts])
        if end <= _INLINE:
            message = bytearray(end)
            _write(memoryview(message), parts, offsets)
            self.connection.send(("inline", bytes(message)))
            return
        segment, ticket, dropped = self.pool.take(end)
        _write(memoryview(segment.memory), parts, offsets)
        self.connection.send(("shared", segment.number, segment.size, ticket is not None, dropped))
        if ticket is not None:
            shm.send_ticket(self.connection, ticket)


class Receiver:
    """The parent's end for one worker: receives objects, and collects the segments that may be given back."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.segments: dict[int, shm.Segment] = {}
        self.lent = 0
        self._returned: deque[int] = deque()  # appended to by finalizers, which may run in any thread

    def receive(self) -> Any:
        kind, *rest = self.connection.recv()
        if kind == "inline":
            return _load(np.frombuffer(bytearray(rest[0]), dtype=np.uint8))
        number, size, is_new, dropped = rest
        for old in dropped:
            self.segments.pop(old, None)
        if is_new:
            self.segments[number] = shm.receive_segment(self.connection, number, size)
        lease = np.frombuffer(self.segments[number].memory, dtype=np.uint8)
        if self.lent - len(self._returned) >= _LENT_AT_MOST:
            lease = lease.copy()
            self._returned.append(number)
        else:
            weakref.finalize(lease, self._returned.append, number).atexit = False
        self.lent += 1
        return _load(lease)

    def take_returned(self) -> list[int]:
        """Numbers of the segments that no batch uses any more."""
        numbers = [self._returned.popleft() for _ in range(len(self._returned))]
        self.lent -= len(numbers)
        return numbers


def _load(whole: Any) -> Any:
    """Rebuild an object whose arrays are views of `whole` (a one-dimensional array of bytes), which they keep alive."""
    memory = memoryview(whole)
    count = int(np.frombuffer(memory[:8], dtype=np.int64)[0])
    sizes = np.frombuffer(memory[8 : 8 + 8 * count], dtype=np.int64).tolist()
    offsets, _ = _place([8 * (count + 1), *sizes])
    first, *others = (memory[offset : offset + size] for offset, size in zip(offsets[1:], sizes, strict=True))
    return pickle.loads(first, buffers=others)
