"""Evaluation, films and the callback."""

from __future__ import annotations

import math

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

from flambeau.base.errors import ArgumentError, MissingExtra
from flambeau_rl.agents.ppo import PPO, PPOConfig
from flambeau_rl.callbacks import Evaluate
from flambeau_rl.drawings import draw_cartpole
from flambeau_rl.evaluation import Evaluation, evaluate
from flambeau_rl.film import record, save_gif
from tests.rl.worlds import Scripted, vector


class Player:
    """Always does the same, and remembers how it was asked."""

    def __init__(self, action=1):
        self.action = action
        self.asked = []

    def predict(self, observations, deterministic=True):
        self.asked.append(deterministic)
        observations = np.asarray(observations)
        return np.full(len(observations), self.action) if observations.ndim > 1 else self.action


@pytest.mark.parametrize("mode", list(AutoresetMode))
def test_every_environment_plays_its_share(mode):
    env = gymnasium.vector.SyncVectorEnv([lambda: Scripted((1,)), lambda: Scripted((-20,))], autoreset_mode=mode)
    result = evaluate(Player(0), env, 5)
    assert result.lengths == (1, 1, 20, 20, 20)
    assert result.returns == (1.0, 101.0, *(2000.0 * k + 210.0 for k in range(3)))


def test_a_single_environment_and_a_function():
    for env in (Scripted((2, 3)), lambda: Scripted((2, 3))):
        assert evaluate(Player(), env, 3).lengths == (2, 3, 2)


def test_more_environments_than_episodes():
    assert evaluate(Player(), Scripted, 2, n_envs=10).lengths == (2, 2)


def test_whether_actions_are_drawn():
    for deterministic in (True, False):
        player = Player()
        evaluate(player, Scripted, 1, deterministic=deterministic)
        assert set(player.asked) == {deterministic}


def test_numbers():
    result = Evaluation((1.0, 3.0), (10, 20))
    assert (result.mean_return, result.std_return, result.mean_length) == (2.0, 1.0, 15.0)
    assert str(result) == "2.0 +/- 1.0 over 2 episodes"


def test_no_episodes_make_no_mean():
    with pytest.raises(ArgumentError, match="n_episodes"):
        evaluate(Player(), Scripted, 0)


def test_a_seed_decides_the_episodes():
    first, again, other = (evaluate(Player(), "CartPole-v1", 6, seed=seed, n_envs=3).lengths for seed in (1, 1, 2))
    assert first == again != other


# -- the callback ------------------------------------------------------------------------------------------------------------------------
def test_evaluations_while_learning():
    seen = []

    class Watch(Evaluate):
        def on_epoch_end(self, loop):
            super().on_epoch_end(loop)
            seen.append(loop.metrics["eval_return"])

    agent = PPO(vector(Scripted, 2), PPOConfig(n_steps=4, batch_size=8, n_epochs=1))
    watch = Watch(lambda: Scripted((2,)), every_steps=16, n_episodes=2, n_envs=2)
    agent.learn(40, callbacks=[watch])
    assert [math.isnan(value) for value in seen] == [True, False, False, False, False]
    assert seen[1] == seen[2]
    assert seen[-1] == agent.evaluate(lambda: Scripted((2,)), 2).mean_return
    other = Evaluate(Scripted)
    other.load_state_dict(watch.state_dict())
    assert other.value == watch.value


def test_a_nonsensical_interval():
    with pytest.raises(ArgumentError, match="every_steps"):
        Evaluate(Scripted, every_steps=0)


# -- films -------------------------------------------------------------------------------------------------------------------------------
def test_a_film_has_its_pictures(tmp_path):
    image = pytest.importorskip("PIL.Image")
    env = Scripted((7,))
    pictures = record(Player(), env, lambda observation: draw_cartpole([observation[1] / 5, 0, observation[1] / 9, 0]), every=3)
    assert len(pictures) == 4  # steps 0, 3, 6 and the last
    save_gif(pictures, tmp_path / "a.gif", seconds=0.06)
    with image.open(tmp_path / "a.gif") as film:
        assert (film.n_frames, film.size, film.info["duration"], film.info["loop"]) == (4, (360, 200), 60, 0)
    with pytest.raises(ArgumentError, match="picture"):
        save_gif([], tmp_path / "b.gif", seconds=1)


def test_the_drawing_moves_with_cart_and_pole():
    pytest.importorskip("PIL.Image")

    def centre(observation):
        pixels = np.asarray(draw_cartpole(observation).convert("RGB")).astype(int)
        dark, orange = pixels.sum(-1) < 200, (pixels[..., 0] - pixels[..., 2]) > 100
        return dark.nonzero()[1].mean(), orange.nonzero()[1].mean()

    cart, pole = centre([0, 0, 0, 0])
    assert cart == pytest.approx(pole, abs=1)
    moved, tilted = centre([1.2, 0, 0, 0])[0], centre([0, 0, 0.2, 0])[1]
    assert moved - cart == pytest.approx(90, abs=1)  # a quarter of the 360 pixels that show 4.8 m
    assert tilted > pole + 3


def test_without_pillow_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "PIL.ImageDraw", None)
    with pytest.raises(MissingExtra, match=r"flambeau-rl\[render\]"):
        draw_cartpole([0, 0, 0, 0])
