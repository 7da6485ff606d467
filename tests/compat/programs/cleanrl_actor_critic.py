"""DDPG, TD3 and SAC from a replay buffer, in the style of CleanRL's single files."""

import argparse
import random

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.optim as optim


class QNetwork(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1, self.fc2, self.fc3 = nn.Linear(3 + 1, 24), nn.Linear(24, 24), nn.Linear(24, 1)

    def forward(self, x, a):
        x = F.relu(self.fc1(torch.cat([x, a], 1)))
        return self.fc3(F.relu(self.fc2(x)))


class Actor(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1, self.fc2, self.fc_mu = nn.Linear(3, 24), nn.Linear(24, 24), nn.Linear(24, 1)
        self.register_buffer("action_scale", torch.tensor([2.0], dtype=torch.float32))
        self.register_buffer("action_bias", torch.tensor([0.0], dtype=torch.float32))

    def forward(self, x):
        x = F.relu(self.fc2(F.relu(self.fc1(x))))
        return torch.tanh(self.fc_mu(x)) * self.action_scale + self.action_bias


class SoftActor(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1, self.fc2, self.fc_mean, self.fc_logstd = nn.Linear(3, 24), nn.Linear(24, 24), nn.Linear(24, 1), nn.Linear(24, 1)

    def get_action(self, x):
        x = F.relu(self.fc2(F.relu(self.fc1(x))))
        mean, log_std = self.fc_mean(x), torch.tanh(self.fc_logstd(x))
        log_std = -5 + 0.5 * (2 - -5) * (log_std + 1)
        normal = torch.distributions.Normal(mean, log_std.exp())
        x_t = normal.rsample()
        y_t = torch.tanh(x_t)
        log_prob = normal.log_prob(x_t) - torch.log(2.0 * (1 - y_t.pow(2)) + 1e-6)
        return y_t * 2.0, log_prob.sum(1, keepdim=True), torch.tanh(mean) * 2.0


parser = argparse.ArgumentParser()
parser.add_argument("--algo", default="td3")
args = parser.parse_args()
random.seed(1)
np.random.seed(1)
torch.manual_seed(1)
sac, td3 = args.algo == "sac", args.algo == "td3"
actor = SoftActor() if sac else Actor()
target_actor = SoftActor() if sac else Actor()
target_actor.load_state_dict(actor.state_dict())
qfs = [QNetwork() for _ in range(1 if args.algo == "ddpg" else 2)]
targets = [QNetwork() for _ in qfs]
for q, t in zip(qfs, targets):
    t.load_state_dict(q.state_dict())
q_optimizer = optim.Adam([p for q in qfs for p in q.parameters()], lr=1e-3)
actor_optimizer = optim.Adam(list(actor.parameters()), lr=3e-4)
log_alpha = torch.zeros(1, requires_grad=True)
a_optimizer = optim.Adam([log_alpha], lr=1e-3)
alpha, target_entropy = log_alpha.exp().item(), -1.0
states = torch.randn(400, 3)
moved, actions = states + 0.1 * torch.randn(400, 3), torch.rand(400, 1) * 4 - 2
rewards, dones = -(states[:, :1] ** 2) - 0.01 * actions**2, (torch.rand(400, 1) < 0.02).float()
for step in range(50):
    i = torch.randint(0, 400, (32,))
    obs, nxt, acts, rews, ends = states[i], moved[i], actions[i], rewards[i], dones[i]
    with torch.no_grad():
        if sac:
            next_actions, next_log_pi, _ = actor.get_action(nxt)
        else:
            next_actions = target_actor(nxt)
            if td3:
                noise = (torch.randn_like(acts) * 0.2).clamp(-0.5, 0.5) * target_actor.action_scale
                next_actions = (next_actions + noise).clamp(-2.0, 2.0)
        min_next = torch.stack([t(nxt, next_actions) for t in targets]).min(0).values
        if sac:
            min_next = min_next - alpha * next_log_pi
        next_q_value = rews.flatten() + (1 - ends.flatten()) * 0.99 * min_next.view(-1)
    qf_loss = sum(F.mse_loss(q(obs, acts).view(-1), next_q_value) for q in qfs)
    q_optimizer.zero_grad()
    qf_loss.backward()
    q_optimizer.step()
    print(f"Q loss: {qf_loss.item():.9g}")
    if step % (1 if args.algo == "ddpg" else 2) == 0:
        if sac:
            pi, log_pi, _ = actor.get_action(obs)
            actor_loss = ((alpha * log_pi) - torch.min(qfs[0](obs, pi), qfs[1](obs, pi))).mean()
        else:
            actor_loss = -qfs[0](obs, actor(obs)).mean()
        actor_optimizer.zero_grad()
        actor_loss.backward()
        actor_optimizer.step()
        print(f"actor loss: {actor_loss.item():.9g}")
        if sac:
            with torch.no_grad():
                _, log_pi, _ = actor.get_action(obs)
            alpha_loss = (-log_alpha.exp() * (log_pi + target_entropy)).mean()
            a_optimizer.zero_grad()
            alpha_loss.backward()
            a_optimizer.step()
            alpha = log_alpha.exp().item()
        for net, target in [*zip(qfs, targets), (actor, target_actor)]:
            for param, target_param in zip(net.parameters(), target.parameters()):
                target_param.data.copy_(0.05 * param.data + (1 - 0.05) * target_param.data)
