"""Reinforcement learning for Flambeau; also reachable as `flambeau.rl`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flambeau.base.lazy import lazy_attributes
from flambeau_rl.__about__ import __version__

if TYPE_CHECKING:
    from flambeau_rl.adapters import Environments, Transition, vectorize
    from flambeau_rl.agent import Agent
    from flambeau_rl.agents.ppo import PPO, PPOConfig
    from flambeau_rl.buffers import RolloutBuffer
    from flambeau_rl.errors import EnvironmentFault, TrainingFault
    from flambeau_rl.evaluation import Evaluation, evaluate
    from flambeau_rl.policies import ActorCritic
    from flambeau_rl.returns import discounted_returns, gae
    from flambeau_rl.schedules import schedule

_PLACES = {
    "adapters": ("Environments", "Transition", "vectorize"),
    "agent": ("Agent",),
    "agents.ppo": ("PPO", "PPOConfig"),
    "buffers": ("RolloutBuffer",),
    "errors": ("EnvironmentFault", "TrainingFault"),
    "evaluation": ("Evaluation", "evaluate"),
    "policies": ("ActorCritic",),
    "returns": ("discounted_returns", "gae"),
    "schedules": ("schedule",),
}

__all__ = [
    "PPO",
    "ActorCritic",
    "Agent",
    "EnvironmentFault",
    "Environments",
    "Evaluation",
    "PPOConfig",
    "RolloutBuffer",
    "TrainingFault",
    "Transition",
    "__version__",
    "discounted_returns",
    "evaluate",
    "gae",
    "schedule",
    "vectorize",
]

# Gymnasium is imported when one of these names is used, not by `import flambeau_rl`.
__getattr__, __dir__ = lazy_attributes(
    globals(),
    attributes={name: f"flambeau_rl.{module}:{name}" for module, names in _PLACES.items() for name in names},
)
