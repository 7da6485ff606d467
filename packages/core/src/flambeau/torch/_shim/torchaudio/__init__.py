"""Stands for torchaudio in processes that have this folder on their path: puts Flambeau in its place."""

import sys
from importlib import import_module

from flambeau.torch._facade import install

del sys.modules[__name__]  # the import below makes it anew
install()
import_module(__name__)
