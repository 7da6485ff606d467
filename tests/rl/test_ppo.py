"""PPO: its arithmetic against NumPy, learning, saving, and going on after a break."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete, MultiBinary, MultiDiscrete
from gymnasium.vector import AutoresetMode

import flambeau
from flambeau.base.errors import ArgumentError, FileFormatError, ShapeError
from flambeau.serialization import save
from flambeau.train import Callback, Checkpoint, CSVLogger
from flambeau_rl.agents.ppo import PPO, PPOConfig
from flambeau_rl.buffers import Batch
from flambeau_rl.errors import EnvironmentFault, TrainingFault
from flambeau_rl.evaluation import evaluate
from tests.rl.worlds import Guess, Scripted, vector

SMALL = PPOConfig(n_steps=8, batch_size=16, n_epochs=2, net_arch=(8,))


def small_agent(**changes):
    config = PPOConfig(**{"n_steps": 8, "batch_size": 16, "n_epochs": 2, "net_arch": (8,), **changes})
    return PPO(vector(Scripted, 4), config, seed=1)


def weights(agent):
    return np.concatenate([value.detach().numpy().ravel() for value in agent.model.state_dict().values()])


# -- arithmetic --------------------------------------------------------------------------------------------------------------------------
def some_batch(rows=12):
    random = np.random.default_rng(0)
    numbers = random.normal(size=(4, rows)).astype(np.float32)
    observations = random.normal(size=(rows, 2)).astype(np.float32)
    parts = (observations, random.integers(0, 3, rows), numbers[0] * 0.3 - 1.1, *numbers[1:])
    return Batch(*(flambeau.from_numpy(part) for part in parts))


@pytest.mark.parametrize("clip_values", [None, 0.1])
@pytest.mark.parametrize("normalize", [True, False])
def test_losses_are_the_formulas(normalize, clip_values):
    agent = small_agent(normalize_advantage=normalize, ent_coef=0.03, vf_coef=0.7)
    batch = some_batch()
    distribution, values = agent.model(batch.observations)
    p = distribution.log_probs.exp().detach().numpy().astype(np.float64)
    v = values.detach().numpy()
    actions, old, old_v, advantages, returns = (
        getattr(batch, name).numpy() for name in ("actions", "log_probs", "values", "advantages", "returns")
    )
    if normalize:
        advantages = (advantages - advantages.mean()) / (advantages.std(ddof=1) + 1e-8)
    ratio = p[np.arange(12), actions] / np.exp(old)
    if clip_values is not None:
        v = old_v + np.clip(v - old_v, -clip_values, clip_values)
    expected = {
        "policy_loss": -np.minimum(ratio * advantages, np.clip(ratio, 0.8, 1.2) * advantages).mean(),
        "value_loss": np.mean((returns - v) ** 2),
        "entropy": -(p * np.log(p)).sum(-1).mean(),
        "approx_kl": np.mean(ratio - 1 - np.log(ratio)),
        "clip_fraction": np.mean(np.abs(ratio - 1) > 0.2),
    }
    loss, measured = agent.losses(batch, 0.2, clip_values)
    assert {name: value.item() for name, value in measured.items()} == pytest.approx(expected, rel=1e-4, abs=1e-6)
    total = expected["policy_loss"] + 0.7 * expected["value_loss"] - 0.03 * expected["entropy"]
    assert loss.item() == pytest.approx(total, rel=1e-4)
    assert 0 < expected["clip_fraction"] < 1


def test_schedules_follow_the_steps():
    agent = small_agent(learning_rate="lin_0.01")
    rates = []

    class Watch(Callback):
        def on_epoch_end(self, loop):
            rates.append((loop.step, loop.metrics["lr"], loop.optimizer.param_groups[0]["lr"]))

    agent.learn(128, callbacks=[Watch()])
    assert rates == [(step, pytest.approx(0.01 * (1 - step / 128)), pytest.approx(0.01 * (1 - step / 128))) for step in (32, 64, 96, 128)]


def test_an_update_ends_when_the_policy_has_moved_far():
    steps = []
    for target in (None, 1e-9):
        agent = small_agent(target_kl=target, learning_rate=0.01)
        agent.learn(32)
        steps.append(int(next(iter(agent.optimizer.state_dict()["state"].values()))["step"]))
    assert steps == [4, 1]


@pytest.mark.parametrize("mode", list(AutoresetMode))
def test_a_time_limit_is_not_an_end(mode):
    """The value of the last observation of an episode that was cut off is added to its reward; of one that ended, nothing."""
    agent = PPO(vector(lambda: Scripted((2, -3)), 1, mode), PPOConfig(n_steps=6, net_arch=(4,), gamma=0.5))
    agent.environments.reset(seed=0)
    told = []
    for _ in range(5):
        actions = agent.act(agent.environments.observations)
        transition = agent.environments.step(actions)
        agent.observe(transition)
        told.append(transition.rewards[0])
    value = agent.model.values(flambeau.tensor([[1.0, 3.0]])).item()
    extra = agent.buffer.rewards[:5, 0] - np.array(told)
    last = 5 if mode == AutoresetMode.NEXT_STEP else 4  # the reset took a step
    np.testing.assert_allclose(extra, [0.5 * value if t == last else 0.0 for t in range(5)], atol=1e-4)
    assert abs(value) > 1e-3
    assert agent.buffer.ended[:5, 0].tolist() == ([False, True, False, False, False] if last == 5 else [False, True, False, False, True])
    assert agent.buffer.valid[:5, 0].tolist() == [True, True, mode != AutoresetMode.NEXT_STEP, True, True]


# -- learning ----------------------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("space", "steps", "least"),
    [
        (Discrete(3), 1500, 0.95),
        (Discrete(3, start=2), 1500, 0.95),
        (MultiDiscrete([2, 3]), 2500, 0.95),
        (MultiBinary(3), 2500, 0.95),
        (Box(-1.0, 1.0, (1,)), 5000, -0.02),
    ],
    ids=str,
)
def test_it_learns_to_answer(space, steps, least):
    config = PPOConfig(n_steps=16, batch_size=128, n_epochs=10, learning_rate=1e-2, net_arch=(32,), gamma=0.0, log_std_init=-0.7)
    agent = PPO(vector(lambda: Guess(space), 8), config)
    before = evaluate(agent, lambda: Guess(space), 200, seed=9, n_envs=20).mean_return
    agent.learn(steps)
    after = evaluate(agent, lambda: Guess(space), 200, seed=9, n_envs=20).mean_return
    assert before < least <= after


def test_it_learns_to_balance():
    config = PPOConfig(learning_rate=1e-3, n_steps=32, batch_size=256, n_epochs=20, gae_lambda=0.8, gamma=0.98)
    agent = PPO(vector(lambda: gymnasium.make("CartPole-v1"), 8), config)
    agent.learn(5000)
    assert agent.evaluate(n_episodes=16, seed=0).mean_return > 100  # chance: 22


@pytest.mark.parametrize("mode", list(AutoresetMode))
def test_every_autoreset_mode_trains(mode):
    agent = PPO(vector(lambda: Guess(Discrete(2)), 8, mode), PPOConfig(n_steps=16, batch_size=128, learning_rate=1e-2, net_arch=(16,)))
    agent.learn(1500)
    assert evaluate(agent, lambda: Guess(Discrete(2)), 100, seed=9, n_envs=10).mean_return > 0.95


def test_a_loop_of_ones_own_does_what_learn_does():
    whole, parts = small_agent(), small_agent()
    whole.learn(96)
    parts.total_steps = 96
    observations = parts.environments.reset(seed=1)
    while parts.step < 96:
        transition = parts.environments.step(parts.act(observations))
        parts.observe(transition)
        observations = transition.observations
    assert (weights(whole) == weights(parts)).all()


def test_a_seed_decides_everything():
    agents = [PPO(vector(lambda: gymnasium.make("CartPole-v1"), 2), SMALL, seed=seed) for seed in (3, 3, 4)]
    for agent in agents:
        flambeau.rand(5)  # the global generator has no part in it
        np.random.rand(5)
        agent.learn(64)
    first, again, other = map(weights, agents)
    assert (first == again).all()
    assert (first != other).any()


def test_predictions():
    agent = PPO(None, SMALL, spaces=(Box(-1, 1, (2,)), Discrete(3, start=5)))
    batch = np.random.default_rng(0).normal(size=(50, 2)).astype(np.float32)
    actions = agent.predict(batch)
    assert actions.shape == (50,)
    assert [agent.predict(row) for row in batch] == actions.tolist()
    assert set(agent.predict(np.zeros((300, 2)), deterministic=False)) == {5, 6, 7}
    assert len(set(agent.predict(np.zeros((300, 2))))) == 1
    with pytest.raises(ShapeError, match=r"shape \(2,\).*got \(3,\)"):
        agent.predict(np.zeros(3))
    with pytest.raises(ArgumentError, match="finite"):
        agent.predict([0.0, np.nan])
    assert PPO(None, SMALL, spaces=(Discrete(4), Discrete(2))).predict(3) in (0, 1)


# -- saving ------------------------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("training", [True, False])
def test_a_saved_agent_does_the_same(tmp_path, training):
    agent = small_agent(learning_rate="lin_0.01", clip_range_vf=0.5)
    agent.learn(64)
    agent.save(tmp_path / "agent.safetensors", training=training)
    loaded = PPO.load(tmp_path / "agent.safetensors")
    assert loaded.config == agent.config
    assert loaded.spaces == agent.spaces
    assert (weights(loaded) == weights(agent)).all()
    observations = np.random.default_rng(0).normal(size=(20, 2)) * 5
    assert (loaded.predict(observations) == agent.predict(observations)).all()
    with pytest.raises(ArgumentError, match=r"PPO\.load\(path, env\)"):
        loaded.learn(10)


def test_a_saved_agent_goes_on_learning(tmp_path):
    whole, first = small_agent(), small_agent()
    whole.learn(128)
    first.total_steps = 128
    first.learn(64)
    first.save(tmp_path / "agent.safetensors")
    second = PPO.load(tmp_path / "agent.safetensors", vector(Scripted, 4))
    assert second.step == 64
    second.learn(128)
    assert (weights(second) == weights(whole)).all()


def test_files_that_hold_something_else(tmp_path):
    path = tmp_path / "a.safetensors"
    save({"weights": flambeau.zeros(2)}, path)
    with pytest.raises(FileFormatError, match="'ppo' agent, got something else"):
        PPO.load(path)
    for damaged in ({"name": "ppo"}, {"name": "ppo", "config": {"n_stairs": 3}}):
        save({"agent": damaged}, path)
        with pytest.raises(FileFormatError, match="of an agent"):
            PPO.load(path)
    agent = small_agent()
    agent.save(path)
    with pytest.raises(ArgumentError, match="observation space Box"):
        PPO.load(path, vector(lambda: Guess(Discrete(3)), 4))


class Break(Callback):
    """Ends the run as Ctrl-C would, after so many epochs."""

    def __init__(self, epoch):
        self.epoch = epoch

    def on_epoch_end(self, loop):
        if loop.epoch == self.epoch:
            loop._note_interrupt()


MAKERS = {
    "scripted": lambda: vector(Scripted, 4),
    "cartpole": lambda: vector(lambda: gymnasium.make("CartPole-v1"), 4, AutoresetMode.NEXT_STEP),
}


@pytest.mark.parametrize("name", MAKERS)
def test_an_interrupted_run_ends_as_one_without_a_break(tmp_path, name, capsys):
    config = PPOConfig(n_steps=8, batch_size=16, n_epochs=2, learning_rate="lin_0.01")

    def agent():
        flambeau.manual_seed(int(np.random.default_rng().integers(1 << 30)))  # nothing may depend on it
        return PPO(MAKERS[name](), config, seed=5)

    def callbacks(folder, *more):
        return [CSVLogger(folder / "metrics.csv"), Checkpoint(folder), *more]

    whole = agent()
    whole.learn(320, callbacks=callbacks(tmp_path / "whole"))
    broken = tmp_path / "broken"
    with pytest.raises(KeyboardInterrupt):
        agent().learn(320, callbacks=callbacks(broken, Break(4)), resume=broken)
    resumed = agent()
    resumed.learn(320, callbacks=callbacks(broken), resume=broken)
    assert resumed.step == whole.step == 320
    assert (weights(resumed) == weights(whole)).all()
    assert (broken / "metrics.csv").read_bytes() == (tmp_path / "whole" / "metrics.csv").read_bytes()
    assert resumed.metrics == whole.metrics


def test_callbacks_that_count_steps(tmp_path):
    """A round of 32 steps passes a multiple of 100 without hitting it."""
    loggers = [CSVLogger(tmp_path / "a.csv", every_steps=100), Checkpoint(tmp_path, every_epochs=None, every_steps=100, keep=None)]
    small_agent().learn(256, callbacks=loggers)
    assert sorted(int(path.stem[11:]) for path in tmp_path.glob("checkpoint-*")) == [128, 224, 256]
    lines = (tmp_path / "a.csv").read_text().splitlines()
    assert len(lines) == 1 + 8 + 2
    assert "loss" in lines[0].split(",")


# -- faults ------------------------------------------------------------------------------------------------------------------------------
def test_a_fault_of_the_environment_keeps_the_last_checkpoint(tmp_path):
    class Poisoned(Scripted):
        def step(self, action):
            observation, *rest = super().step(action)
            return (observation * np.float32(np.nan) if self.episode == 30 else observation), *rest

    agent = PPO(vector(Poisoned, 4), SMALL)
    with pytest.raises(EnvironmentFault, match=r"Poisoned, step \d+, observation: expected finite numbers, got nan"):
        agent.learn(10_000, callbacks=[Checkpoint(tmp_path, every_epochs=1)])
    path = max(tmp_path.glob("checkpoint-*"))
    assert np.isfinite(weights(PPO.load(path))).all()


def test_learning_that_explodes():
    with pytest.raises(TrainingFault, match=r"PPO, step \d+: expected a finite \w+_loss, got (nan|inf).*learning rate"):
        small_agent(learning_rate=1e30, max_grad_norm=1e30).learn(1000)


@pytest.mark.parametrize(
    "settings", [{"n_steps": 0}, {"batch_size": 0}, {"gamma": 1.5}, {"gae_lambda": -0.1}, {"learning_rate": "fast"}, {"clip_range": "lin"}]
)
def test_settings_that_make_no_sense(settings):
    with pytest.raises(ArgumentError):
        PPOConfig(**settings)


def test_other_mistakes():
    with pytest.raises(ArgumentError, match="an environment, or spaces"):
        PPO(None)
    with pytest.raises(ArgumentError, match="PPOConfig"):
        PPO(vector(Scripted, 2), {"n_steps": 3})
    agent = small_agent()
    agent.environments.reset(0)
    transition = agent.environments.step(agent.act(agent.environments.observations))
    agent.observe(transition)
    with pytest.raises(ArgumentError, match="act"):
        agent.observe(transition)
    with pytest.raises(ArgumentError, match="not an id"):
        agent.evaluate()
