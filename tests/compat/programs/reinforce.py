"""Policy gradients on a pole that falls, in the style of PyTorch's `reinforcement_learning` examples (REINFORCE and actor-critic)."""

import argparse
import math
import random
from collections import deque, namedtuple

import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.optim as optim
from torch.distributions import Categorical


class Pole:
    """A cart with a pole: state (x, v, angle, angular speed), two actions, reward 1 a step."""

    def __init__(self, seed):
        self.random = random.Random(seed)

    def reset(self):
        self.state, self.steps = [self.random.uniform(-0.05, 0.05) for _ in range(4)], 0
        return torch.tensor(self.state)

    def step(self, action):
        x, v, a, w = self.state
        force = 10.0 if action == 1 else -10.0
        temp = (force + 0.05 * w * w * math.sin(a)) / 1.1
        acc = (9.8 * math.sin(a) - math.cos(a) * temp) / (0.5 * (4.0 / 3.0 - 0.1 * math.cos(a) ** 2 / 1.1))
        self.state = [x + 0.02 * v, v + 0.02 * (temp - 0.05 * acc * math.cos(a) / 1.1), a + 0.02 * w, w + 0.02 * acc]
        self.steps += 1
        done = abs(self.state[0]) > 2.4 or abs(self.state[2]) > 0.2095 or self.steps >= 60
        return torch.tensor(self.state), 1.0, done


SavedAction = namedtuple("SavedAction", ["log_prob", "value"])


class Policy(nn.Module):
    def __init__(self, critic):
        super().__init__()
        self.affine1 = nn.Linear(4, 32)
        self.dropout = nn.Dropout(p=0.0 if critic else 0.6)
        self.action_head = nn.Linear(32, 2)
        self.value_head = nn.Linear(32, 1)
        self.saved_actions, self.rewards = [], []

    def forward(self, x):
        x = F.relu(self.dropout(self.affine1(x)))
        return F.softmax(self.action_head(x), dim=-1), self.value_head(x)


parser = argparse.ArgumentParser()
parser.add_argument("--critic", action="store_true")
args = parser.parse_args()
torch.manual_seed(543)
env = Pole(543)
policy = Policy(args.critic)
optimizer = optim.Adam(policy.parameters(), lr=1e-2)
eps = torch.finfo(torch.float32).eps
for episode in range(50):
    state, done = env.reset(), False
    while not done:
        probs, value = policy(state.unsqueeze(0))
        m = Categorical(probs)
        action = m.sample()
        policy.saved_actions.append(SavedAction(m.log_prob(action), value))
        state, reward, done = env.step(action.item())
        policy.rewards.append(reward)
    R, returns = 0, deque()
    for r in policy.rewards[::-1]:
        R = r + 0.99 * R
        returns.appendleft(R)
    returns = torch.tensor(returns)
    returns = (returns - returns.mean()) / (returns.std() + eps)
    losses = []
    for (log_prob, value), R in zip(policy.saved_actions, returns):
        advantage = R - value.item() if args.critic else R
        losses.append(-log_prob * advantage)
        if args.critic:
            losses.append(F.smooth_l1_loss(value.view(1), torch.tensor([R])))
    optimizer.zero_grad()
    loss = torch.stack([part.sum() for part in losses]).sum() if args.critic else torch.cat(losses).sum()
    loss.backward()
    optimizer.step()
    print(f"episode {episode} length loss: {len(policy.rewards)}")
    print(f"loss: {loss.item():.9g}")
    del policy.rewards[:], policy.saved_actions[:]
