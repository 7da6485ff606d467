"""Where the shim is."""

from pathlib import Path

import flambeau


def shim() -> str:
    return str(Path(flambeau.__file__).parent / "torch" / "_shim")
