"""What every agent must do: learn, be decided by its seed, be saved, and go on after a break as if there had been none."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete

import flambeau
from flambeau.base.errors import ArgumentError, ArgumentTypeError
from flambeau.train import Checkpoint
from flambeau_rl.agents.a2c import A2C, A2CConfig
from flambeau_rl.agents.c51 import C51, C51Config
from flambeau_rl.agents.ddpg import DDPG, DDPGConfig
from flambeau_rl.agents.dqn import DQN, DQNConfig
from flambeau_rl.agents.ppo import PPO, PPOConfig
from flambeau_rl.agents.sac import SAC, SACConfig
from flambeau_rl.agents.td3 import TD3, TD3Config
from flambeau_rl.evaluation import evaluate
from flambeau_rl.native import NativeVectorEnv
from tests.rl.test_ppo import Break
from tests.rl.worlds import Guess, vector

CHOICE, RANGE = Discrete(3), Box(-1.0, 2.0, (1,))
SMALL: dict[str, Any] = dict(buffer_size=300, learning_starts=20, batch_size=8, train_freq=2, gradient_steps=2, net_arch=(8,), gamma=0.9)
Q: dict[str, Any] = dict(SMALL, target_update_interval=10, exploration_fraction=0.5)
AGENTS = {
    "ppo": (PPO, PPOConfig(n_steps=8, batch_size=16, n_epochs=2, net_arch=(8,)), CHOICE),
    "a2c": (A2C, A2CConfig(net_arch=(8,)), CHOICE),
    "dqn": (DQN, DQNConfig(**Q), CHOICE),
    "dqn with everything": (DQN, DQNConfig(**Q, double=True, dueling=True, prioritized=True, n_steps=3), CHOICE),
    "c51": (C51, C51Config(**Q, n_atoms=11, v_min=-1, v_max=2), CHOICE),
    "c51 with everything": (C51, C51Config(**Q, n_atoms=11, double=True, dueling=True, prioritized=True, n_steps=2), CHOICE),
    "ddpg": (DDPG, DDPGConfig(**SMALL), RANGE),
    "td3": (TD3, TD3Config(**SMALL, noise="ornstein-uhlenbeck"), RANGE),
    "sac": (SAC, SACConfig(**SMALL), RANGE),
    "sac at a fixed price": (SAC, SACConfig(**SMALL, ent_coef=0.1, n_steps=2), RANGE),
}


def world(space: Any) -> Any:
    return NativeVectorEnv("Acrobot-v1" if space is CHOICE else "Pendulum-v1", 2)


def everything(agent: Any) -> np.ndarray:
    return np.concatenate([value.detach().numpy().ravel() for value in agent.model.state_dict().values()])


@pytest.mark.parametrize("name", AGENTS)
def test_a_seed_decides_everything(name: str) -> None:
    kind, config, space = AGENTS[name]
    agents = [kind(world(space), config, seed=seed) for seed in (3, 3, 4)]
    for agent in agents:
        flambeau.rand(5)  # the global generators have no part in it
        np.random.rand(5)
        agent.learn(80)
    first, again, other = map(everything, agents)
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


@pytest.mark.parametrize("name", AGENTS)
def test_an_interrupted_run_ends_as_one_without_a_break(tmp_path: Any, name: str) -> None:
    kind, config, space = AGENTS[name]
    whole = kind(world(space), config, seed=5)
    whole.learn(160)
    with pytest.raises(KeyboardInterrupt):
        kind(world(space), config, seed=5).learn(160, callbacks=[Checkpoint(tmp_path), Break(3)], resume=tmp_path)
    resumed = kind(world(space), config, seed=5)
    resumed.learn(160, callbacks=[Checkpoint(tmp_path)], resume=tmp_path)
    np.testing.assert_array_equal(everything(resumed), everything(whole))
    assert resumed.step == whole.step
    assert {k: v for k, v in resumed.metrics.items() if v == v} == {k: v for k, v in whole.metrics.items() if v == v}


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("name", AGENTS)
def test_a_saved_agent_does_the_same(tmp_path: Any, name: str, training: bool) -> None:
    kind, config, space = AGENTS[name]
    agent = kind(world(space), config, seed=1)
    agent.learn(60)
    agent.save(tmp_path / "agent.safetensors", training=training)
    loaded = kind.load(tmp_path / "agent.safetensors")
    assert loaded.config == config
    observations = np.random.default_rng(0).normal(size=(20, *agent.spaces.observation.shape)).astype(np.float32)
    np.testing.assert_array_equal(loaded.predict(observations), agent.predict(observations))
    for actions in (agent.predict(observations), agent.predict(observations, deterministic=False)):
        assert all(agent.spaces.action.contains(action) for action in actions)
    with pytest.raises(ArgumentError, match="an environment"):
        loaded.learn(70)


LEARNERS = {
    "a2c": (A2C, A2CConfig(learning_rate=1e-2, net_arch=(32,), gamma=0.0), CHOICE, 4000),
    "dqn": (DQN, DQNConfig(**{**Q, "gradient_steps": 4, "batch_size": 32}, learning_rate=1e-2), CHOICE, 1500),
    "dqn with everything": (
        DQN,
        DQNConfig(
            **{**Q, "gradient_steps": 4, "batch_size": 32}, learning_rate=1e-2, double=True, dueling=True, prioritized=True, n_steps=3
        ),
        CHOICE,
        1500,
    ),
    "c51": (C51, C51Config(**{**Q, "gradient_steps": 4, "batch_size": 32}, learning_rate=1e-2, n_atoms=11, v_min=0, v_max=1), CHOICE, 1500),
    "ddpg": (DDPG, DDPGConfig(**{**SMALL, "batch_size": 64, "net_arch": (32,)}, learning_rate=1e-2), RANGE, 2500),
    "td3": (TD3, TD3Config(**{**SMALL, "batch_size": 64, "net_arch": (32,)}, learning_rate=1e-2), RANGE, 2500),
    "sac": (SAC, SACConfig(**{**SMALL, "batch_size": 64, "net_arch": (32,)}, learning_rate=1e-2, ent_coef_init=0.1), RANGE, 2500),
}


@pytest.mark.parametrize("name", LEARNERS)
def test_it_learns_to_answer(name: str) -> None:
    kind, config, space, steps = LEARNERS[name]
    agent = kind(vector(lambda: Guess(space), 4), config)
    before = evaluate(agent, lambda: Guess(space), 100, seed=9, n_envs=20).mean_return
    agent.learn(steps)
    after = evaluate(agent, lambda: Guess(space), 100, seed=9, n_envs=20).mean_return
    assert before < (0.9 if space is CHOICE else -0.05) <= after


def test_spaces_that_do_not_fit() -> None:
    with pytest.raises(ArgumentTypeError, match="Box"):
        DQN(None, spaces=(RANGE, RANGE))
    with pytest.raises(ArgumentTypeError, match="bounded Box"):
        SAC(None, spaces=(RANGE, CHOICE))
    with pytest.raises(ArgumentTypeError, match="bounded Box"):
        TD3(None, spaces=(RANGE, Box(-np.inf, np.inf, (1,))))


@pytest.mark.parametrize("settings", [{"buffer_size": 0}, {"tau": 2.0}, {"gamma": -1.0}, {"train_freq": 0}, {"learning_rate": "fast"}])
@pytest.mark.parametrize("config", [DQNConfig, C51Config, TD3Config, DDPGConfig, SACConfig])
def test_settings_that_make_no_sense(config: Any, settings: dict[str, Any]) -> None:
    with pytest.raises(ArgumentError):
        config(**settings)
