"""Where experience is kept."""

from flambeau_rl.buffers.rollout import Batch, RolloutBuffer, minibatches

__all__ = ["Batch", "RolloutBuffer", "minibatches"]
