"""Tokens for training: files of tokens, blocks, packing, batches of like lengths, streams that resume."""

from __future__ import annotations

from flambeau_text.data.bucketing import BucketSampler, pad_batch
from flambeau_text.data.packing import pack
from flambeau_text.data.stream import TextStream
from flambeau_text.data.tokens import TokenBlocks, TokenFile, write_tokens

__all__ = ["BucketSampler", "TextStream", "TokenBlocks", "TokenFile", "pack", "pad_batch", "write_tokens"]
