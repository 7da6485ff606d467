"""Files of real PyTorch, kept so that the reader is tested where PyTorch is not installed.

Run with PyTorch installed to make the folder `torch_files` again. PyTorch 2.13.0. `EXPECTED` says what is in them.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

FOLDER = Path(__file__).with_suffix("")
DTYPES = (
    "float16", "bfloat16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "bool",
    "complex64", "complex128",
)  # fmt: skip


def values(dtype: str) -> np.ndarray:
    """Small numbers that every dtype holds exactly."""
    kind = {"bfloat16": "float32", "bool": "?"}.get(dtype, dtype)
    return (np.arange(6) % 2 if dtype == "bool" else np.arange(6)).astype(kind).reshape(2, 3)


def make() -> None:
    """Write the files."""
    import torch

    FOLDER.mkdir(exist_ok=True)
    w = torch.arange(12.0).view(3, 4)
    state = {name: torch.tensor(values(name).tolist()).to(getattr(torch, name)) for name in DTYPES}
    state |= {
        "w": w, "transposed": w.t(), "row": w[1], "every other": w[:, ::2], "expanded": torch.ones(1).expand(2, 3),
        "conj": torch.tensor([1 + 2j]).conj(), "parameter": torch.nn.Parameter(torch.ones(2)), "grad": torch.ones(2, requires_grad=True),
        "empty": torch.zeros(0, 3), "scalar": torch.tensor(3.5), "size": torch.Size([1, 2]), "dtype": torch.float16,
        "device": torch.device("cpu"), "plain": {1: None, "x": (1, -2.5, "é", b"by\xff", True, 2**70, 1 + 2j, {3}, bytearray(b"z"))},
    }  # fmt: skip
    torch.save(state, FOLDER / "zip.pt")
    torch.save(state, FOLDER / "protocol5.pt", pickle_protocol=5)
    torch.save(state, FOLDER / "legacy.pt", _use_new_zipfile_serialization=False)
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2))
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.ones(3, 2)).sum().backward()
    optimizer.step()
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 2)
    training = {
        "epoch": 3, "state_dict": model.state_dict(), "optimizer_states": [optimizer.state_dict()],
        "lr_schedulers": [scheduler.state_dict()],
        "hyper_parameters": {"numpy": np.float64(0.5), "array": np.arange(3), "fraction": __import__("fractions").Fraction(1, 2)},
    }  # fmt: skip
    torch.save(training, FOLDER / "training.ckpt")
    torch.save(model, FOLDER / "module.pt")


if __name__ == "__main__":
    make()
