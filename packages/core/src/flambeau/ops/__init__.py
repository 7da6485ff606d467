"""Layer 4: operations under PyTorch's names, written with primitives."""
