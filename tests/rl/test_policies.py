"""Policies: structure, first weights, what they see and what they do."""

from __future__ import annotations

import math

import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, flatten

import flambeau
from flambeau.base.errors import ArgumentTypeError, FileFormatError
from flambeau_rl.encoders import FlattenEncoder
from flambeau_rl.heads import make_head
from flambeau_rl.policies import ActorCritic
from flambeau_rl.spaces import describe, restore
from tests.rl.worlds import SPACES


def test_names_and_shapes_are_those_of_stable_baselines3():
    shapes = {name: tuple(value.shape) for name, value in ActorCritic(Box(-1, 1, (4,)), Box(-1, 1, (2,))).state_dict().items()}
    assert shapes == {
        "log_std": (2,),
        "mlp_extractor.policy_net.0.weight": (64, 4), "mlp_extractor.policy_net.0.bias": (64,),
        "mlp_extractor.policy_net.2.weight": (64, 64), "mlp_extractor.policy_net.2.bias": (64,),
        "mlp_extractor.value_net.0.weight": (64, 4), "mlp_extractor.value_net.0.bias": (64,),
        "mlp_extractor.value_net.2.weight": (64, 64), "mlp_extractor.value_net.2.bias": (64,),
        "action_net.weight": (2, 64), "action_net.bias": (2,), "value_net.weight": (1, 64), "value_net.bias": (1,),
    }  # fmt: skip


def test_weights_begin_orthogonal():
    state = {name: value.numpy() for name, value in ActorCritic(Box(-1, 1, (4,)), Discrete(3)).state_dict().items()}
    gains = {"mlp_extractor.policy_net.2": math.sqrt(2), "mlp_extractor.value_net.0": math.sqrt(2), "action_net": 0.01, "value_net": 1.0}
    for name, gain in gains.items():
        weight = state[f"{name}.weight"] / gain
        gram = weight @ weight.T if weight.shape[0] <= weight.shape[1] else weight.T @ weight
        np.testing.assert_allclose(gram, np.eye(len(gram)), atol=1e-5)
        assert not state[f"{name}.bias"].any()
    assert "log_std" not in state


def test_a_seed_decides_the_weights():
    def weights(seed):
        policy = ActorCritic(Discrete(3), Discrete(3), generator=flambeau.Generator().manual_seed(seed))
        return np.concatenate([p.detach().numpy().ravel() for p in policy.parameters()])

    assert (weights(1) == weights(1)).all()
    assert (weights(1) != weights(2)).any()


def test_a_network_without_hidden_layers():
    distribution, values = ActorCritic(Box(-1, 1, (4,)), Discrete(3), ())(flambeau.zeros(2, 4))
    assert tuple(values.shape) == (2,)
    assert distribution.entropy().tolist() == pytest.approx([math.log(3)] * 2)


@pytest.mark.parametrize("space", SPACES, ids=str)
def test_features_are_those_of_gymnasium(space):
    space.seed(0)
    observations = np.stack([space.sample() for _ in range(6)])
    features = FlattenEncoder(space)(flambeau.from_numpy(observations))
    assert features.dtype == flambeau.float32
    expected = np.stack([flatten(space, row) for row in observations])
    if isinstance(space, MultiDiscrete) and space.start.any():  # gymnasium.spaces.flatten forgets the start
        plain = MultiDiscrete(space.nvec)
        expected = np.stack([flatten(plain, row - space.start) for row in observations])
    np.testing.assert_allclose(features.numpy(), expected, rtol=1e-6)


def test_pictures_are_scaled():
    encoder = FlattenEncoder(Box(0, 255, (2, 3, 1), np.uint8))
    assert encoder(flambeau.full((1, 2, 3, 1), 51, dtype=flambeau.uint8)).tolist() == [pytest.approx([0.2] * 6)]
    assert FlattenEncoder(Box(0, 9, (1,), np.uint8))(flambeau.full((1, 1), 9, dtype=flambeau.uint8)).tolist() == [[9.0]]


@pytest.mark.parametrize("space", SPACES, ids=str)
def test_what_a_policy_does_belongs_to_the_space(space):
    policy = ActorCritic(Box(-1, 1, (3,)), space)
    for weight in policy.parameters():
        weight.data.mul_(30.0)  # so that actions spread
    distribution, _ = policy(flambeau.randn(40, 3))
    kept = distribution.sample(flambeau.Generator().manual_seed(1))
    actions = policy.head.to_env(kept.numpy())
    assert actions.shape == (40, *space.shape)
    assert all(space.contains(space.dtype.type(action) if space.shape == () else action) for action in actions)
    assert kept.shape[1:] == policy.head.shape
    assert kept.numpy().dtype == policy.head.dtype
    assert tuple(distribution.log_prob(kept).shape) == tuple(distribution.entropy().shape) == (40,)


def test_continuous_actions_are_clipped_for_the_environment_alone():
    head = make_head(Box(-1.0, 2.0, (2,)))
    kept = np.array([[-5.0, 5.0]], np.float32)
    assert head.to_env(kept).tolist() == [[-1.0, 2.0]]
    assert kept.tolist() == [[-5.0, 5.0]]


@pytest.mark.parametrize("make", [FlattenEncoder, make_head, describe])
def test_other_spaces_are_refused(make):
    with pytest.raises(ArgumentTypeError, match="FlattenObservation"):
        make(Dict({"a": Discrete(2)}))


def test_whole_numbers_in_a_box_are_no_actions():
    with pytest.raises(ArgumentTypeError, match="action space"):
        make_head(Box(0, 5, (2,), np.int64))


@pytest.mark.parametrize("space", [*SPACES, Box(0, 255, (4, 4, 3), np.uint8)], ids=str)
def test_spaces_as_data(space, tmp_path):
    flambeau.serialization.save(describe(space), tmp_path / "space.safetensors")
    assert restore(flambeau.serialization.load(tmp_path / "space.safetensors")) == space


@pytest.mark.parametrize("bad", [{}, {"kind": "Dict"}, {"kind": "Discrete"}, {"kind": "Discrete", "n": -1}, {"kind": "Box", "low": 1}])
def test_other_data_is_no_space(bad):
    with pytest.raises(FileFormatError):
        restore(bad)


def test_binary_spaces_have_a_size():
    assert make_head(MultiBinary([2, 2])).size == 4
