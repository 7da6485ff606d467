"""A vanilla policy gradient with deep copies, shared helpers and joint buffers, in the style of Spinning Up."""

from copy import deepcopy

import numpy as np
import scipy.signal
import torch
import torch.nn as nn
from torch.distributions.categorical import Categorical
from torch.optim import Adam


def mlp(sizes, activation, output_activation=nn.Identity):
    layers = []
    for j in range(len(sizes) - 1):
        act = activation if j < len(sizes) - 2 else output_activation
        layers += [nn.Linear(sizes[j], sizes[j + 1]), act()]
    return nn.Sequential(*layers)


def count_vars(module):
    return sum([np.prod(p.shape) for p in module.parameters()])


def discount_cumsum(x, discount):
    return scipy.signal.lfilter([1], [1, float(-discount)], x[::-1], axis=0)[::-1]


class Actor(nn.Module):
    def __init__(self):
        super().__init__()
        self.logits_net = mlp([3, 16, 16, 4], nn.Tanh)

    def _distribution(self, obs):
        return Categorical(logits=self.logits_net(obs))

    def forward(self, obs, act=None):
        pi = self._distribution(obs)
        return pi, None if act is None else pi.log_prob(act)


class Critic(nn.Module):
    def __init__(self):
        super().__init__()
        self.v_net = mlp([3, 16, 1], nn.Tanh)

    def forward(self, obs):
        return torch.squeeze(self.v_net(obs), -1)


torch.manual_seed(7)
np.random.seed(7)
pi, v = Actor(), Critic()
before = deepcopy(pi)
print(f"parameters loss: {count_vars(pi) + count_vars(v)}")
pi_optimizer, vf_optimizer = Adam(pi.parameters(), lr=3e-3), Adam(v.parameters(), lr=1e-2)
for epoch in range(7):
    obs_buf, act_buf, rew_buf, val_buf, logp_buf = [], [], [], [], []
    o = np.random.normal(size=3).astype(np.float32)
    for _ in range(40):
        with torch.no_grad():
            dist = pi._distribution(torch.as_tensor(o, dtype=torch.float32))
            a = dist.sample()
            logp, value = dist.log_prob(a), v(torch.as_tensor(o))
        a = a.numpy()
        obs_buf.append(o)
        act_buf.append(a)
        rew_buf.append(float(o[a % 3]))
        val_buf.append(value.numpy())
        logp_buf.append(logp.numpy())
        o = (0.9 * o + 0.3 * np.random.normal(size=3)).astype(np.float32)
    rews, vals = np.append(rew_buf, 0), np.append(val_buf, 0)
    adv = discount_cumsum(rews[:-1] + 0.99 * vals[1:] - vals[:-1], 0.99 * 0.95)
    ret = discount_cumsum(rews, 0.99)[:-1]
    adv = (adv - adv.mean()) / adv.std()
    data = {
        k: torch.as_tensor(np.array(x), dtype=torch.float32)
        for k, x in dict(obs=obs_buf, act=act_buf, adv=adv, ret=ret, logp=logp_buf).items()
    }
    pi_optimizer.zero_grad()
    dist, logp = pi(data["obs"], data["act"])
    loss_pi = -(logp * data["adv"]).mean()
    kl = (data["logp"] - logp).mean().item()
    loss_pi.backward()
    pi_optimizer.step()
    print(f"pi loss: {loss_pi.item():.7g} entropy {dist.entropy().mean().item():.4f}")
    for _ in range(7):
        vf_optimizer.zero_grad()
        loss_v = ((v(data["obs"]) - data["ret"]) ** 2).mean()
        loss_v.backward()
        vf_optimizer.step()
        print(f"v loss: {loss_v.item():.9g}")
moved = sum((p - q).abs().sum() for p, q in zip(pi.parameters(), before.parameters()))
print(f"moved loss: {moved.item():.7g}")
