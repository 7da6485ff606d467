"""Every hook that a plugin may implement.

Hooks are called at set-up, never per operation (a call costs about a microsecond). Arguments are passed by name, so an implementation
takes those that it wants and leaves out the rest.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

import pluggy

if TYPE_CHECKING:
    from flambeau.plugins.register import Register

PROJECT = "flambeau"
PREFIX = "flambeau_"

API_VERSION = 1
"""The version of this file's contract. A plugin states the one it was written for as `FLAMBEAU_API = 1` (the default)."""

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


class Check(NamedTuple):
    """One line of `flambeau doctor`: what was looked at, what was found, and what to do about it."""

    name: str
    value: str
    status: Literal["ok", "warn", "fail"] = "ok"
    hint: str = ""


@hookspec
def flambeau_register(registry: Register) -> None:
    """Register names. Called once, when a name is first asked for. Register text like "package.module:attr"; import nothing heavy."""


@hookspec
def flambeau_doctor() -> list[Check]:  # type: ignore[empty-body]
    """Checks of this plugin's health for `flambeau doctor`: are its libraries, devices and data usable?"""


@hookspec(firstresult=True)
def flambeau_fetch(url: str, path: Path, sha256: str) -> bool | None:
    """Write the content of `url` to the file `path` and return True; return None for addresses that are not yours.

    The hub asks for schemes that it does not know (`s3://...`), never when offline, and checks the SHA-256 of what was written itself.
    """
