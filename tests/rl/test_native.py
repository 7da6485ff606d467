"""Native environments against Gymnasium's (or a game written cell by cell), step for step."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import data_equivalence

import flambeau
from flambeau.base.errors import FlambeauError
from flambeau_rl import Environments
from flambeau_rl.native import WORLDS, NativeVectorEnv, World, world
from flambeau_rl.native.breakout import Breakout

CLASSIC = [name for name in WORLDS if not name.startswith("flambeau/")]
N = 4


def first_states(rules: World, seed: int) -> flambeau.Tensor:
    return rules.begin(flambeau.rand(N, rules.draws, dtype=flambeau.float64, generator=flambeau.Generator().manual_seed(seed)))


@pytest.mark.parametrize("name", CLASSIC)
@pytest.mark.parametrize("seed", range(3))
def test_each_step_equals_gymnasiums(name: str, seed: int) -> None:
    rules, rng = world(name), np.random.default_rng(seed)
    envs = [gymnasium.make(name, disable_env_checker=True).unwrapped for _ in range(N)]
    state = first_states(rules, seed)
    for env, row in zip(envs, state.numpy()):
        env.reset(seed=0)
        env.state = row.copy()
    alive = np.ones(N, bool)
    for _ in range(250):
        actions = _actions(rules, rng)
        expected = {i: envs[i].step(actions[i] if actions.ndim > 1 else int(actions[i])) for i in np.flatnonzero(alive)}
        state, rewards, terminated = rules.step(state, flambeau.from_numpy(actions))
        observations = rules.observe(state).numpy()
        for i in np.flatnonzero(alive):
            np.testing.assert_array_equal(observations[i], expected[i][0])
            assert rewards[i].item() == np.float32(expected[i][1])
            assert terminated[i].item() == expected[i][2]
        alive &= ~terminated.numpy()
        if not alive.any():
            break


def _actions(rules: World, rng: np.random.Generator) -> np.ndarray:
    space = rules.action_space
    if isinstance(space, gymnasium.spaces.Discrete):
        return rng.integers(0, int(space.n), N)
    beyond = 1.0 if rules.id == "MountainCarContinuous-v0" else 1.5  # where Gymnasium computes in float32 or double as the bounds decide
    return rng.uniform(beyond * space.low, beyond * space.high, (N, *space.shape)).astype(np.float32)


@pytest.mark.parametrize("name", CLASSIC)
def test_spaces_limits_and_first_states_are_gymnasiums(name: str) -> None:
    env, rules = gymnasium.make(name), world(name)
    assert env.observation_space == rules.observation_space
    assert env.action_space == rules.action_space
    assert env.spec is not None
    assert env.spec.max_episode_steps == rules.max_episode_steps
    ours = np.concatenate([rules.observe(first_states(rules, seed)).numpy() for seed in range(200)])
    theirs = np.stack([env.reset(seed=seed)[0] for seed in range(800)])
    spread = theirs.std(0)
    np.testing.assert_allclose(ours.mean(0), theirs.mean(0), atol=0.2 * spread.max() + 1e-6)
    np.testing.assert_allclose(ours.std(0), spread, rtol=0.15, atol=1e-6)


class SlowBreakout:
    """MinAtar's rules, one cell after the other."""

    def __init__(self, right: bool) -> None:
        self.y, self.x, self.direction = 3, 9 if right else 0, 3 if right else 2
        self.paddle, self.strike, self.last = 4, False, (3, self.x)
        self.bricks = np.zeros((10, 10), int)
        self.bricks[1:4] = 1

    def step(self, action: int) -> tuple[float, bool]:
        self.paddle = min(9, max(0, self.paddle + {0: 0, 1: -1, 2: 1}[action]))
        self.last = self.y, self.x
        y = self.y + (-1 if self.direction in (0, 1) else 1)
        x = self.x + (-1 if self.direction in (0, 3) else 1)
        if not 0 <= x <= 9:
            x = min(9, max(0, x))
            self.direction = {0: 1, 1: 0, 2: 3, 3: 2}[self.direction]
        bounce = {0: 3, 1: 2, 2: 1, 3: 0}
        reward, over, hit = 0.0, False, False
        if y < 0:
            y, self.direction = 0, bounce[self.direction]
        elif self.bricks[y, x]:
            hit = True
            if not self.strike:
                self.bricks[y, x] = 0
                reward, y, self.direction = 1.0, self.y, bounce[self.direction]
        elif y == 9:
            if not self.bricks.any():
                self.bricks[1:4] = 1
            if self.x == self.paddle:
                y, self.direction = self.y, bounce[self.direction]
            elif x == self.paddle:
                y, self.direction = self.y, {0: 2, 1: 3, 2: 0, 3: 1}[self.direction]
            else:
                over = True
        self.strike = hit
        self.y, self.x = y, x
        return reward, over

    def board(self) -> np.ndarray:
        out = np.zeros((10, 10, 4), np.float32)
        out[9, self.paddle, 0] = out[self.y, self.x, 1] = out[(*self.last, 2)] = 1
        out[..., 3] = self.bricks
        return out


@pytest.mark.parametrize("right", [False, True])
def test_breakout_equals_a_game_played_cell_by_cell(right: bool) -> None:
    rules, rng = Breakout(), np.random.default_rng(right)
    earned = 0.0
    for _ in range(30):
        slow = SlowBreakout(right)
        state = rules.begin(flambeau.full((1, 1), 0.9 if right else 0.1, dtype=flambeau.float64))
        np.testing.assert_array_equal(rules.observe(state).numpy()[0], slow.board())
        over = False
        while not over:
            follow = int(np.sign(slow.x - slow.paddle)) % 3
            action = {0: 0, 1: 2, 2: 1}[follow] if rng.random() < 0.97 else int(rng.integers(3))
            reward, over = slow.step(action)
            state, rewards, terminated = rules.step(state, flambeau.tensor([action]))
            assert (rewards.item(), terminated.item()) == (reward, over)
            np.testing.assert_array_equal(rules.observe(state).numpy()[0], slow.board())
            earned += reward
    assert earned > 60  # whole walls came down, and new ones


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("name", WORLDS)
def test_episodes_end_and_begin_in_the_same_step(name: str, compiled: bool) -> None:
    if compiled:
        pytest.importorskip("llvmlite")
    env = NativeVectorEnv(name, N, compiled=compiled)
    observations, _ = env.reset(seed=3)
    lengths, rng, ended = np.zeros(N, int), np.random.default_rng(0), 0
    for _ in range(520 if name == "CartPole-v1" else 60):
        actions = _actions(env.world, rng)
        assert env.observation_space.contains(observations.astype(env.single_observation_space.dtype))
        observations, _, terminated, truncated, infos = env.step(actions)
        lengths += 1
        over = terminated | truncated
        assert ("final_obs" in infos) == over.any()
        for i in np.flatnonzero(over):
            ended += 1
            assert not (infos["final_obs"][i] == observations[i]).all()
            lengths[i] = 0
        np.testing.assert_array_equal(env.elapsed.numpy(), lengths)
    assert ended or name not in ("CartPole-v1", Breakout.id)


def test_time_limits_cut_off() -> None:
    env = NativeVectorEnv("Pendulum-v1", 2)
    env.reset(seed=0)
    for t in range(200):
        _, _, terminated, truncated, infos = env.step(np.zeros((2, 1), np.float32))
        assert truncated.all() == (t == 199)
        assert not terminated.any()
    assert infos["_final_obs"].all()


@pytest.mark.parametrize("name", WORLDS)
def test_compiled_steps_equal_eager_ones(name: str) -> None:
    pytest.importorskip("llvmlite")
    eager, compiled = (NativeVectorEnv(name, N, compiled=flag) for flag in (False, True))
    rng = np.random.default_rng(1)
    data_equivalence(eager.reset(seed=5), compiled.reset(seed=5))
    for _ in range(40):
        actions = _actions(eager.world, rng)
        for ours, theirs in zip(eager.step(actions)[:4], compiled.step(actions)[:4]):
            np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


def test_a_state_dict_goes_on_in_the_middle_of_episodes() -> None:
    env, other = NativeVectorEnv("CartPole-v1", N), NativeVectorEnv("CartPole-v1", N)
    env.reset(seed=1)
    rng = np.random.default_rng(2)
    for _ in range(30):
        env.step(rng.integers(0, 2, N))
    other.load_state_dict(env.state_dict())
    for _ in range(60):
        actions = rng.integers(0, 2, N)
        assert data_equivalence(env.step(actions), other.step(actions))


def test_agents_read_native_environments_and_checkpoints_hold_their_state() -> None:
    environments = Environments(NativeVectorEnv("CartPole-v1", N))
    environments.reset(0)
    rng = np.random.default_rng(0)
    for _ in range(60):
        environments.step(rng.integers(0, 2, N))
    assert environments.episodes
    assert environments.state_dict()["snapshot"] is not None
    assert environments.name == "CartPole-v1"


def test_what_is_wrong_is_said() -> None:
    with pytest.raises(FlambeauError, match="CartPole-v1 or Acrobot-v1"):
        NativeVectorEnv("Pong")
    with pytest.raises(FlambeauError, match="num_envs of 1 or more"):
        NativeVectorEnv("CartPole-v1", 0)
    env = NativeVectorEnv("CartPole-v1", 2)
    env.reset(seed=0)
    with pytest.raises(FlambeauError, match=r"actions of shape \(2,\)"):
        env.step(np.zeros(3, np.int64))
