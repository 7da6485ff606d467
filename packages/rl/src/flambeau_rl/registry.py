"""What this package registers with Flambeau, as names and entry strings that are imported on first use."""

from __future__ import annotations

from flambeau.plugins import Register, hookimpl


@hookimpl
def flambeau_register(registry: Register) -> None:
    """Agents and recipes."""
    registry.agent("ppo", "flambeau_rl.agents.ppo:PPO", summary="Proximal policy optimisation, clipped (Schulman et al. 2017).")
    registry.agent("a2c", "flambeau_rl.agents.a2c:A2C", summary="Advantage actor-critic (Mnih et al. 2016).")
    registry.agent("dqn", "flambeau_rl.agents.dqn:DQN", summary="Deep Q-learning, with its usual extensions (Mnih et al. 2015).")
    registry.agent("c51", "flambeau_rl.agents.c51:C51", summary="Distributional Q-learning (Bellemare et al. 2017).")
    registry.agent("ddpg", "flambeau_rl.agents.ddpg:DDPG", summary="Deep deterministic policy gradient (Lillicrap et al. 2016).")
    registry.agent("td3", "flambeau_rl.agents.td3:TD3", summary="Twin delayed DDPG (Fujimoto et al. 2018).")
    registry.agent("sac", "flambeau_rl.agents.sac:SAC", summary="Soft actor-critic (Haarnoja et al. 2018).")
    registry.recipe("cartpole", "flambeau_rl.recipes.cartpole:recipe", summary="PPO balances the pole of CartPole-v1.")
    registry.recipe("acrobot", "flambeau_rl.recipes.acrobot:recipe", summary="DQN swings the double pendulum of Acrobot-v1 up.")
    registry.recipe(
        "mountaincar", "flambeau_rl.recipes.mountaincar:recipe", summary="DQN gets the car of MountainCar-v0 out of its valley."
    )
    registry.recipe("pendulum", "flambeau_rl.recipes.pendulum:recipe", summary="SAC swings the pendulum of Pendulum-v1 up.")
