"""Mixed precision under `torch.amp`'s names: `autocast` and `GradScaler`."""

from flambeau.amp.grad_scaler import GradScaler
from flambeau.ops.casting import autocast

__all__ = ["GradScaler", "autocast"]
