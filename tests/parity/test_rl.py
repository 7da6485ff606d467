"""PPO beside PyTorch: the same distributions, and the same weights after the same updates."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("gymnasium")

from gymnasium.spaces import Box, Discrete  # noqa: E402

import flambeau  # noqa: E402
from flambeau_rl.agents.ppo import PPO, PPOConfig  # noqa: E402
from flambeau_rl.buffers import Batch  # noqa: E402
from flambeau_rl.distributions import Bernoulli, Categorical, DiagGaussian  # noqa: E402

random = np.random.default_rng(0)


@pytest.mark.parametrize("name", ["categorical", "bernoulli", "gaussian"])
def test_distributions_and_their_gradients(name):
    outputs, log_std = random.normal(size=(7, 3)), np.array([-0.5, 0.0, 0.7])
    actions = {"categorical": random.integers(0, 3, 7), "bernoulli": random.integers(0, 2, (7, 3)).astype(float)}.get(
        name, random.normal(size=(7, 3))
    )
    theirs = torch.tensor(outputs, requires_grad=True)
    ours = flambeau.tensor(outputs, requires_grad=True)
    their_d, our_d = {
        "categorical": lambda: (torch.distributions.Categorical(logits=theirs), Categorical(ours)),
        "bernoulli": lambda: (torch.distributions.Independent(torch.distributions.Bernoulli(logits=theirs), 1), Bernoulli(ours)),
        "gaussian": lambda: (
            torch.distributions.Independent(torch.distributions.Normal(theirs, torch.tensor(log_std).exp()), 1),
            DiagGaussian(ours, flambeau.tensor(log_std)),
        ),
    }[name]()
    for make in (lambda d, a: d.log_prob(a), lambda d, a: d.entropy()):
        their_value, our_value = make(their_d, torch.tensor(actions)), make(our_d, flambeau.tensor(actions))
        np.testing.assert_allclose(our_value.detach().numpy(), their_value.detach().numpy(), rtol=1e-9)
    (their_d.log_prob(torch.tensor(actions)).sum() + 2 * their_d.entropy().sum()).backward()
    (our_d.log_prob(flambeau.tensor(actions)).sum() + 2 * our_d.entropy().sum()).backward()
    np.testing.assert_allclose(ours.grad.numpy(), theirs.grad.numpy(), rtol=1e-7, atol=1e-12)


class TorchPolicy(torch.nn.Module):
    """The network under the same names."""

    def __init__(self, inputs, outputs, continuous):
        super().__init__()

        def tower():
            return torch.nn.Sequential(torch.nn.Linear(inputs, 64), torch.nn.Tanh(), torch.nn.Linear(64, 64), torch.nn.Tanh())

        self.mlp_extractor = torch.nn.ModuleDict({"policy_net": tower(), "value_net": tower()})
        self.action_net, self.value_net = torch.nn.Linear(64, outputs), torch.nn.Linear(64, 1)
        if continuous:
            self.log_std = torch.nn.Parameter(torch.zeros(outputs))

    def forward(self, observations):
        outputs = self.action_net(self.mlp_extractor["policy_net"](observations))
        values = self.value_net(self.mlp_extractor["value_net"](observations)).squeeze(-1)
        if hasattr(self, "log_std"):
            return torch.distributions.Independent(torch.distributions.Normal(outputs, self.log_std.exp()), 1), values
        return torch.distributions.Categorical(logits=outputs), values


@pytest.mark.parametrize("clip_values", [None, 0.3])
@pytest.mark.parametrize("space", [Discrete(2), Box(-1.0, 1.0, (3,))], ids=str)
def test_an_update_leads_to_the_same_weights(space, clip_values):
    rows = 64
    continuous = isinstance(space, Box)
    config = PPOConfig(
        batch_size=rows, n_epochs=20, learning_rate=1e-3, ent_coef=0.01, clip_range=0.1, clip_range_vf=clip_values, max_grad_norm=0.5
    )
    agent = PPO(None, config, spaces=(Box(-1, 1, (4,)), space))
    observations = random.normal(size=(rows, 4)).astype(np.float32)
    numbers = random.normal(size=(3, rows)).astype(np.float32)
    actions = random.normal(size=(rows, 3)).astype(np.float32) if continuous else random.integers(0, 2, rows)
    with flambeau.no_grad():
        old = agent.model(flambeau.tensor(observations))[0].log_prob(flambeau.tensor(actions)).numpy()

    policy = TorchPolicy(4, 3 if continuous else 2, continuous)
    policy.load_state_dict({name: torch.tensor(value.detach().numpy()) for name, value in agent.model.state_dict().items()})
    optimizer = torch.optim.Adam(policy.parameters(), lr=1e-3, eps=1e-5)
    o, a, l, v, d, r = (torch.tensor(part) for part in (observations, actions, old, *numbers))
    for _ in range(20):
        distribution, values = policy(o)
        ratio = (distribution.log_prob(a) - l).exp()
        advantages = (d - d.mean()) / (d.std() + 1e-8)
        policy_loss = -torch.min(advantages * ratio, advantages * torch.clamp(ratio, 0.9, 1.1)).mean()
        if clip_values is not None:
            values = v + torch.clamp(values - v, -clip_values, clip_values)
        loss = policy_loss - 0.01 * distribution.entropy().mean() + 0.5 * torch.nn.functional.mse_loss(r, values)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(policy.parameters(), 0.5)
        optimizer.step()

    before = {name: value.detach().numpy().copy() for name, value in agent.model.state_dict().items()}
    agent.update(Batch(*(flambeau.tensor(part) for part in (observations, actions, old, *numbers))))
    for name, value in policy.state_dict().items():
        ours = agent.model.state_dict()[name].numpy()
        np.testing.assert_allclose(ours, value.numpy(), atol=2e-5)
        assert np.abs(ours - before[name]).max() > 1e-3
