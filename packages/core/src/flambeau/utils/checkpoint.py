"""Checkpointing under PyTorch's name; see `flambeau.autograd.checkpoint`."""

from __future__ import annotations

from flambeau.autograd.checkpoint import CheckpointError, checkpoint, checkpoint_sequential

__all__ = ["CheckpointError", "checkpoint", "checkpoint_sequential"]
