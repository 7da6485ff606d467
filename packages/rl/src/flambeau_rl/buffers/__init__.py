"""Where experience is kept."""

from flambeau_rl.buffers.replay import NStep, PrioritizedReplayBuffer, ReplayBuffer, Transitions
from flambeau_rl.buffers.rollout import Batch, RolloutBuffer, minibatches, tensors

__all__ = ["Batch", "NStep", "PrioritizedReplayBuffer", "ReplayBuffer", "RolloutBuffer", "Transitions", "minibatches", "tensors"]
