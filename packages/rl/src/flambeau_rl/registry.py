"""What this package registers with Flambeau, as names and entry strings that are imported on first use."""

from __future__ import annotations

from flambeau.plugins import Register, hookimpl


@hookimpl
def flambeau_register(registry: Register) -> None:
    """Agents and recipes."""
    registry.agent("ppo", "flambeau_rl.agents.ppo:PPO", summary="Proximal policy optimisation, clipped (Schulman et al. 2017).")
    registry.recipe("cartpole", "flambeau_rl.recipes.cartpole:recipe", summary="PPO balances the pole of CartPole-v1.")
