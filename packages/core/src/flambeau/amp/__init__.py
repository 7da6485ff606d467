"""Mixed precision under `torch.amp`'s names."""

from flambeau.amp.custom import custom_bwd, custom_fwd
from flambeau.amp.grad_scaler import GradScaler
from flambeau.ops.casting import autocast, is_autocast_available

__all__ = ["GradScaler", "autocast", "custom_bwd", "custom_fwd", "is_autocast_available"]
