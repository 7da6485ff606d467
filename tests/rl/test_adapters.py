"""All autoreset modes, read alike."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete
from gymnasium.vector import AutoresetMode

from flambeau.base.errors import ArgumentError, ArgumentTypeError
from flambeau_rl.adapters import Environments, vectorize
from flambeau_rl.errors import EnvironmentFault
from tests.rl.worlds import Scripted, vector

MODES = list(AutoresetMode)
SCRIPTS = ((2, -3, 1), (-1, 4), (5,))


def script_vector(mode, **options):
    return gymnasium.vector.SyncVectorEnv([lambda s=s: Scripted(s) for s in SCRIPTS], autoreset_mode=mode, **options)


def told(env, actions_of, steps=40):
    """What an adapter tells of each environment: (observation, reward, terminated, truncated, last observation where cut off)."""
    environments = Environments(env)
    observations = environments.reset(seed=0)
    rows = [[] for _ in range(environments.n_envs)]
    for _ in range(steps):
        actions = np.array([actions_of(observation) for observation in observations])
        transition = environments.step(actions)
        final = iter(transition.final_observations)
        for i in range(environments.n_envs):
            last = tuple(next(final)) if transition.truncated[i] else None
            if transition.valid[i]:
                facts = (transition.rewards[i], transition.terminated[i], transition.truncated[i])
                rows[i].append((tuple(observations[i]), *facts, last))
        observations = transition.observations
    return rows, list(environments.episodes)


def expected(script, actions_of, steps):
    """The same, from the environment itself."""
    env = Scripted(script)
    observation, _ = env.reset()
    rows = []
    for _ in range(steps):
        following, reward, terminated, truncated, _ = env.step(actions_of(observation))
        rows.append((tuple(observation), reward, terminated, truncated, tuple(following) if truncated else None))
        observation = env.reset()[0] if terminated or truncated else following
    return rows


@pytest.mark.parametrize("copy", [True, False])
@pytest.mark.parametrize("mode", MODES)
def test_every_mode_tells_what_happened(mode, copy):
    def actions_of(observation):
        return int(observation.sum()) % 3

    rows, _ = told(script_vector(mode, copy=copy), actions_of)
    for script, row in zip(SCRIPTS, rows, strict=True):
        assert row == expected(script, actions_of, len(row))
        assert len(row) >= (40 if mode != AutoresetMode.NEXT_STEP else 18)


@pytest.mark.parametrize("mode", MODES)
def test_episodes_are_counted_alike(mode):
    _, episodes = told(vector(Scripted, 1, mode), lambda observation: 1, steps=30)
    # the sum of 100 * episode + step + 1 over an episode of n steps
    sums = [100 * k * n + n * (n + 1) / 2 + n for k, n in zip(range(20), (2, 3, 1) * 7)]
    assert episodes == list(zip(sums, (2, 3, 1) * 7))[: len(episodes)]
    assert len(episodes) >= 9


def test_the_vectorised_cartpole_of_gymnasium():
    environments = Environments(gymnasium.make_vec("CartPole-v1", num_envs=3, vectorization_mode="vector_entry_point"))
    environments.reset(seed=0)
    lengths, valid = np.zeros(3), []
    for _ in range(200):
        transition = environments.step(np.ones(3, np.int64))
        lengths += transition.valid
        valid.append(transition.valid)
        if transition.terminated.any():
            assert {n for _, _, n in environments.finished} == set(lengths[transition.terminated])
            lengths[transition.terminated] = 0
    assert environments.name == "CartPole-v1"
    assert 0 < (~np.array(valid)).sum() < 100
    assert 8 <= environments.mean_length() == environments.mean_return() <= 11


def test_what_can_become_a_vector():
    env = gymnasium.make("CartPole-v1")
    assert [vectorize(e, 2).num_envs for e in ("CartPole-v1", Scripted, env, vector(Scripted, 3))] == [2, 2, 1, 3]
    assert vectorize(env).metadata["autoreset_mode"] == AutoresetMode.SAME_STEP
    with pytest.raises(ArgumentTypeError, match="Gymnasium environment"):
        vectorize(3)


class Broken(gymnasium.Env):
    """Goes wrong in its third step, as told."""

    observation_space = Box(-1, 1, (2,), np.float32)
    action_space = Discrete(2)

    def __init__(self, fault):
        self.fault = fault

    def reset(self, *, seed=None, options=None):
        self.steps = 0
        return np.full(2, np.nan if self.fault == "reset" else 0.0, np.float32), {}

    def step(self, action):
        self.steps += 1
        if self.steps == 3 and self.fault == "raise":
            raise ZeroDivisionError("by the environment")
        bad = np.nan if self.steps == 3 else 0.0
        observation = np.array([0.0, bad if self.fault == "observation" else 0.0], np.float32)
        return observation, np.inf if bad != 0 and self.fault == "reward" else 0.0, False, False, {}


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("reset", r"^Broken, step 0, the observation after reset: .*nan in the observation after reset\[0\] of environment 0"),
        ("observation", r"^Broken, step 3, observation: expected finite numbers, got nan in observation\[1\] of environment 0"),
        ("reward", r"^Broken, step 3, reward: expected finite numbers, got inf in reward of environment 0"),
    ],
)
def test_numbers_that_are_not_finite(fault, message):
    environments = Environments(vector(lambda: Broken(fault), 2))
    with pytest.raises(EnvironmentFault, match=message):
        environments.reset()
        for _ in range(3):
            environments.step(np.zeros(2, np.int64))


def test_an_error_of_the_environment_says_where():
    environments = Environments(vector(lambda: Broken("raise"), 2))
    environments.reset()
    with pytest.raises(ZeroDivisionError) as error:
        for _ in range(3):
            environments.step(np.zeros(2, np.int64))
    assert error.value.__notes__ == ["This happened in step 3 of Broken."]


class Bare:
    """A vector environment of nothing but numbers."""

    num_envs = 2
    single_observation_space = Box(-1, 1, (3,), np.float32)
    single_action_space = Discrete(2)

    def __init__(self, shape=(2, 3), mode="SameStep", infos=None):
        self.shape, self.infos = shape, infos or {}
        self.metadata = {} if mode is None else {"autoreset_mode": mode}

    def reset(self, *, seed=None, options=None):
        return np.zeros((2, 3), np.float32), {}

    def step(self, actions):
        return np.zeros(self.shape, np.float32), np.zeros(2), np.zeros(2, bool), np.ones(2, bool), self.infos


def test_an_environment_that_hides_how_it_resets():
    with pytest.raises(ArgumentError, match="autoreset_mode"):
        Environments(Bare(mode=None))


@pytest.mark.parametrize(
    ("env", "message"),
    [(Bare(shape=(2, 4)), r"observation: expected an array of shape \(2, 3\), got \(2, 4\)"), (Bare(), "infos: expected final_obs")],
)
def test_an_environment_that_breaks_its_promise(env, message):
    environments = Environments(env)
    environments.reset()
    with pytest.raises(EnvironmentFault, match=message):
        environments.step(np.zeros(2, np.int64))
