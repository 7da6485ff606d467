"""Where every buffer lives: an input, a result, a constant, or a place in the arena that several share at different times."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from flambeau.codegen.nodes import Buffer

ALIGN = 64


@dataclass
class Step:
    """What the planner sees of one step: the buffers it reads, each with the written ones that may take its place, and those it writes.
    `scratch` is memory that it needs only while it runs."""

    reads: dict[Buffer, set[Buffer]]
    writes: list[Buffer]
    scratch: list[Buffer] = field(default_factory=list)


@dataclass
class Slot:
    """Bytes in the arena, in use from step `start` to step `stop` (both included)."""

    nbytes: int
    start: int
    stop: int
    offset: int = -1


def plan(steps: list[Step], fixed: set[Buffer]) -> tuple[dict[Buffer, int], int]:
    """Offsets in the arena of all buffers that are written and not `fixed` elsewhere, and the arena's size."""
    slots = _slots(steps, fixed)
    placed: list[Slot] = []
    unique = list({id(s): s for s in slots.values()}.values())
    for slot in sorted(unique, key=lambda s: (-s.nbytes, s.start)):
        slot.offset = _first_gap(slot, placed)
        placed.append(slot)
    size = max((s.offset + _rounded(s.nbytes) for s in placed), default=0)
    return {b: s.offset for b, s in slots.items()}, size


def _slots(steps: list[Step], fixed: set[Buffer]) -> dict[Buffer, Slot]:
    last = {b: i for i, step in enumerate(steps) for b in (*step.reads, *step.writes, *step.scratch)}
    slots: dict[Buffer, Slot] = {}
    for i, step in enumerate(steps):
        free = [b for b in step.reads if b in slots and last[b] == i]
        for b in (*step.writes, *step.scratch):
            if b in fixed or b in slots:
                continue
            place = next((f for f in free if b in step.reads[f] and f.nbytes == b.nbytes), None)
            if place is not None:
                free.remove(place)
                slots[b] = slots[place]
                slots[b].stop = max(slots[b].stop, last[b])
            else:
                slots[b] = Slot(b.nbytes, i, last[b])
    return slots


def _first_gap(slot: Slot, placed: Iterable[Slot]) -> int:
    """The lowest offset where no slot that lives at the same time lies."""
    at = 0
    for other in sorted((p for p in placed if p.start <= slot.stop and slot.start <= p.stop), key=lambda p: p.offset):
        if other.offset - at >= _rounded(slot.nbytes):
            break
        at = max(at, other.offset + _rounded(other.nbytes))
    return at


def _rounded(n: int) -> int:
    return max((n + ALIGN - 1) // ALIGN * ALIGN, ALIGN)
