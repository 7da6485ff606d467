"""From a graph to a `Program`: lower, fuse, write kernels, plan memory, compile, link.

A program runs as native segments, one call each, with the operations that have no code here between them (their kernels are called on
NumPy arrays over the same memory). A graph whose operations all have code is one native call.
"""

from __future__ import annotations

from collections.abc import Mapping

from flambeau.base.errors import ArgumentError, explain
from flambeau.codegen import llvm
from flambeau.codegen.cache import object_code
from flambeau.codegen.contract import write_contract
from flambeau.codegen.driver import Block, Driver
from flambeau.codegen.expr import movable
from flambeau.codegen.fuse import Group, fuse
from flambeau.codegen.gather import write_scatter
from flambeau.codegen.kernel import form_of
from flambeau.codegen.layout import Layout
from flambeau.codegen.loops import Kernel
from flambeau.codegen.lower import Lowering
from flambeau.codegen.matmul import write_matmul
from flambeau.codegen.memory import Step, plan
from flambeau.codegen.nodes import Access, Buffer, Node
from flambeau.codegen.pool import pool
from flambeau.codegen.program import Program, Segment
from flambeau.codegen.wide import write_group, writer_of
from flambeau.graph.ir import Graph
from flambeau.primitives.prim import lookup

Work = list[Kernel] | Node  # kernels that may run side by side, a check, or a primitive that Python runs
Steps = list[Work]


def build(graph: Graph, donated: Mapping[int, int] | None = None, target: llvm.Target | None = None) -> Program:
    """Compile a graph.

    Args:
        graph: a verified graph on the CPU.
        donated: for some results (by position) the input whose memory the result will be stored in (`Program.bind`). The program is
            arranged so that nothing reads such an input after it is overwritten.
        target: the processor to write for; this machine by default.
    """
    target = llvm.host() if target is None else target
    given = dict(donated or {})
    if len(set(given.values())) != len(given):
        raise ArgumentError(explain("build", expected="an input donated to one result only", got=str(given)))
    low = Lowering(graph)
    results = _result_buffers(low)
    groups = fuse(low.nodes, results, {results[j]: low.inputs[i] for j, i in given.items()})
    outside = _needed_outside(groups, results)
    steps: Steps = [step for group in groups for step in _write(group, outside, target)]
    for j, i in given.items():
        if _overwritten_early(steps, low.inputs[i], results[j]) or _before_errors(steps, results[j]):
            results[j] = _copied_last(steps, results[j], target)
    return _link(low, steps, results, target)


def _result_buffers(low: Lowering) -> list[Buffer]:
    """A buffer of its own for each result; what is a view, an input, a number or another result is copied."""
    buffers: list[Buffer] = []
    for x in low.results:
        own = isinstance(x, Access) and x.buffer.node is not None and x.layout.is_contiguous and x.layout.size == x.buffer.size
        if not (own and isinstance(x, Access) and x.buffer not in buffers):
            x = low.copied(x)
        assert isinstance(x, Access)
        buffers.append(x.buffer)
    return buffers


def _needed_outside(groups: list[Group], results: list[Buffer]) -> set[Buffer]:
    """Buffers that a group must store: results, and what other groups read."""
    home = {b: g for g in groups for n in g.nodes for b in n.outputs}
    return {*results, *(b for g in groups for b in g.reads() if home.get(b) is not g)}


def _write(group: Group, outside: set[Buffer], target: llvm.Target) -> Steps:
    """The kernels (or the Python step) of a group."""
    node = group.nodes[0]
    if node.kind in ("python", "check"):
        return [node]
    if node.kind == "matmul":
        return [write_matmul(node, target)]
    if node.kind == "native":
        return list(node.params["write"](node, target))
    if node.kind == "scatter":
        return [_write_piece(node, 0, target), write_scatter(node, target)]
    if node.kind == "pieces":
        return [_write_piece(node, i, target) for i in range(len(node.regions))]
    stored = [n for n in group.nodes if n.outputs[0] in outside]
    if node.kind in ("contract", "steps"):
        return list(write_contract(group.nodes, stored, target))
    return list(write_group(group, stored, target))


def _write_piece(node: Node, i: int, target: llvm.Target) -> list[Kernel]:
    """A copy into a region of the node's buffer."""
    x, region = node.operands[i], node.regions[i].squeeze()
    operand = Access(x.buffer, x.layout.squeeze()) if isinstance(x, Access) else x
    piece = Node("map", "copy", (operand,), region.shape, node.outputs)
    kernels = writer_of(form_of(Group([piece], 0, region.shape), [piece], region), target).write()
    base = x if i == 0 and isinstance(x, Access) and region == Layout.contiguous(node.outputs[0].shape).squeeze() else None
    whole = base is not None and base.layout.is_contiguous and base.layout.size == base.buffer.size
    for kernel in kernels:
        kernel.reads = {b: set(node.outputs) if whole else set() for b in kernel.reads}
        kernel.same = (base.buffer, node.outputs[0]) if base is not None and whole else None
    return kernels


def _overwritten_early(steps: Steps, source: Buffer, result: Buffer) -> bool:
    """Whether a step reads an input when the result that takes its memory is already there."""
    written = False
    for step in steps:
        seen = _seen(step)
        here = result in seen.writes
        if source in seen.reads and (written or (here and result not in seen.reads[source])):
            return True
        written = written or here
    return False


def _before_errors(steps: Steps, result: Buffer) -> bool:
    """Whether a result is written before a step that may end the run with an error: memory outside must then be as it was."""
    last = max((k for k, step in enumerate(steps) if isinstance(step, Node)), default=-1)
    return any(result in _seen(step).writes for step in steps[: last + 1])


def _copied_last(steps: Steps, result: Buffer, target: llvm.Target) -> Buffer:
    """A copy of a result, made when everything else is done."""
    x = Access(result, Layout.contiguous(result.shape).squeeze())
    copy = Buffer(result.shape, result.dtype)
    node = Node("map", "copy", (x,), x.shape, (copy,), prim=lookup("pack"), numbers=(Access(result, Layout.contiguous(result.shape)),))
    copy.node = node
    if movable(result.dtype) and result.size:
        steps.append(writer_of(form_of(Group([node], 0, node.shape), [node]), target).write())
    else:
        node.kind = "python"
        steps.append(node)
    return copy


def _seen(step: Work) -> Step:
    """A step as the memory planner sees it; kernels side by side read and write different parts of the same buffers."""
    if isinstance(step, list):
        return Step(step[0].reads, step[0].writes, [b for k in step for b in k.scratch])
    return Step({a.buffer: set() for a in step.accesses()}, list(step.outputs))


def _link(low: Lowering, steps: Steps, results: list[Buffer], target: llvm.Target) -> Program:
    """Lay out memory, compile what is not in the cache, and join it."""
    seen = [_seen(s) for s in steps]
    constants = list({b: None for s in seen for b in s.reads if b.constant is not None})
    fixed = [*low.inputs, *results, *constants, *(s.state for s in low.streams.values())]
    offsets, size = plan(seen, set(fixed))
    block = Block(offsets, {b: Block.FIRST + i for i, b in enumerate(fixed)})
    segments: list[Segment | Node] = []
    for step in steps:
        if isinstance(step, Node) and step.kind == "python":
            segments.append(step)
        elif segments and isinstance(segments[-1], Segment):
            segments[-1].steps.append(step)
        else:
            segments.append(Segment([step]))
    library = _compile([s for s in segments if isinstance(s, Segment)], block, target)
    return Program(low.graph, block, size, low.inputs, results, constants, segments, library, list(low.streams.values()))


def _compile(segments: list[Segment], block: Block, target: llvm.Target) -> llvm.Library | None:
    if not segments:
        return None
    driver = Driver(block)
    for i, segment in enumerate(segments):
        segment.name = f"run{i}"
        driver.add(segment.name, segment.steps)
    kernels = {k.name: k for s in segments for step in s.steps if isinstance(step, list) for k in step}
    objects = [object_code(k.text, target) for k in kernels.values()] + [object_code(driver.text(), target)]
    symbols = dict.fromkeys(name for k in kernels.values() for name in k.imports)
    known = {"parfor": pool().parfor} if driver.threads else {}
    library = llvm.Library(objects, [s.name for s in segments], target, symbols, known)
    for segment in segments:
        segment.address, segment.threads = library.addresses[segment.name], driver.threads
    return library
