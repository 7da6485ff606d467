"""PyTorch's files (.pt, .pth, .bin, .ckpt) read and written without PyTorch and without pickle: nothing in them is ever called."""
