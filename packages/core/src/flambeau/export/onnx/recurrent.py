"""How recurrent layers are written."""

from __future__ import annotations

import numpy as np

from flambeau.export.onnx.builder import Builder, Unsupported, known
from flambeau.export.program import Step


def lstm(b: Builder, step: Step, xs: list[str], n: int) -> list[str]:
    """ONNX's LSTM, whose gates come in the order input, output, forget, cell. The input's part of the gates is computed already, so that
    its weight only puts them in that order."""
    if n + 2 in b.used or n + 3 in b.used:
        raise Unsupported("the cell state of every step")
    (width,) = known(b.type(step.inputs[3]).shape[1:], "a hidden size")
    order = np.arange(4 * width).reshape(4, width)[[0, 3, 1, 2]].reshape(-1)
    places = np.eye(4 * width, dtype=step.outputs[0].dtype)[order]
    first = b.ints([0])
    weight = b.node("Unsqueeze", b.node("Gather", xs[3], b.constant(order), axis=0), first)
    h, c = (b.node("Unsqueeze", x, first) for x in xs[1:3])
    operands = [xs[0], b.constant(places[None]), weight, "", "", h, c]
    hs, _, last = b.node("LSTM", *operands, outputs=3, hidden_size=width)
    return [b.node("Squeeze", hs, b.ints([1])), b.node("Squeeze", last, first), "", ""]
