"""Reinforcement learning for Flambeau; also reachable as `flambeau.rl`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flambeau.base.lazy import lazy_attributes
from flambeau_rl.__about__ import __version__

if TYPE_CHECKING:
    from flambeau_rl.adapters import Environments, Transition, vectorize
    from flambeau_rl.agent import Agent
    from flambeau_rl.agents.a2c import A2C, A2CConfig
    from flambeau_rl.agents.c51 import C51, C51Config
    from flambeau_rl.agents.ddpg import DDPG, DDPGConfig
    from flambeau_rl.agents.dqn import DQN, DQNConfig
    from flambeau_rl.agents.ppo import PPO, PPOConfig
    from flambeau_rl.agents.sac import SAC, SACConfig
    from flambeau_rl.agents.td3 import TD3, TD3Config
    from flambeau_rl.buffers import PrioritizedReplayBuffer, ReplayBuffer, RolloutBuffer
    from flambeau_rl.errors import EnvironmentFault, TrainingFault
    from flambeau_rl.evaluation import Evaluation, evaluate
    from flambeau_rl.native import NativeVectorEnv
    from flambeau_rl.policies import ActorCritic
    from flambeau_rl.returns import discounted_returns, gae
    from flambeau_rl.schedules import schedule

_PLACES = {
    "adapters": ("Environments", "Transition", "vectorize"),
    "agent": ("Agent",),
    "agents.a2c": ("A2C", "A2CConfig"),
    "agents.c51": ("C51", "C51Config"),
    "agents.ddpg": ("DDPG", "DDPGConfig"),
    "agents.dqn": ("DQN", "DQNConfig"),
    "agents.ppo": ("PPO", "PPOConfig"),
    "agents.sac": ("SAC", "SACConfig"),
    "agents.td3": ("TD3", "TD3Config"),
    "buffers": ("PrioritizedReplayBuffer", "ReplayBuffer", "RolloutBuffer"),
    "errors": ("EnvironmentFault", "TrainingFault"),
    "evaluation": ("Evaluation", "evaluate"),
    "native": ("NativeVectorEnv",),
    "policies": ("ActorCritic",),
    "returns": ("discounted_returns", "gae"),
    "schedules": ("schedule",),
}

__all__ = [
    "A2C",
    "A2CConfig",
    "ActorCritic",
    "Agent",
    "C51",
    "C51Config",
    "DDPG",
    "DDPGConfig",
    "DQN",
    "DQNConfig",
    "EnvironmentFault",
    "Environments",
    "Evaluation",
    "NativeVectorEnv",
    "PPO",
    "PPOConfig",
    "PrioritizedReplayBuffer",
    "ReplayBuffer",
    "RolloutBuffer",
    "SAC",
    "SACConfig",
    "TD3",
    "TD3Config",
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
