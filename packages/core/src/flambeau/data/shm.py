"""Anonymous shared memory: segments without names, so nothing can be left behind, whoever is killed.

A worker creates a segment and hands it to its parent once; from then on both write and read the same pages. On POSIX a segment is a file
that has no name (memfd on Linux, else an unlinked temporary file) whose descriptor travels over the worker's socket; on Windows it is a
page-file mapping that lives as long as a handle to it.
"""

from __future__ import annotations

import mmap
import os
import secrets
import socket
import sys
import tempfile
from dataclasses import dataclass
from typing import Any

_GRAIN = 1 << 16
_SLACK = 8  # a free segment up to this many times too large is reused


@dataclass(eq=False)
class Segment:
    """A piece of shared memory; `number` names it between one worker and its parent."""

    number: int
    memory: mmap.mmap
    size: int


def create(number: int, nbytes: int) -> tuple[Segment, int | str]:
    """A new segment of at least `nbytes` and the ticket (descriptor or name) by which the other side opens it."""
    size = -(-nbytes // _GRAIN) * _GRAIN
    if sys.platform == "win32":
        name = f"flambeau-{os.getpid()}-{secrets.token_hex(8)}"
        return Segment(number, mmap.mmap(-1, size, tagname=name), size), name
    descriptor = _nameless_file()
    try:
        os.ftruncate(descriptor, size)
        return Segment(number, mmap.mmap(descriptor, size), size), descriptor
    except BaseException:
        os.close(descriptor)
        raise


def _nameless_file() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("flambeau-data", os.MFD_CLOEXEC)
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def send_ticket(connection: Any, ticket: int | str) -> None:
    """Hand a ticket to the process at the other end of `connection`, and let go of it here."""
    if isinstance(ticket, str):
        connection.send_bytes(ticket.encode())
        return
    try:
        with socket.socket(fileno=os.dup(connection.fileno())) as channel:
            socket.send_fds(channel, [b"s"], [ticket])
    finally:
        os.close(ticket)


def receive_segment(connection: Any, number: int, size: int) -> Segment:
    """Open the segment whose ticket comes next on `connection`."""
    if sys.platform == "win32":
        return Segment(number, mmap.mmap(-1, size, tagname=connection.recv_bytes().decode()), size)
    with socket.socket(fileno=os.dup(connection.fileno())) as channel:
        data, descriptors, _, _ = socket.recv_fds(channel, 1, 1)
    if not data or not descriptors:
        raise EOFError("the worker went away while it handed over shared memory")
    try:
        return Segment(number, mmap.mmap(descriptors[0], size), size)
    finally:
        os.close(descriptors[0])


class SegmentPool:
    """A worker's segments: the free ones are reused before a new one is made."""

    def __init__(self) -> None:
        self._all: dict[int, Segment] = {}
        self._free: set[int] = set()
        self._next = 0

    def give_back(self, numbers: list[int]) -> None:
        """The parent no longer reads these segments."""
        self._free.update(number for number in numbers if number in self._all)

    def take(self, nbytes: int) -> tuple[Segment, int | str | None, list[int]]:
        """A segment with room for `nbytes`: (segment, ticket if it is new, numbers of segments dropped to make room)."""
        fitting = [self._all[n] for n in self._free if nbytes <= self._all[n].size <= max(_GRAIN, nbytes * _SLACK)]
        if fitting:
            segment = min(fitting, key=lambda s: s.size)
            self._free.discard(segment.number)
            return segment, None, []
        dropped = sorted(self._free)
        for number in dropped:
            self._all.pop(number).memory.close()
        self._free.clear()
        segment, ticket = create(self._next, nbytes + nbytes // 8)
        self._all[segment.number] = segment
        self._next += 1
        return segment, ticket, dropped
