"""Returns and advantages against sums that are written out."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import flambeau
from flambeau_rl.returns import discounted_returns, discounted_sums, gae

sizes = st.tuples(st.integers(1, 9), st.integers(1, 3))
unit = st.floats(0.0, 1.0)


def numbers(shape):
    return arrays(np.float64, shape, elements=st.floats(-10, 10, width=32))


@st.composite
def rollouts(draw):
    steps, envs = draw(sizes)
    rewards, values = draw(numbers((steps, envs))), draw(numbers((steps, envs)))
    return rewards, values, draw(arrays(np.bool_, (steps, envs))), draw(numbers((envs,)))


def brute_force_returns(rewards, ended, last_values, gamma):
    expected = np.zeros_like(rewards)
    for t, n in np.ndindex(rewards.shape):
        discount = 1.0
        for k in range(t, len(rewards)):
            expected[t, n] += discount * rewards[k, n]
            discount *= gamma
            if ended[k, n]:
                break
        else:
            expected[t, n] += discount * last_values[n]
    return expected


def brute_force_gae(rewards, values, ended, last_values, gamma, lam):
    """The sum over k of (gamma lambda)^k times the temporal difference k steps later, as far as the episode goes."""
    following = np.vstack([values[1:], last_values])
    expected = np.zeros_like(rewards)
    for t, n in np.ndindex(rewards.shape):
        for k in range(t, len(rewards)):
            after = 0.0 if ended[k, n] else following[k, n]
            expected[t, n] += (gamma * lam) ** (k - t) * (rewards[k, n] + gamma * after - values[k, n])
            if ended[k, n]:
                break
    return expected


@given(rollouts(), unit)
def test_returns(rollout, gamma):
    rewards, _, ended, last = rollout
    np.testing.assert_allclose(discounted_returns(rewards, ended, last, gamma), brute_force_returns(rewards, ended, last, gamma), atol=1e-9)


@given(rollouts(), unit, unit)
def test_gae(rollout, gamma, lam):
    expected = brute_force_gae(*rollout, gamma, lam)
    np.testing.assert_allclose(gae(*rollout, gamma=gamma, gae_lambda=lam), expected, atol=1e-9)


@given(rollouts(), unit)
def test_gae_that_trusts_rewards_alone_is_the_return_less_the_value(rollout, gamma):
    rewards, values, ended, last = rollout
    expected = brute_force_returns(rewards, ended, last, gamma) - values
    np.testing.assert_allclose(gae(*rollout, gamma=gamma, gae_lambda=1.0), expected, atol=1e-9)


@given(rollouts())
def test_tensors_give_tensors_with_the_same_numbers(rollout):
    tensors = [flambeau.tensor(part) for part in rollout]
    for function, parts in ((gae, [0, 1, 2, 3]), (discounted_returns, [0, 2, 3])):
        options = {"gamma": 0.9, "gae_lambda": 0.8} if function is gae else {"gamma": 0.9}
        got = function(*(tensors[i] for i in parts), **options)
        assert isinstance(got, flambeau.Tensor)
        np.testing.assert_allclose(got.numpy(), function(*(rollout[i] for i in parts), **options), rtol=1e-12)


def test_float32_stays_float32():
    ones = np.ones((3, 2), np.float32)
    assert gae(ones, ones, ones > 2, ones[0], gamma=0.9, gae_lambda=0.9).dtype == np.float32
    assert discounted_returns(ones, ones > 2, ones[0], 0.9).dtype == np.float32


def test_sums_have_gradients():
    terms = flambeau.ones(3, 1, requires_grad=True)
    discounted_sums(terms, flambeau.full((3, 1), 0.5), flambeau.zeros(1))[0].sum().backward()
    np.testing.assert_allclose(terms.grad.numpy()[:, 0], [1.0, 0.5, 0.25])
