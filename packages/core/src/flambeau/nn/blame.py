"""Say in which module of a model an error arose."""

from __future__ import annotations

from typing import Any

_MARK = "In module "


def locate(error: BaseException, module: Any) -> None:
    """Add a note with the module's path to an error that leaves its `__call__`; each enclosing module extends the path.

    The note reads `In module Net.layers.0: Linear(in_features=4, out_features=2, bias=True)`.
    """
    notes = getattr(error, "__notes__", [])
    known = next((n for n in notes if n.startswith(_MARK)), None)
    inner = error.__dict__.get("_module")
    error.__dict__["_module"] = module
    name = type(module).__name__
    if known is None or inner is None:
        error.add_note(f"{_MARK}{name}: {repr(module).splitlines()[0].rstrip('(')}")
        return
    path, _, label = known[len(_MARK) :].partition(": ")
    step = next((n for n, m in module.named_modules() if m is inner), "")
    rest = path.partition(".")[2]
    notes[notes.index(known)] = _MARK + ".".join(p for p in (name, step, rest) if p) + ": " + label
