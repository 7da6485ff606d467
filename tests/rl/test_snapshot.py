"""The state of environments, read and written back."""

from __future__ import annotations

import collections

import gymnasium
import numpy as np
import pytest

from flambeau.serialization import load, save
from flambeau_rl.adapters import Environments
from flambeau_rl.snapshot import NoSnapshot, restore, take
from tests.rl.worlds import Scripted, vector


def play(environments, actions):
    seen = []
    for action in actions:
        transition = environments.step(np.full(environments.n_envs, action))
        seen.append((transition.observations.tobytes(), transition.rewards.tobytes(), transition.ended.tobytes()))
    return seen


def cartpole(**options):
    return gymnasium.vector.SyncVectorEnv([lambda: gymnasium.make("CartPole-v1", max_episode_steps=30)] * 3, **options)


MAKERS = {
    "same step": lambda: cartpole(autoreset_mode="SameStep"),
    "next step": lambda: cartpole(),
    "statistics": lambda: gymnasium.wrappers.vector.RecordEpisodeStatistics(cartpole()),
    "vectorised": lambda: gymnasium.make_vec("CartPole-v1", num_envs=3, vectorization_mode="vector_entry_point"),
    "scripted": lambda: vector(Scripted, 3),
    "acrobot": lambda: gymnasium.make_vec("Acrobot-v1", num_envs=2),
    "frozen lake": lambda: vector(lambda: gymnasium.make("FrozenLake-v1"), 2),
}


@pytest.mark.parametrize("name", MAKERS)
def test_an_environment_goes_on_in_another_process(name, tmp_path):
    random = np.random.default_rng(0)
    first, second = (Environments(MAKERS[name]()) for _ in range(2))
    first.reset(seed=3)
    play(first, random.integers(0, 2, 45))
    save(first.state_dict(), tmp_path / "state.safetensors")
    second.load_state_dict(load(tmp_path / "state.safetensors"))
    np.testing.assert_array_equal(second.observations, first.observations)
    actions = random.integers(0, 2, 80)
    assert play(first, actions) == play(second, actions)
    assert list(first.episodes) == list(second.episodes)
    assert first.steps == second.steps == 125


class Engine(Scripted):
    """State where nobody can see it."""

    def __init__(self):
        super().__init__()
        self.world = collections.Counter()


def test_an_environment_that_cannot_be_read_begins_anew_and_says_so():
    environments = Environments(vector(Engine, 2))
    environments.reset(seed=0)
    play(environments, [1, 1, 1])
    state = environments.state_dict()
    assert state["snapshot"] is None
    with pytest.warns(UserWarning, match=r"Engine begins new episodes.*Engine\.world = a collections\.Counter"):
        environments.load_state_dict(state)
    assert environments.steps == 3
    assert (environments.observations[:, 1] == 0).all()


def test_a_state_of_another_environment_is_refused():
    scripted, pole = vector(Scripted, 2), cartpole()
    for env in (scripted, pole):
        env.reset()
    with pytest.raises(NoSnapshot, match="Scripted"):
        restore(pole, take(scripted))
    state = take(scripted)
    state[1]["values"]["step"] = 3
    with pytest.raises(NoSnapshot, match="a state with step"):
        restore(scripted, state)


class Own(Scripted):
    """Has its own way."""

    def state_dict(self):
        return {"where": (self.episode, self.at)}

    def load_state_dict(self, state):
        self.episode, self.at = state["where"]


def test_an_environment_with_a_state_dict_of_its_own():
    env, other = Own(), Own()
    env.reset()
    env.step(1)
    other.reset()
    other.reset()
    restore(other, take(env))
    assert (other.episode, other.at) == (0, 1)


def test_all_kinds_of_plain_data():
    class Full(Scripted):
        def __init__(self):
            super().__init__()
            self.things = [1, (2.5, None), {"a": {1: np.float32(0.1)}, (1, 2): b"x"}, {3}, collections.deque([1, 2], 5)]
            self.random = np.random.Generator(np.random.MT19937(3))
            self.function = print

    full, other = Full(), Full()
    full.random.random(7)
    full.things[2]["a"][1] += np.float32(1)
    restore(other, take(full))
    assert other.things == full.things
    assert type(other.things[2]["a"][1]) is np.float32
    assert other.things[4].maxlen == 5
    assert other.random.random() == full.random.random()
