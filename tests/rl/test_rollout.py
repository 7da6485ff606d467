"""The rollout buffer."""

from __future__ import annotations

import numpy as np
import pytest

import flambeau
from flambeau.base.errors import ArgumentError
from flambeau_rl.buffers import RolloutBuffer, minibatches
from flambeau_rl.returns import gae


def filled(steps=5, envs=3, invalid=()):
    random = np.random.default_rng(0)
    buffer = RolloutBuffer(steps, envs, ((2,), np.float32), ((), np.int64))
    for t in range(steps):
        row = t * envs + np.arange(envs)
        valid = np.array([(t, n) not in invalid for n in range(envs)])
        numbers = random.normal(size=(3, envs)).astype(np.float32)
        buffer.add(np.stack([row, -row], -1), row, *numbers, random.random(envs) < 0.3, valid)
    return buffer


def test_advantages_and_returns():
    buffer = filled()
    assert buffer.full
    last = np.array([1.0, -1.0, 0.5], np.float32)
    buffer.finish(last, gamma=0.9, gae_lambda=0.7)
    expected = gae(buffer.rewards, buffer.values, buffer.ended, last, gamma=0.9, gae_lambda=0.7)
    np.testing.assert_allclose(buffer.advantages, expected, rtol=1e-6)
    np.testing.assert_allclose(buffer.returns, expected + buffer.values, rtol=1e-6)


def test_a_batch_keeps_the_parts_of_a_step_together():
    buffer = filled()
    batch = buffer.batch()
    assert len(batch) == 15
    np.testing.assert_array_equal(batch.observations[:, 0].numpy(), batch.actions.numpy())
    np.testing.assert_array_equal(batch.log_probs.numpy(), buffer.log_probs.reshape(-1)[batch.actions.numpy()])


def test_a_batch_is_a_copy():
    buffer = filled()
    batch = buffer.batch()
    before = batch.values.tolist()
    buffer.values[...] = 7.0
    assert batch.values.tolist() == before


def test_steps_that_only_reset_are_left_out():
    batch = filled(invalid={(0, 1), (4, 2)}).batch()
    assert batch.actions.tolist() == [row for row in range(15) if row not in (1, 14)]


@pytest.mark.parametrize("size", [1, 4, 5, 14, 15, 100])
def test_minibatches_hold_every_step_once(size):
    parts = list(minibatches(filled().batch(), size, flambeau.Generator().manual_seed(0)))
    rows = [row for part in parts for row in part.actions.tolist()]
    assert sorted(rows) == list(range(15))
    assert [len(part) for part in parts[:-1]] == [size] * (len(parts) - 1)
    if size < 15:
        assert rows != sorted(rows)


def test_a_full_buffer_takes_nothing_until_it_is_cleared():
    buffer = filled()
    step = [np.zeros((3, 2)), *np.zeros((6, 3))]
    with pytest.raises(ArgumentError, match="clear"):
        buffer.add(*step)
    buffer.clear()
    buffer.add(*step)
    assert not buffer.full
