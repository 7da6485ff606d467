"""PyTorch's `torch.utils`: checkpointing."""

from __future__ import annotations

from flambeau.base.lazy import lazy_attributes

__getattr__, __dir__ = lazy_attributes(globals(), {"checkpoint", "data"})
