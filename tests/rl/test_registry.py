"""What the package registers: every name leads to what it says."""

from __future__ import annotations

from importlib import import_module

from flambeau.plugins import Register
from flambeau.train import Recipe
from flambeau_rl.agent import Agent
from flambeau_rl.registry import flambeau_register


def registered() -> dict[tuple[str, str], str]:
    facade = Register("rl")
    flambeau_register(registry=facade)
    return {(kind, name): target for kind, name, target, _ in facade.rows}


def test_every_name_leads_to_an_agent_or_a_recipe() -> None:
    rows = registered()
    assert ("agents", "ppo") in rows
    assert ("recipes", "cartpole") in rows
    for (kind, name), target in rows.items():
        module, _, attribute = target.partition(":")
        found = getattr(import_module(module), attribute)
        if kind == "agents":
            assert issubclass(found, Agent)
        else:
            assert isinstance(found, Recipe)
        assert found.name == name


def test_every_agent_is_registered() -> None:
    names = {name for kind, name in registered() if kind == "agents"}
    assert names == {kind.name for kind in subclasses(Agent) if "name" in vars(kind) and kind.__module__.startswith("flambeau_rl.")}


def subclasses(kind: type) -> list[type]:
    return [deep for sub in kind.__subclasses__() for deep in (sub, *subclasses(sub))]
