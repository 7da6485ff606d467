"""Returns and advantages, written once for every agent.

Shapes: T steps of N environments, `(T, N)`, as in a rollout. Each function takes NumPy arrays or tensors and gives back the same kind; it
is plain arithmetic, so with tensors it can be captured like any other computation.
"""

from __future__ import annotations

from typing import Any


def discounted_sums(terms: Any, factors: Any, last: Any) -> Any:
    """`y[t] = terms[t] + factors[t] * y[t + 1]`, where `y[T]` is `last`; from the end to the beginning.

    Args:
        terms: `(T, N)`.
        factors: `(T, N)`, 0 where nothing of what follows counts.
        last: `(N,)`.

    >>> import numpy as np
    >>> discounted_sums(np.ones((3, 1)), np.full((3, 1), 0.5), np.zeros(1))[:, 0]
    array([1.75, 1.5 , 1.  ])
    """
    sums = []
    for t in range(len(terms) - 1, -1, -1):
        last = terms[t] + factors[t] * last
        sums.append(last)
    return terms.__array_namespace__().stack(sums[::-1])


def discounted_returns(rewards: Any, ended: Any, last_values: Any, gamma: float) -> Any:
    """What each step will still earn: `R[t] = r[t] + gamma * R[t + 1]`, where the sum stops at the end of an episode.

    Args:
        rewards: `(T, N)`.
        ended: `(T, N)` bool, whether the step was the last one of its episode.
        last_values: `(N,)`, the value of the state after the last step, which stands for what comes after it.
        gamma: the discount.
    """
    return discounted_sums(rewards, _discounts(rewards, ended, gamma), last_values)


def gae(rewards: Any, values: Any, ended: Any, last_values: Any, *, gamma: float, gae_lambda: float) -> Any:
    """Generalised advantage estimates (Schulman et al. 2016, "High-dimensional continuous control using generalized advantage estimation").

    `A[t] = delta[t] + gamma * lambda * A[t + 1]` with `delta[t] = r[t] + gamma * V(s[t + 1]) - V(s[t])`, neither reaching over the end of
    an episode. For an episode that was cut off by a time limit the caller adds `gamma * V(its last observation)` to the last reward.

    Args:
        rewards: `(T, N)`.
        values: `(T, N)`, the value of the state in which each step began.
        ended: `(T, N)` bool, whether the step was the last one of its episode.
        last_values: `(N,)`, the value of the state after the last step.
        gamma: the discount.
        gae_lambda: 0 trusts the values, 1 the rewards.

    Returns `(T, N)`. The returns that a value function learns are advantages plus values.
    """
    xp = rewards.__array_namespace__()
    discounts = _discounts(rewards, ended, gamma)
    deltas = rewards + discounts * xp.concat([values[1:], last_values[None]]) - values
    return discounted_sums(deltas, gae_lambda * discounts, xp.zeros_like(last_values))


def _discounts(rewards: Any, ended: Any, gamma: float) -> Any:
    """`gamma` where the episode goes on, 0 where it ended."""
    xp = rewards.__array_namespace__()
    return xp.where(ended, xp.zeros_like(rewards), xp.full_like(rewards, gamma))
