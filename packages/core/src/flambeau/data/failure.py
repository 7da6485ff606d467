"""Carrying an exception from a worker to the main process, and the error for a worker that is gone."""

from __future__ import annotations

import pickle
import signal
import traceback
from dataclasses import dataclass

from flambeau.base.errors import FlambeauError


class WorkerError(FlambeauError, RuntimeError):
    """A data loading worker died, hung, or raised an exception that cannot be rebuilt here."""


@dataclass(frozen=True)
class Failure:
    """An exception as it travels: pickled where that works, and always as text."""

    where: str
    pickled: bytes | None
    kind: str
    text: str

    @classmethod
    def of(cls, error: BaseException, where: str) -> Failure:
        """Describe the exception being handled."""
        text = "".join(traceback.format_exception(error))
        try:
            pickled: bytes | None = pickle.dumps(error)
        except Exception:
            pickled = None
        return cls(where, pickled, type(error).__qualname__, text)

    def exception(self) -> BaseException:
        """The exception to raise here: of the original type where it can be built, with the worker's traceback as a note."""
        if self.pickled is not None:
            try:
                error = pickle.loads(self.pickled)
            except Exception:
                error = None
            if isinstance(error, BaseException):
                error.add_note(f"Caught in {self.where}. Its traceback:\n{self.text}")
                return error
        return WorkerError(f"Caught {self.kind} in {self.where}. Its traceback:\n{self.text}")


def describe_exit(code: int | None) -> str:
    """How a process ended, in words.

    >>> describe_exit(-9)
    'was killed by SIGKILL (exit code -9)'
    """
    if code is None:
        return "closed its connection"
    if code < 0:
        try:
            return f"was killed by {signal.Signals(-code).name} (exit code {code})"
        except ValueError:
            return f"was killed by signal {-code} (exit code {code})"
    return f"ended with exit code {code}"
