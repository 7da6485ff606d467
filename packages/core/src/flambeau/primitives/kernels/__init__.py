"""Plain functions on arrays: `f(xp, a, ..., **params)` with xp the array module. No tensors, no autograd."""
