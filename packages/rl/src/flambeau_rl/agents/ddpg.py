"""Deep deterministic policy gradient: Lillicrap et al. 2016, "Continuous control with deep reinforcement learning" (arXiv 1509.02971).

What TD3 has, less what it added: one critic, no noise in targets, and a policy update with each of the critic's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from flambeau_rl.agents.td3 import TD3, TD3Config


@dataclass(frozen=True)
class DDPGConfig(TD3Config):
    """The settings of DDPG. Defaults are those of Stable-Baselines3 2.9 (`stable_baselines3/ddpg/ddpg.py`); the noise is as in TD3."""

    policy_delay: Annotated[int, "updates of the critic for one of the policy and of the slow copies"] = 1
    target_policy_noise: Annotated[float, "deviation of the noise on actions in targets"] = 0.0


class DDPG(TD3):
    """DDPG for a bounded Box of actions."""

    name = "ddpg"
    config_type = DDPGConfig
    config: DDPGConfig
    critics = 1
