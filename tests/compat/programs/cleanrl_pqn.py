"""PQN: Q-learning on rollouts of vector environments with lambda returns and no replay, in the style of CleanRL's single files."""

import random

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.optim as optim


class Envs:
    """A walk on 0..9 from the middle; action 1 goes right. The right end pays 1, either end starts again."""

    def __init__(self, n):
        self.at = np.full(n, 5)

    def observe(self):
        return np.eye(10, dtype=np.float32)[self.at]

    def step(self, action):
        self.at = self.at + 2 * action - 1
        reward, done = (self.at == 9).astype(np.float32), (self.at == 0) | (self.at == 9)
        self.at = np.where(done, 5, self.at)
        return self.observe(), reward, done


def layer_init(layer, std=np.sqrt(2), bias_const=0.0):
    torch.nn.init.orthogonal_(layer.weight, std)
    torch.nn.init.constant_(layer.bias, bias_const)
    return layer


class QNetwork(nn.Module):
    def __init__(self):
        super().__init__()
        self.network = nn.Sequential(
            layer_init(nn.Linear(10, 24)),
            nn.LayerNorm(24),
            nn.ReLU(),
            layer_init(nn.Linear(24, 16)),
            nn.LayerNorm(16),
            nn.ReLU(),
            layer_init(nn.Linear(16, 2)),
        )

    def forward(self, x):
        return self.network(x)


def linear_schedule(start_e, end_e, duration, t):
    return max((end_e - start_e) / duration * t + start_e, end_e)


random.seed(1)
np.random.seed(1)
torch.manual_seed(1)
device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
num_envs, num_steps, iterations, gamma, q_lambda = 4, 16, 7, 0.99, 0.65
envs, q_network = Envs(num_envs), QNetwork().to(device)
optimizer = optim.RAdam(q_network.parameters(), lr=2.5e-3)
obs = torch.zeros((num_steps, num_envs, 10)).to(device)
actions = torch.zeros((num_steps, num_envs), dtype=torch.long).to(device)
rewards, dones, values = (torch.zeros((num_steps, num_envs)).to(device) for _ in range(3))
next_obs = torch.Tensor(envs.observe()).to(device)
next_done = torch.zeros(num_envs).to(device)
for iteration in range(iterations):
    optimizer.param_groups[0]["lr"] = (1.0 - iteration / iterations) * 2.5e-3
    for step in range(num_steps):
        obs[step], dones[step] = next_obs, next_done
        epsilon = linear_schedule(1.0, 0.05, iterations * num_steps // 2, iteration * num_steps + step)
        random_actions = torch.randint(0, 2, (num_envs,)).to(device)
        with torch.no_grad():
            q_values = q_network(next_obs)
            max_actions = torch.argmax(q_values, dim=1)
            values[step] = q_values[torch.arange(num_envs), max_actions].flatten()
        explore = torch.rand((num_envs,)).to(device) < epsilon
        action = torch.where(explore, random_actions, max_actions)
        actions[step] = action
        next_obs, reward, next_done = envs.step(action.cpu().numpy())
        rewards[step] = torch.tensor(reward).to(device).view(-1)
        next_obs, next_done = torch.Tensor(next_obs).to(device), torch.Tensor(next_done).to(device)
    with torch.no_grad():
        returns = torch.zeros_like(rewards).to(device)
        for t in reversed(range(num_steps)):
            if t == num_steps - 1:
                next_value, _ = torch.max(q_network(next_obs), dim=-1)
                returns[t] = rewards[t] + gamma * next_value * (1.0 - next_done)
            else:
                nextnonterminal, next_value = 1.0 - dones[t + 1], values[t + 1]
                returns[t] = rewards[t] + gamma * (q_lambda * returns[t + 1] + (1 - q_lambda) * next_value) * nextnonterminal
    b_obs, b_actions, b_returns = obs.reshape((-1, 10)), actions.reshape(-1), returns.reshape(-1)
    b_inds = np.arange(num_envs * num_steps)
    for _ in range(2):
        np.random.shuffle(b_inds)
        for start in range(0, len(b_inds), 16):
            mb_inds = b_inds[start : start + 16]
            old_val = q_network(b_obs[mb_inds]).gather(1, b_actions[mb_inds].unsqueeze(-1)).squeeze()
            loss = F.mse_loss(b_returns[mb_inds], old_val)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(q_network.parameters(), 10.0)
            optimizer.step()
            print(f"loss: {loss.item():.9g}")
