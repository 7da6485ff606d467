"""Flambeau under PyTorch's names: `import flambeau.torch as torch`, or `python -m flambeau.torch script.py` for a whole program.

Names are looked up once and are Flambeau's own objects (`torch.relu is flambeau.relu`), so a call costs what it costs there. This folder
holds only what exists for PyTorch's sake. Importing it switches the random stream to PyTorch's, so that a program with a seed draws the
same numbers here and there.

>>> import flambeau
>>> import flambeau.torch as torch
>>> torch.nn.Linear is flambeau.nn.Linear
True
"""

from __future__ import annotations

import sys as _sys

from flambeau.primitives.generator import use_stream as _use_stream
from flambeau.torch._facade import Facade as _Facade
from flambeau.torch._facade import install_names as _install_names
from flambeau.torch._version import __version__ as __version__

_use_stream("torch")
_install_names()
_sys.modules[__name__].__class__ = _Facade
