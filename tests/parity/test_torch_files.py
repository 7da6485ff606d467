"""Files that Flambeau writes load in PyTorch with `weights_only=True`, and the other way round."""

import numpy as np
import pytest

import flambeau as fb
from flambeau.serialization import load, save
from tests.golden.torch_files import DTYPES, FOLDER, values

torch = pytest.importorskip("torch")


@pytest.mark.parametrize("mmap", [False, True])
def test_pytorch_loads_what_is_written(mmap, tmp_path):
    state = load(FOLDER / "zip.pt")
    save(state, tmp_path / "x.pt", format="torch")
    found = torch.load(tmp_path / "x.pt", weights_only=True, mmap=mmap)
    original = torch.load(FOLDER / "zip.pt", weights_only=True)
    assert found.keys() == original.keys()
    for name, value in original.items():
        if isinstance(value, torch.Tensor):
            other = found[name]
            assert other.dtype == value.dtype and other.shape == value.shape and other.requires_grad == value.requires_grad
            assert type(other) is type(value) and (other == value).all()
            assert name == "empty" or other.stride() == value.stride()
        else:
            assert found[name] == value
    if not mmap:
        found["w"][1, 2] = 99.0
        assert found["row"][2] == 99 and found["transposed"][2, 1] == 99


def test_modules_and_optimizers_go_both_ways(tmp_path):
    ours = fb.nn.Sequential(fb.nn.Linear(2, 2), fb.nn.Tanh(), fb.nn.Linear(2, 1))
    adam = fb.optim.AdamW(ours.parameters(), lr=0.1)
    ours(fb.arange(6.0).view(3, 2)).square().sum().backward()
    adam.step()
    save({"model": ours.state_dict(), "optimizer": adam.state_dict()}, tmp_path / "x.pt", format="torch")
    state = torch.load(tmp_path / "x.pt", weights_only=True)
    theirs = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Tanh(), torch.nn.Linear(2, 1))
    theirs.load_state_dict(state["model"])
    other = torch.optim.AdamW(theirs.parameters(), lr=0.5)
    other.load_state_dict(state["optimizer"])
    for model, optimizer, lib in ((ours, adam, fb), (theirs, other, torch)):
        optimizer.zero_grad()
        model(lib.arange(6.0).view(3, 2)).square().sum().backward()
        optimizer.step()
    torch.save({"model": theirs.state_dict(), "optimizer": other.state_dict()}, tmp_path / "y.pt")
    back = load(tmp_path / "y.pt")
    for name, value in ours.state_dict().items():
        np.testing.assert_allclose(back["model"][name].numpy(), value.numpy(), rtol=1e-5, atol=1e-6)
    assert back["optimizer"]["state"][0]["step"].item() == 2.0


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
def test_random_views_of_shared_storages(dtype, legacy, tmp_path):
    rng = np.random.default_rng(3)
    base = torch.tensor(values(dtype).tolist()).to(getattr(torch, dtype)).repeat(4, 5)
    views = []
    for _ in range(20):
        view = base
        for _ in range(rng.integers(1, 4)):
            axis = int(rng.integers(0, view.ndim))
            choice = int(rng.integers(0, 3))
            if choice == 0:
                view = view.transpose(0, axis)
            elif choice == 1 and view.shape[axis] > 1:
                view = view.narrow(axis, 1, view.shape[axis] - 1)
            else:
                view = view.unsqueeze(axis)
        views.append(view)
    torch.save(views, tmp_path / "x.pt", _use_new_zipfile_serialization=not legacy)
    for ours, theirs in zip(load(tmp_path / "x.pt"), views, strict=True):
        assert tuple(ours.shape) == tuple(theirs.shape) and ours.stride() == theirs.stride() and ours.tolist() == theirs.tolist()
