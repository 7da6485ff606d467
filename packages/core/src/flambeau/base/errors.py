"""Exception types. A message says which operation, what was expected, what came, and what to try."""

from __future__ import annotations

from collections.abc import Iterable


class FlambeauError(Exception):
    """Root of every exception that Flambeau raises on purpose."""


class ShapeError(FlambeauError, RuntimeError):
    """Shapes do not fit together."""


class DtypeError(FlambeauError, TypeError, RuntimeError):
    """A dtype is not supported by the operation."""


class DeviceError(FlambeauError, RuntimeError):
    """Tensors live on different devices, or a device is not usable here."""


class IndexingError(FlambeauError, IndexError):
    """An index or an axis is out of range."""


class ArgumentError(FlambeauError, ValueError):
    """An argument has a value that the operation cannot take."""


class ArgumentTypeError(FlambeauError, TypeError):
    """An argument has the wrong Python type."""


class GradientError(FlambeauError, RuntimeError):
    """The autograd graph cannot do what was asked."""


class LinAlgError(FlambeauError, RuntimeError):
    """A matrix is singular, not positive-definite, or an iteration did not converge."""


class NameNotFound(FlambeauError, LookupError):
    """A registered name is not known."""


class FileFormatError(FlambeauError, ValueError):
    """A file is not what it claims to be."""


class DownloadError(FlambeauError, OSError):
    """A file could not be fetched whole and unaltered."""


class OfflineError(DownloadError):
    """The network is needed and switched off."""


class MissingExtra(FlambeauError, ImportError):
    """An optional package is needed."""


class PluginError(FlambeauError, RuntimeError):
    """A plugin broke the rules of registration."""


class PluginWarning(UserWarning):
    """A plugin was set aside, or part of it is ignored."""


def explain(op: str, *, expected: str = "", got: str = "", hint: str = "") -> str:
    """Compose an error message.

    >>> explain("matmul", expected="inner sizes that agree", got="(4, 20) and (30, 5)", hint="transpose one of them")
    'matmul: expected inner sizes that agree, got (4, 20) and (30, 5). Try: transpose one of them.'
    """
    parts = [f"expected {expected}"] if expected else []
    if got:
        parts.append(f"got {got}")
    message = f"{op}: {', '.join(parts)}."
    if hint.startswith("did you mean"):
        message += f" D{hint[1:]}"
    elif hint:
        message += f" Try: {hint.rstrip('.')}."
    return message


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A hint with the closest known names, or an empty string.

    >>> did_you_mean("resnet5", ["resnet50", "vgg16"])
    "did you mean 'resnet50'?"
    """
    import difflib  # only when something went wrong

    close = difflib.get_close_matches(name, list(known), n=3, cutoff=0.6)
    return "did you mean " + " or ".join(repr(c) for c in close) + "?" if close else ""


def missing_extra(what: str, package: str, install: str) -> MissingExtra:
    """The error for a feature whose optional dependency is absent; `install` is the pip argument."""
    return MissingExtra(
        explain(what, expected=f"the package {package!r}", got="an environment without it", hint=f'pip install "{install}"')
    )
