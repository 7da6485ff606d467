"""DQN and C51 from a replay buffer, in the style of CleanRL's single files."""

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
        self.network = nn.Sequential(nn.Linear(4, 24), nn.ReLU(), nn.Linear(24, 16), nn.ReLU(), nn.Linear(16, 2))

    def forward(self, x):
        return self.network(x)


class Distributional(nn.Module):
    def __init__(self, n_atoms=21, v_min=-5, v_max=5):
        super().__init__()
        self.n, self.n_atoms = 2, n_atoms
        self.register_buffer("atoms", torch.linspace(v_min, v_max, steps=n_atoms))
        self.network = nn.Sequential(nn.Linear(4, 24), nn.ReLU(), nn.Linear(24, 2 * n_atoms))

    def get_action(self, x, action=None):
        pmfs = torch.softmax(self.network(x).view(len(x), self.n, self.n_atoms), dim=2)
        if action is None:
            action = torch.argmax((pmfs * self.atoms).sum(2), 1)
        return action, pmfs[torch.arange(len(x)), action]


parser = argparse.ArgumentParser()
parser.add_argument("--c51", action="store_true")
args = parser.parse_args()
random.seed(1)
np.random.seed(1)
torch.manual_seed(1)
torch.backends.cudnn.deterministic = True
make = Distributional if args.c51 else QNetwork
q_network, target_network = make(), make()
optimizer = optim.Adam(q_network.parameters(), lr=2.5e-3, **({"eps": 0.01 / 32} if args.c51 else {}))
target_network.load_state_dict(q_network.state_dict())
states = np.random.normal(size=(500, 4)).astype(np.float32)
moved = (states + np.random.normal(scale=0.1, size=(500, 4))).astype(np.float32)
actions, rewards, dones = (
    np.random.randint(0, 2, (500, 1)),
    np.random.normal(size=(500, 1)).astype(np.float32),
    np.random.rand(500, 1) < 0.05,
)
for global_step in range(50):
    if random.random() < 0.1:
        action = random.randint(0, 1)
    else:
        x = torch.Tensor(states[global_step : global_step + 1])
        action = (q_network.get_action(x)[0] if args.c51 else torch.argmax(q_network(x), dim=1)).cpu().numpy()[0]
    i = np.random.randint(0, 500, 32)
    obs, nxt, acts = torch.from_numpy(states[i]), torch.from_numpy(moved[i]), torch.from_numpy(actions[i])
    rews, ends = torch.from_numpy(rewards[i]), torch.from_numpy(dones[i].astype(np.float32))
    with torch.no_grad():
        if args.c51:
            _, next_pmfs = target_network.get_action(nxt)
            next_atoms = rews + 0.99 * target_network.atoms * (1 - ends)
            delta_z = target_network.atoms[1] - target_network.atoms[0]
            tz = next_atoms.clamp(-5, 5)
            b = (tz + 5) / delta_z
            low, u = b.floor().clamp(0, 20), b.ceil().clamp(0, 20)
            d_m_l = (u + (low == u).float() - b) * next_pmfs
            d_m_u = (b - low) * next_pmfs
            target_pmfs = torch.zeros_like(next_pmfs)
            for k in range(target_pmfs.size(0)):
                target_pmfs[k].index_add_(0, low[k].long(), d_m_l[k])
                target_pmfs[k].index_add_(0, u[k].long(), d_m_u[k])
        else:
            target_max, _ = target_network(nxt).max(dim=1)
            td_target = rews.flatten() + 0.99 * target_max * (1 - ends.flatten())
    if args.c51:
        _, old_pmfs = q_network.get_action(obs, acts.flatten())
        loss = (-(target_pmfs * old_pmfs.clamp(min=1e-5, max=1 - 1e-5).log()).sum(-1)).mean()
    else:
        loss = F.mse_loss(td_target, q_network(obs).gather(1, acts).squeeze())
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(f"action {action} loss: {loss.item():.9g}")
    if global_step % 10 == 0:
        for target_param, param in zip(target_network.parameters(), q_network.parameters()):
            target_param.data.copy_(0.5 * param.data + (1.0 - 0.5) * target_param.data)
