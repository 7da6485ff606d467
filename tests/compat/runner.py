"""Runs programs one after the other in one process, under whatever `torch` is here, and prints a JSON object of their losses.

`python runner.py COMMAND...` for PyTorch, `python -m flambeau.torch runner.py COMMAND...` for Flambeau. Each COMMAND is a program's file
name with its arguments in one string.
"""

import contextlib
import io
import json
import re
import runpy
import sys
import time
import traceback
from pathlib import Path

import torch

LOSS = re.compile(r"loss: (-?(?:[\d.]+(?:e[-+]?\d+)?|nan|inf))")
PROGRAMS = Path(__file__).parent / "programs"


def run(command):
    """The losses that a program prints, its seconds, and the traceback if it failed."""
    name, *arguments = command.split()
    output, error = io.StringIO(), ""
    sys.argv = [name, *arguments]
    torch.set_default_dtype(torch.float32)
    start = time.perf_counter()
    try:
        with contextlib.redirect_stdout(output):
            runpy.run_path(str(PROGRAMS / name), run_name="__main__")
    except Exception:
        error = traceback.format_exc()
    seconds = time.perf_counter() - start
    return {"losses": [float(text) for text in LOSS.findall(output.getvalue())], "seconds": seconds, "error": error}


def warm():
    """What is imported at the first training step is not the first program's to pay for."""
    torch.set_num_threads(1)
    net = torch.nn.Linear(1, 1)
    optimizer = torch.optim.Adam(net.parameters())
    net(torch.ones(1, 1)).sum().backward()
    optimizer.step()


if __name__ == "__main__":
    warm()
    print(json.dumps({command: run(command) for command in sys.argv[1:]}))
