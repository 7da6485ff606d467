"""What `flambeau_register` receives: one method for each kind of object."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flambeau.base.registry import Entry, registry


class Register:
    """Collects the names of one plugin, and enters them all or, when one of them is refused, none.

    Every method takes a name, the place of the object as text ("package.module:attr"), and optional facts about it: `summary` (one line
    for `flambeau list`), `domain` ("vision", "audio", "text", "rl", ...), and whatever the plugin likes.
    """

    def __init__(self, owner: str, source: str = "", domain: str = "") -> None:
        self.owner, self.source, self.domain = owner, source, domain
        self.rows: list[tuple[str, str, str, dict[str, Any]]] = []

    def add(self, kind: str, name: str, target: str, **meta: Any) -> None:
        """Register an object of any kind; the other methods are this one with the kind filled in."""
        registry(kind)  # an unknown kind is refused here, where the traceback shows the plugin's line
        self.rows.append((kind, name, target, meta))

    def commit(self) -> list[Entry]:
        """Enter the collected names. Raises PluginError, and enters nothing, when a name is refused."""
        done: list[Entry] = []
        try:
            for kind, name, target, meta in self.rows:
                facts = {"domain": self.domain, **meta}
                domain = str(facts.pop("domain"))
                done.append(registry(kind).add(name, target, self.owner, source=self.source, domain=domain, meta=facts))
        except Exception:
            for kind in {row[0] for row in self.rows}:
                registry(kind).remove_owner(self.owner)
            raise
        return done

    @staticmethod
    def _kind(kind: str) -> Callable[..., None]:
        def method(self: Register, name: str, target: str, **meta: Any) -> None:
            self.add(kind, name, target, **meta)

        method.__doc__ = f"Register one of the {kind}: its name, and its place as text."
        return method

    model = _kind("models")
    weights = _kind("weights")
    dataset = _kind("datasets")
    transform = _kind("transforms")
    tokenizer = _kind("tokenizers")
    agent = _kind("agents")
    environment = _kind("environments")
    op = _kind("ops")
    device = _kind("devices")
    loss = _kind("losses")
    metric = _kind("metrics")
    optimizer = _kind("optimizers")
    callback = _kind("callbacks")
    logger = _kind("loggers")
    recipe = _kind("recipes")
    command = _kind("commands")
    format = _kind("formats")
    converter = _kind("converters")
