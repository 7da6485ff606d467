"""Cases of `flambeau.nn.functional` that several suites run: beside PyTorch, against numeric gradients, on shapes alone."""
