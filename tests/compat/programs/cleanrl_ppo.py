"""PPO and RPO with vector environments, in the style of CleanRL's single files (continuous actions)."""

import argparse
import random
import time

import numpy as np
import torch
import torch.nn as nn
import torch.optim as optim
from torch.distributions.normal import Normal


class Envs:
    """A point that should come to rest at zero: observation (position, speed), action a force; episodes of 20 steps."""

    def __init__(self, n, seed):
        self.n, self.random = n, np.random.default_rng(seed)

    def reset(self):
        self.state, self.t = self.random.uniform(-1, 1, (self.n, 2)).astype(np.float32), 0
        return self.state

    def step(self, action):
        force = np.clip(action[:, 0], -1, 1)
        position = self.state[:, 0] + 0.1 * self.state[:, 1]
        speed = self.state[:, 1] + 0.2 * force
        self.state, self.t = np.stack([position, speed], 1).astype(np.float32), self.t + 1
        reward = -(position**2) - 0.1 * force**2
        done = np.full(self.n, self.t == 20)
        if done[0]:
            self.reset()
        return self.state, reward, done


def layer_init(layer, std=np.sqrt(2), bias_const=0.0):
    torch.nn.init.orthogonal_(layer.weight, std)
    torch.nn.init.constant_(layer.bias, bias_const)
    return layer


class Agent(nn.Module):
    def __init__(self):
        super().__init__()
        self.critic = nn.Sequential(
            layer_init(nn.Linear(2, 16)), nn.Tanh(), layer_init(nn.Linear(16, 16)), nn.Tanh(), layer_init(nn.Linear(16, 1), std=1.0)
        )
        self.actor_mean = nn.Sequential(
            layer_init(nn.Linear(2, 16)), nn.Tanh(), layer_init(nn.Linear(16, 16)), nn.Tanh(), layer_init(nn.Linear(16, 1), std=0.01)
        )
        self.actor_logstd = nn.Parameter(torch.zeros(1, 1))

    def get_value(self, x):
        return self.critic(x)

    def get_action_and_value(self, x, action=None):
        mean = self.actor_mean(x)
        probs = Normal(mean, torch.exp(self.actor_logstd.expand_as(mean)))
        if action is None:
            action = probs.sample()
        elif args.rpo:
            z = torch.FloatTensor(mean.shape).uniform_(-0.5, 0.5).to(device)
            probs = Normal(mean + z, torch.exp(self.actor_logstd.expand_as(mean)))
        return action, probs.log_prob(action).sum(1), probs.entropy().sum(1), self.critic(x)


parser = argparse.ArgumentParser()
parser.add_argument("--rpo", action="store_true")
args = parser.parse_args()
random.seed(1)
np.random.seed(1)
torch.manual_seed(1)
torch.backends.cudnn.deterministic = True
device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
num_envs, num_steps, gamma, lam, clip_coef = 4, 20, 0.99, 0.95, 0.2
envs, agent = Envs(num_envs, 1), Agent().to(device)
optimizer = optim.Adam(agent.parameters(), lr=3e-3, eps=1e-5)
obs = torch.zeros((num_steps, num_envs, 2)).to(device)
actions = torch.zeros((num_steps, num_envs, 1)).to(device)
logprobs, rewards, dones, values = (torch.zeros((num_steps, num_envs)).to(device) for _ in range(4))
start_time = time.time()
next_obs = torch.Tensor(envs.reset()).to(device)
next_done = torch.zeros(num_envs).to(device)
for iteration in range(1, 5):
    optimizer.param_groups[0]["lr"] = (1.0 - (iteration - 1.0) / 4) * 3e-3
    for step in range(num_steps):
        obs[step], dones[step] = next_obs, next_done
        with torch.no_grad():
            action, logprob, _, value = agent.get_action_and_value(next_obs)
            values[step] = value.flatten()
        actions[step], logprobs[step] = action, logprob
        next_obs, reward, done = envs.step(action.cpu().numpy())
        rewards[step] = torch.tensor(reward).to(device).view(-1)
        next_obs, next_done = torch.Tensor(next_obs).to(device), torch.Tensor(done).to(device)
    with torch.no_grad():
        next_value = agent.get_value(next_obs).reshape(1, -1)
        advantages = torch.zeros_like(rewards).to(device)
        lastgaelam = 0
        for t in reversed(range(num_steps)):
            if t == num_steps - 1:
                nextnonterminal, nextvalues = 1.0 - next_done, next_value
            else:
                nextnonterminal, nextvalues = 1.0 - dones[t + 1], values[t + 1]
            delta = rewards[t] + gamma * nextvalues * nextnonterminal - values[t]
            advantages[t] = lastgaelam = delta + gamma * lam * nextnonterminal * lastgaelam
        returns = advantages + values
    b_obs, b_logprobs, b_actions = obs.reshape((-1, 2)), logprobs.reshape(-1), actions.reshape((-1, 1))
    b_advantages, b_returns, b_values = advantages.reshape(-1), returns.reshape(-1), values.reshape(-1)
    b_inds = np.arange(num_envs * num_steps)
    clipfracs = []
    for _ in range(4):
        np.random.shuffle(b_inds)
        for start in range(0, len(b_inds), 20):
            mb = b_inds[start : start + 20]
            _, newlogprob, entropy, newvalue = agent.get_action_and_value(b_obs[mb], b_actions[mb])
            logratio = newlogprob - b_logprobs[mb]
            ratio = logratio.exp()
            with torch.no_grad():
                approx_kl = ((ratio - 1) - logratio).mean()
                clipfracs += [((ratio - 1.0).abs() > clip_coef).float().mean().item()]
            mb_advantages = b_advantages[mb]
            mb_advantages = (mb_advantages - mb_advantages.mean()) / (mb_advantages.std() + 1e-8)
            pg_loss = torch.max(-mb_advantages * ratio, -mb_advantages * torch.clamp(ratio, 1 - clip_coef, 1 + clip_coef)).mean()
            newvalue = newvalue.view(-1)
            v_clipped = b_values[mb] + torch.clamp(newvalue - b_values[mb], -clip_coef, clip_coef)
            v_loss = 0.5 * torch.max((newvalue - b_returns[mb]) ** 2, (v_clipped - b_returns[mb]) ** 2).mean()
            loss = pg_loss - 0.01 * entropy.mean() + v_loss * 0.5
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(agent.parameters(), 0.5)
            optimizer.step()
            print(f"loss: {loss.item():.9g}")
    y_pred, y_true = b_values.cpu().numpy(), b_returns.cpu().numpy()
    print(f"explained variance loss: {1 - np.var(y_true - y_pred) / np.var(y_true):.7g}")
