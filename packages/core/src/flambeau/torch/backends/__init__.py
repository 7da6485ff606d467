"""`torch.backends`: switches of libraries that are not here. They keep what is set and change nothing, except where they say otherwise."""

from __future__ import annotations

from flambeau.torch.backends import cpu, cuda, cudnn, mkl, mkldnn, mps, openmp, opt_einsum

__all__ = ["cpu", "cuda", "cudnn", "mkl", "mkldnn", "mps", "openmp", "opt_einsum"]
