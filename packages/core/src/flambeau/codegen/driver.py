"""The flat functions that call kernels in order. Each takes one pointer, to a block of addresses: see `Block`."""

from __future__ import annotations

from dataclasses import dataclass

from flambeau.codegen.loops import Kernel
from flambeau.codegen.nodes import Buffer


@dataclass
class Block:
    """The argument block: the arena, the numbers, then an address for each input, result and constant."""

    arena: dict[Buffer, int]  # offsets
    slots: dict[Buffer, int]  # positions in the block of buffers outside the arena

    ARENA = 0
    NUMBERS = 1
    FIRST = 2


def write_driver(name: str, kernels: list[Kernel], block: Block) -> tuple[str, list[str]]:
    """The text of the driver's function, and the declarations it needs."""
    lines = [f"define void @{name}(ptr %block) #0 {{"]
    known: dict[tuple[str, int], str] = {}
    declared = []

    def pointer(position: int) -> str:
        if ("slot", position) not in known:
            n = len(known)
            lines.append(f"  %a{n} = getelementptr ptr, ptr %block, i64 {position}\n  %b{n} = load ptr, ptr %a{n}")
            known["slot", position] = f"%b{n}"
        return known["slot", position]

    def address(buffer: Buffer) -> str:
        if buffer in block.slots:
            return pointer(block.slots[buffer])
        base, offset = pointer(Block.ARENA), block.arena[buffer]
        if ("arena", offset) not in known:
            known["arena", offset] = f"%c{len(known)}"
            lines.append(f"  {known['arena', offset]} = getelementptr i8, ptr {base}, i64 {offset}")
        return known["arena", offset]

    def number(index: int) -> str:
        base = pointer(Block.NUMBERS)
        if ("number", index) not in known:
            n = len(known)
            known["number", index] = f"%d{n}"
            lines.append(f"  %e{n} = getelementptr double, ptr {base}, i64 {index}\n  %d{n} = load double, ptr %e{n}")
        return known["number", index]

    for kernel in kernels:
        arguments = [f"ptr {address(b)}" for b in kernel.buffers] + [f"double {number(i)}" for i in kernel.scalars]
        types = ["ptr"] * len(kernel.buffers) + ["double"] * len(kernel.scalars)
        declared.append(f"declare void @{kernel.name}({', '.join(types)})")
        lines.append(f"  call void @{kernel.name}({', '.join(arguments)})")
    lines += ["  ret void", "}"]
    return "\n".join(lines), declared
