"""Which of the names that public PyTorch programs use does Flambeau have? Writes docs/coverage.md; with --check, only compares.

`tools/data/torch_names.csv` lists the names with the number of files that use each. A name with `~` is used as a method of something that
may
be a tensor or not (`values~`); `A|B.name` is a method of either.
"""

from __future__ import annotations

import csv
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "packages" / "core" / "src"))
NAMES = ROOT / "tools" / "data" / "torch_names.csv"
TARGET = ROOT / "docs" / "coverage.md"
NEEDED = 3  # files

# Where a namespace of PyTorch is here, for the namespaces that the core covers.
HOMES = {
    "torch": "flambeau",
    "torch.nn": "flambeau.nn",
    "torch.nn.functional": "flambeau.nn.functional",
    "torch.nn.init": "flambeau.nn.init",
    "torch.nn.utils": "flambeau.nn.utils",
    "torch.nn.parameter": "flambeau.nn.parameter",
    "torch.optim": "flambeau.optim",
    "torch.optim.lr_scheduler": "flambeau.optim.lr_scheduler",
    "torch.utils.data": "flambeau.data",
    "torch.utils.checkpoint": "flambeau.utils.checkpoint",
    "torch.linalg": "flambeau.linalg",
    "torch.fft": "flambeau.fft",
    "torch.special": "flambeau.special",
    "torch.distributions": "flambeau.distributions",
    "torch.autograd": "flambeau.autograd",
    "torch.func": "flambeau.func",
    "torch.random": "flambeau.random",
    "torch.cuda": "flambeau.cuda",
}
CLASSES = {"Tensor": "flambeau:Tensor", "Module": "flambeau.nn:Module", "Optimizer": "flambeau.optim:Optimizer"}

# Names that mean something else or belong to another part, with the reason that the table prints.
ELSEWHERE = {
    "torch.compile": "the compiler issue",
    "torch.autocast": "the compiler issue (bf16 contractions)",
    "torch.torch": "a slip in the programs counted",
    "torch.float8_e4m3fn": "no 8-bit floats",
    "torch.get_device_module": "PyTorch's device plumbing",
    "torch.serialization.safe_globals": "nothing loaded ever runs code, so there is nothing to allow",
    "torch.futures.wait_all": "distributed (Ray)",
    "torch._assert": "private in PyTorch",
    "Tensor.values~": "of dicts and sparse tensors",
    "Tensor.index~": "of Python lists and strings",
    "Tensor.resize": "of images",
    "torch.compile.disable": "the compiler issue",
    "torch.cuda.amp.autocast": "the compiler issue (bf16 contractions)",
    "torch.cuda.amp.GradScaler": "the compiler issue (bf16 contractions)",
    "torch.nn.quantized.FloatFunctional": "no quantised layers",
    "torch.nn._pair": "private in PyTorch",
    "torch.nn._BatchNorm": "private in PyTorch",
    "torch.nn.DataParallel": "distributed (Ray)",
    "torch.optim.step": "a slip in the programs counted",
    "torch.optim.zero_grad": "a slip in the programs counted",
    "torch.utils.data.dataloader.DataLoader": "the facade for PyTorch programs (here `flambeau.data.DataLoader`)",
    "torch.distributions.categorical.Categorical": "the facade for PyTorch programs (here `flambeau.distributions.Categorical`)",
    "torch.distributions.normal.Normal": "the facade for PyTorch programs (here `flambeau.distributions.Normal`)",
    "Optimizer.param_groups": "an attribute of each optimizer, not of the class",
}


def find(name: str, namespace: str) -> bool | None:
    """Whether Flambeau has the name; None if the namespace is not the core's."""
    if namespace in ("Tensor", "Module", "Optimizer") or "|" in namespace:
        method = name.rpartition(".")[2].rstrip("~")
        owners = [CLASSES[c].split(":") for c in namespace.split("|")]
        return all(_has(module, owner, method) for module, owner in owners)
    home = max((h for h in HOMES if name == h or name.startswith(h + ".")), key=len, default=None)
    if home is None or namespace not in HOMES:
        return None
    rest = name[len(home) :].lstrip(".")
    return _has(HOMES[home], "", rest)


def _has(module: str, owner: str, path: str) -> bool:
    try:
        value: Any = import_module(module)
    except ImportError:
        return False
    for part in [p for p in (owner, *path.split(".")) if p]:
        if not hasattr(value, part):
            return False
        value = getattr(value, part)
    return True


def table() -> tuple[str, list[str]]:
    """The document, and the names of the core's namespaces that are missing though at least NEEDED files use them."""
    rows: dict[str, list[tuple[str, int, bool]]] = {}
    for row in csv.DictReader(NAMES.open(encoding="utf-8")):
        found = find(row["name"], row["namespace"])
        if found is not None and int(row["files"]) >= NEEDED:
            rows.setdefault(row["namespace"], []).append((row["name"], int(row["files"]), found))
    missing = []
    lines = [
        "# Names of PyTorch, and which of them are here",
        "",
        f"Made by `python -m tools.coverage` from the code and from `tools/data/torch_names.csv`: names that at "
        f"least {NEEDED} public PyTorch programs use.",
        "",
        "| namespace | names | here | missing |",
        "|---|---|---|---|",
    ]
    for namespace, names in rows.items():
        absent = [(n, f) for n, f, found in names if not found]
        missing += [n for n, _ in absent if n not in ELSEWHERE]
        shown = ", ".join(
            f"`{n.rpartition('.')[2]}` ({ELSEWHERE[n]})" if n in ELSEWHERE else f"**`{n.rpartition('.')[2]}`**" for n, _ in absent
        )
        label = namespace.replace("|", " and ")
        lines.append(f"| `{label}` | {len(names)} | {len(names) - len(absent)} | {shown} |")
    return "\n".join(lines) + "\n", missing


def main() -> int:
    """Write or check the document; 1 if it is out of date or a name is missing without a reason."""
    text, missing = table()
    if "--check" not in sys.argv[1:]:
        TARGET.write_text(text, encoding="utf-8")
        print(f"coverage: wrote {TARGET.relative_to(ROOT)}; missing without a reason: {', '.join(missing) or 'none'}")
        return 0
    stale = not TARGET.exists() or TARGET.read_text(encoding="utf-8") != text
    if stale:
        print("coverage: docs/coverage.md is out of date; run `python -m tools.coverage`")
    if missing:
        print(f"coverage: missing without a reason: {', '.join(missing)}")
    if not stale and not missing:
        print("coverage: in order")
    return int(stale or bool(missing))


if __name__ == "__main__":
    sys.exit(main())
