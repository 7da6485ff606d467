"""A program as an ONNX model: inputs and outputs by name, with symbols for sizes that change, and a node or more for each step."""

from __future__ import annotations

import os
import re
from typing import IO, Any

from flambeau.__about__ import __version__
from flambeau.base import tree
from flambeau.base.errors import missing_extra
from flambeau.base.files import atomic_write
from flambeau.export.capture import refuse
from flambeau.export.onnx.builder import OPSET, Builder, Unsupported, element_type
from flambeau.export.onnx.tables import CONVERTERS
from flambeau.export.program import Entry, Exported, Type
from flambeau.export.size import symbol_of

IR_VERSION = 9
LIMIT = (1 << 31) - 1  # bytes that one message of protocol buffers may have


def write(program: Exported, path: str | os.PathLike[str] | IO[bytes]) -> None:
    """Write the model, atomically where a path is given. Raises CannotExport with a list of the operations that ONNX has no words for."""
    data = model(program).SerializeToString()
    if not isinstance(path, (str, os.PathLike)):
        path.write(data)
        return
    with atomic_write(path) as file:
        file.write(data)


def model(program: Exported) -> Any:
    """The ONNX model of a program of one entry."""
    try:
        import onnx
    except ImportError:
        raise missing_extra("export to ONNX", "onnx", "flambeau[onnx]") from None
    if len(program.entries) != 1:
        raise refuse(f"{len(program.entries)} entries in one ONNX model", "a file for each")
    if sum(array.nbytes for array in program.weights.values()) >= LIMIT:
        raise refuse("tensors of 2 GiB or more in one ONNX model", "format='flambeau'")
    (entry,) = program.entries.values()
    if entry.writes:
        raise refuse("an argument that is written to, which ONNX has no words for", "return the new value")
    if any(t.dtype.kind == "c" for t in entry.block.types()):
        raise refuse("complex numbers in an ONNX model", "flambeau.view_as_real")
    if not any(kind == "result" for kind, _ in entry.returned):
        raise refuse("a function without tensors as results")
    builder = Builder(entry)
    inputs = _inputs(builder, entry, program)
    _steps(builder, entry)
    outputs = _outputs(builder, entry)
    helper = onnx.helper
    graph = helper.make_graph(builder.nodes, "flambeau", inputs, outputs, builder.tensors)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="flambeau", ir_version=IR_VERSION)
    made.producer_version = __version__
    onnx.checker.check_model(made)
    return made


def _value(name: str, t: Type) -> Any:
    from onnx import helper

    shape = [n if isinstance(n, int) else symbol_of(n) or re.sub(r"\s", "", str(n)) for n in t.shape]
    return helper.make_tensor_value_info(name, element_type(t.dtype), shape)


def _inputs(builder: Builder, entry: Entry, program: Exported) -> list[Any]:
    """The model's inputs: tensors among the arguments, also those that nothing reads."""
    names: dict[int, str] = {}
    values = []
    for i, a in enumerate(entry.arguments):
        if a.type is not None:
            names[i] = _name(a.name, list(names.values()))
            values.append(_value(names[i], a.type))
            for axis, n in enumerate(a.type.shape):
                if (symbol := symbol_of(n)) is not None:
                    builder.origin.setdefault(symbol, (names[i], axis))
    for number, source in enumerate(entry.sources):
        if isinstance(source, str):
            builder.names[number] = builder.constant(program.weights[source], source)
        else:
            builder.names[number] = names[source]
    return values


def _steps(builder: Builder, entry: Entry) -> None:
    number = len(entry.block.inputs)
    missing: list[str] = []
    for step in entry.block.steps:
        outputs: Any = None
        try:
            if step.prim.name not in CONVERTERS:
                raise Unsupported("it has no counterpart")
            if not missing:
                outputs = CONVERTERS[step.prim.name](builder, step, builder.operands(step), number)
        except Unsupported as reason:
            missing.append(f"{step.prim.name} at {step.where}: {reason}")
        for i, name in enumerate(outputs if isinstance(outputs, (list, tuple)) else [outputs]):
            builder.names[number + i] = name
        number += len(step.outputs)
    if missing:
        raise refuse("operations that ONNX has no words for: " + "; ".join(dict.fromkeys(missing)), "format='flambeau'")


def _outputs(builder: Builder, entry: Entry) -> list[Any]:
    paths = tree.paths(tree.flatten(entry.results)[1])
    taken = [a.name for a in entry.arguments]
    values = []
    for path, (kind, x) in zip(paths, entry.returned, strict=True):
        if kind == "result":
            name = _name("output" + path if not path or path.startswith("[0") or path[1:2].isdigit() else path, taken)
            taken.append(name)
            number = entry.block.outputs[x]
            builder.identity(builder.names[number], name)
            values.append(_value(name, builder.types[number]))
    return values


def _name(path: str, taken: list[str]) -> str:
    """A path such as `batch['x'][0]` as an identifier that is not taken: batch_x_0."""
    name = re.sub(r"\W+", "_", path).strip("_") or "output"
    while name in taken:
        name += "_"
    return name
