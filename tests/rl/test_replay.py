"""The memory of transitions, against plain loops."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import flambeau
from flambeau.base.errors import ArgumentError
from flambeau_rl.agents.c51 import project
from flambeau_rl.buffers import NStep, PrioritizedReplayBuffer, ReplayBuffer
from flambeau_rl.buffers.replay import SumTree

KINDS = (((2,), np.float32), ((), np.int64))


def fill(buffer: ReplayBuffer, numbers: Any) -> None:
    for i in numbers:
        buffer.add(np.full((1, 2), i), np.array([i]), np.array([i]), np.full((1, 2), i + 1), np.array([0.9]))


def test_the_oldest_make_room() -> None:
    buffer = ReplayBuffer(5, *KINDS)
    fill(buffer, range(13))
    assert len(buffer) == 5
    batch = buffer.sample(400, flambeau.Generator().manual_seed(0))
    assert set(batch.rewards.tolist()) == {8.0, 9.0, 10.0, 11.0, 12.0}
    assert (batch.next_observations - batch.observations == 1).all()
    assert (batch.actions.float() == batch.rewards).all()
    with pytest.raises(ArgumentError, match="empty"):
        ReplayBuffer(5, *KINDS).sample(1)


@pytest.mark.parametrize("kind", [ReplayBuffer, PrioritizedReplayBuffer])
def test_a_state_dict_holds_everything(kind: Any) -> None:
    first, second = kind(6, *KINDS), kind(6, *KINDS)
    fill(first, range(8))
    if kind is PrioritizedReplayBuffer:
        first.update(flambeau.arange(3), flambeau.tensor([5.0, 1.0, 2.0]))
    second.load_state_dict(first.state_dict())
    for buffer in (first, second):
        fill(buffer, [30])
    ours, theirs = (b.sample(50, flambeau.Generator().manual_seed(1)) for b in (first, second))
    assert ours.rewards.tolist() == theirs.rewards.tolist()
    assert ours.weights.tolist() == theirs.weights.tolist()
    with pytest.raises(ArgumentError, match="2 transitions"):
        kind(2, *KINDS).load_state_dict(first.state_dict())


@given(st.integers(1, 40), st.data())
def test_a_sum_tree_finds_what_running_sums_say(size: int, data: Any) -> None:
    tree, plain = SumTree(size), np.zeros(size)
    for _ in range(data.draw(st.integers(1, 4))):
        rows = np.array(data.draw(st.lists(st.integers(0, size - 1), min_size=1, max_size=10)))
        values = np.array(data.draw(st.lists(st.integers(0, 8), min_size=len(rows), max_size=len(rows))), float)
        tree.set(rows, values)
        plain[rows] = values
    assert tree.total == plain.sum()
    if plain.sum():
        sums = np.arange(0, plain.sum(), 0.5)
        np.testing.assert_array_equal(tree.find(sums), np.searchsorted(plain.cumsum(), sums, side="right"))


def test_wrong_guesses_are_drawn_more_often() -> None:
    buffer = PrioritizedReplayBuffer(4, *KINDS, alpha=0.5, beta=0.7)
    fill(buffer, range(4))
    errors = np.array([1.0, 4.0, 9.0, 16.0])
    buffer.update(flambeau.arange(4), flambeau.from_numpy(errors))
    chances = errors**0.5 / (errors**0.5).sum()
    generator = flambeau.Generator().manual_seed(0)
    batch = buffer.sample(20_000, generator)
    shares = np.bincount(batch.rows.numpy(), minlength=4) / 20_000
    np.testing.assert_allclose(shares, chances, atol=2e-3)
    weights = (4 * chances) ** -0.7
    np.testing.assert_allclose(batch.weights.numpy(), (weights / weights.max())[batch.rows.numpy()], rtol=1e-4)
    fill(buffer, [9])  # takes the place of the oldest, with the largest priority
    assert buffer.tree.values(np.array([0]))[0] == pytest.approx(4.0, rel=1e-4)


@given(st.integers(1, 4), st.lists(st.tuples(st.integers(-3, 3), st.sampled_from(["", "", "end", "cut"])), min_size=1, max_size=20))
def test_steps_are_joined(n: int, steps: list[tuple[int, str]]) -> None:
    gamma, joiner, got = 0.5, NStep(n, 0.5, 1), []
    for t, (reward, kind) in enumerate(steps):
        arrays = np.array([[t]]), np.array([t]), np.array([reward], np.float32), np.array([[t + 1]])
        got += joiner.push(*arrays, np.array([kind == "end"]), np.array([bool(kind)]), np.array([True]))
    want = {}
    for t in range(len(steps)):
        total, k = 0.0, 0
        while True:
            total += gamma**k * steps[t + k][0]
            if steps[t + k][1] or k == n - 1:
                want[t] = total, t + k + 1, 0.0 if steps[t + k][1] == "end" else gamma ** (k + 1)
                break
            k += 1
            if t + k == len(steps):
                break  # still waits
    assert {int(o[0]): (r, int(f[0]), d) for o, _, r, f, d in got} == want


@given(st.integers(2, 6), st.integers(0, 1000))
def test_projection_shares_between_neighbours(atoms: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    support = np.linspace(-1.0, 2.0, atoms)
    likely = rng.dirichlet(np.ones(atoms), 3)
    returns = rng.normal(size=(3, 1)) + rng.random((3, 1)) * support
    want = np.zeros((3, atoms))
    step = support[1] - support[0]
    for row in range(3):
        for p, z in zip(likely[row], np.clip(returns[row], -1.0, 2.0)):
            place = (z + 1.0) / step
            low = min(int(np.floor(place)), atoms - 1)
            want[row, low] += p * (1.0 - (place - low))
            if low + 1 < atoms:
                want[row, low + 1] += p * (place - low)
    got = project(*(flambeau.from_numpy(x) for x in (likely, returns, support)))
    np.testing.assert_allclose(got.numpy(), want, atol=1e-6)
