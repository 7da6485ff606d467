"""The core's own commands: name -> (place, summary). A table apart, so that they start without a look at plugins."""

from __future__ import annotations

COMMANDS = {
    "fit": ("flambeau.cli.fit:fit", "Run a registered recipe."),
    "list": ("flambeau.cli.catalogue:list_objects", "List what is registered."),
    "plugins": ("flambeau.cli.catalogue:plugins", "List plugins and what they bring."),
    "doctor": ("flambeau.cli.doctor:doctor", "Show what is installed and what is missing."),
    "cache": ("flambeau.cli.cache:cache", "Show or empty the cache of compiled code and downloads."),
    "bench": ("flambeau.cli.bench:bench", "Measure this machine in a few seconds."),
    "run-torch": ("flambeau.torch._cli:run_torch", "Run a program that was written for PyTorch."),
    "torch-shim": ("flambeau.torch._cli:torch_shim", "Print the folder that makes `import torch` find Flambeau."),
    "compat": ("flambeau.torch._cli:compat", "List what a PyTorch program uses that is missing."),
}
