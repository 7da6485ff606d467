"""The version of PyTorch whose names are meant, for programs that compare versions; what runs is Flambeau."""

from flambeau.__about__ import __version__ as _ours

NAMES_OF = "2.13.0"
__version__ = f"{NAMES_OF}+flambeau.{_ours}"
