"""The version of this package; all five packages carry the same one."""

__version__ = "0.1.0"
