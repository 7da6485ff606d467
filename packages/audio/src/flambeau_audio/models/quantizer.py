"""What wav2vec 2.0 learns from without labels: discrete codes of features, and a loss that tells the right one from others."""

from __future__ import annotations

from typing import Any

import flambeau
from flambeau import nn
from flambeau.nn import functional as F


class GumbelVectorQuantizer(nn.Module):
    """A code from each of several books, chosen by Gumbel softmax in training (Jang et al. 2016): (N, T, C) -> (N, T, E), perplexity."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.groups, self.count = config.num_codevector_groups, config.num_codevectors_per_group
        self.codevectors = nn.Parameter(flambeau.rand(1, self.groups * self.count, config.codevector_dim // self.groups))
        self.weight_proj = nn.Linear(config.conv_dim[-1], self.groups * self.count)
        self.temperature = 2.0

    def forward(self, x: Any, mask_time_indices: Any = None) -> tuple[Any, Any]:
        count, frames, _ = x.shape
        scores = self.weight_proj(x).reshape(count * frames, self.groups, self.count)
        if self.training:
            chosen = F.gumbel_softmax(scores.float(), tau=self.temperature, hard=True).to(x.dtype)
            used = scores.float().softmax(-1)
        else:
            chosen = used = F.one_hot(scores.argmax(-1), self.count).to(x.dtype)
        books = self.codevectors.reshape(self.groups, self.count, -1)
        codes = (chosen.transpose(0, 1) @ books).transpose(0, 1)  # rows groups E
        return codes.reshape(count, frames, -1), perplexity(used, mask_time_indices)


def perplexity(shares: Any, mask: Any = None) -> Any:
    """How many codes are in use, summed over groups: shares (rows, groups, codes), of the rows where the mask (N, T) is true."""
    if mask is None:
        mean = shares.mean(0)
    else:
        mean = (shares * mask.reshape(-1)[:, None, None].to(shares.dtype)).sum(0) / mask.long().sum()
    return (-flambeau.special.xlogy(mean, mean).sum(-1)).exp().sum()


def contrastive_loss(predicted: Any, codes: Any, negatives: Any, mask: Any, temperature: float) -> Any:
    """The cross entropy of a frame's own code among `negatives`, by cosine similarity, summed over hidden frames (eq. 3 of the paper).

    Args:
        predicted: (N, T, E).
        codes: (N, T, E).
        negatives: (N, T, K) flat places of other codes; those that equal the right code do not count.
        mask: (N, T) bools, true where frames are hidden.
        temperature: what similarities are divided by.
    """
    count, frames, width = codes.shape
    wrong = codes.reshape(-1, width)[negatives.long().reshape(-1)].reshape(count, frames, -1, width)
    choices = flambeau.cat([codes[:, :, None], wrong], 2)  # N T 1+K E
    logits = F.cosine_similarity(predicted.float()[:, :, None], choices.float(), dim=-1) / temperature
    same = (choices[:, :, 1:] == codes[:, :, None]).all(-1)
    logits = logits.masked_fill(flambeau.cat([flambeau.zeros_like(same[:, :, :1]), same], 2), float("-inf"))
    target = flambeau.where(mask, 0, -100).reshape(-1)
    return F.cross_entropy(logits.reshape(count * frames, -1), target, reduction="sum")
