"""What `save` takes and refuses: entries, names, sizes, arguments that are written to; what comes back runs without the model's code."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import namedtuple

import numpy as np
import pytest

import flambeau as fb
from flambeau.base.errors import ArgumentError, ArgumentTypeError, FileFormatError, NameNotFound, ShapeError
from flambeau.export import CannotExport, Entry, load, save

Pair = namedtuple("Pair", "first second")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "program.fbx"


@pytest.fixture(params=[True, False], ids=["native", "interpreted"])
def compiled(request):
    if request.param:
        pytest.importorskip("llvmlite")
    return request.param


class Autoencoder(fb.nn.Module):
    def __init__(self):
        super().__init__()
        self.inner, self.outer = fb.nn.Linear(6, 2), fb.nn.Linear(2, 6)

    def encode(self, x):
        return self.inner(x).tanh()

    def decode(self, z):
        return self.outer(z)

    def forward(self, x):
        return {"z": (z := self.encode(x)), "x": [self.decode(z), None, "name", 3]}


def test_entries_share_their_weights(path, compiled):
    model = Autoencoder()
    x, z = fb.randn(3, 6), fb.randn(3, 2)
    save({"encode": Entry(model.encode, (x,)), "decode": Entry(model.decode, (z,)), "all": Entry(model, (x,))}, path)
    program = load(path, compiled=compiled)
    assert program.entries == ["encode", "decode", "all"]
    assert sorted(program.weights) == ["inner.bias", "inner.weight", "outer.bias", "outer.weight"]
    x = fb.randn(5, 6)
    fb.testing.assert_close(program.decode(program["encode"](x)), model.decode(model.encode(x)).detach())
    out = program.all(x)
    assert out["x"][1:] == [None, "name", 3]
    assert out["z"].shape == (5, 2)
    assert not out["z"].requires_grad
    with pytest.raises(NameNotFound, match="Did you mean 'encode'"):
        program["encoed"]
    with pytest.raises(ArgumentError, match="one of"):
        program(x)


def test_it_runs_in_a_process_without_the_model(path):
    model = Autoencoder()
    save(model.encode, path, (fb.ones(2, 6),))
    code = (
        "import flambeau as fb, sys\n"
        f"y = fb.export.load({str(path)!r})(fb.ones(4, 6))\n"
        "assert not any('test_save' in name for name in sys.modules)\n"
        "print(y.sum().item())"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, check=True)
    assert float(done.stdout) == pytest.approx(model.encode(fb.ones(4, 6)).sum().item(), abs=1e-5)


def test_several_sizes(path, compiled):
    def fn(x, y, scale=2.0):
        pairs = fb.cat([x, y], 1)
        n, t, c = pairs.shape
        flat = pairs.reshape(n * t, c)
        return (flat - flat.mean(0)).view(n, t, c).transpose(0, 1) * scale, flat.sum()

    save(fn, path, (fb.randn(2, 3, 4), fb.randn(2, 5, 4)), {"scale": 3.0}, dynamic_shapes={"x": {0: "n", 1: "t"}, "y": {0: "n", -2: "s"}})
    program = load(path, compiled=compiled)
    for n, t, s in ((1, 1, 1), (4, 2, 7)):
        x, y = fb.randn(n, t, 4), fb.randn(n, s, 4)
        for a, b in zip(program(x, y, scale=3.0), fn(x, y, 3.0), strict=True):
            fb.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)
    with pytest.raises(ShapeError, match=r"y as float32\[n, s, 4\] with n = 2, t = 3, got float32\[5, 3, 4\]"):
        program(fb.randn(2, 3, 4), fb.randn(5, 3, 4), scale=3.0)
    with pytest.raises(ArgumentError, match=r"scale=3.0, as exported"):
        program(fb.randn(2, 3, 4), fb.randn(2, 3, 4), scale=4.0)
    with pytest.raises(ArgumentTypeError, match="the arguments x, y, scale"):
        program(fb.randn(2, 3, 4))
    with pytest.raises(ArgumentTypeError, match="from_numpy"):
        program(np.zeros((2, 3, 4), np.float32), fb.randn(2, 3, 4), scale=3.0)


class Recurrent(fb.nn.Module):
    def __init__(self):
        super().__init__()
        self.cell, self.head = fb.nn.GRUCell(3, 4), fb.nn.Linear(4, 2)

    def forward(self, x):
        h, _ = fb.scan(lambda h, t: (self.cell(t, h), None), fb.zeros(x.shape[0], 4), x, dim=1)
        out = fb.cond(h.sum() > 0, lambda h: self.head(h), lambda h: -self.head(h) * x.shape[1], (h,))
        return out, fb.while_loop(lambda y, n: y < 40, lambda y, n: (y * 2 + 1, n + x.shape[0]), (1, 0))[1]


def test_loops_and_branches(path, compiled):
    model = Recurrent()
    save(model, path, (fb.randn(2, 5, 3),), dynamic_shapes=({0: "batch", 1: "time"},))
    program = load(path, compiled=compiled)
    assert {"cell.weight_ih", "head.weight"} <= set(program.weights)
    steps = program["forward"].entry.block.steps
    assert {"scan", "cond", "while_loop"} <= {s.prim.name for s in steps}
    for n, t in ((1, 1), (3, 8), (4, 2)):
        x = fb.randn(n, t, 3)
        with fb.no_grad():
            expected = model(x)
        for a, b in zip(program(x), expected, strict=True):
            fb.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def test_containers_and_integers(path, compiled):
    def fn(batch):
        out = batch["x"][batch["i"]] + batch["more"][1]
        return Pair(out, (out > 0).any())

    def example(n):
        return {"x": fb.randn(n, 3), "i": fb.arange(n), "more": [fb.ones(n, 1), fb.zeros(n, 1)]}

    save(fn, path, (example(3),))
    batch = example(6)
    first, second = load(path, compiled=compiled)(batch)
    fb.testing.assert_close(first, fn(batch).first)
    assert second.dtype == fb.bool


def test_arguments_that_are_written_to(path, compiled):
    def fn(x, cache):
        cache[:, 0] = x
        return cache.sum(1)

    example = fb.zeros(2, 3)
    save(fn, path, (fb.ones(2), example))
    assert example.sum() == 0
    cache = fb.zeros(4, 3)
    version = cache._version
    out = load(path, compiled=compiled)(fb.ones(4), cache)
    assert cache[:, 0].tolist() == [1.0] * 4
    assert cache._version > version
    assert out.tolist() == [1.0] * 4


def test_results_are_copies(path, compiled):
    w = fb.ones(1)
    save(lambda x: (x, w, x + w), path, (fb.ones(2),))
    program = load(path, compiled=compiled)
    x = fb.ones(2)
    for out in program(x):
        out.zero_()
    assert x.tolist() == [1.0, 1.0]
    assert [y.tolist() for y in program(x)] == [[1.0, 1.0], [1.0], [2.0, 2.0]]


def test_views_and_odd_layouts_of_arguments(path, compiled):
    save(lambda x: x * 2 + 1, path, (fb.ones(2, 3),))
    program = load(path, compiled=compiled)
    x = fb.arange(12.0).reshape(3, 4).t()[1:, :]
    fb.testing.assert_close(program(x), x * 2 + 1)


def norm_in_training():
    return fb.nn.BatchNorm1d(3)


def step():
    model = fb.nn.Linear(3, 1)
    optimizer = fb.optim.Adam(model.parameters())
    model(fb.ones(2, 3)).sum().backward()

    def fn(x):
        optimizer.step()
        return x

    return fn


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (norm_in_training, r"a write to a tensor of shape .* from outside at .*test_save.py:\d+.*model.eval"),
        (lambda: fb.nn.Dropout(0.5), r"random numbers at .*test_save.py:\d+.*model.eval"),
        (lambda: lambda x: x * x.sum().item(), r"item.* of a tensor of shape \(\) at .*test_save.py:\d+"),
        (lambda: lambda x: x if x.sum() > 0 else -x, r"item.* of a tensor"),
        (lambda: lambda x: x[x > 0], r"which values decide"),
        (step, r"an optimizer's step at .*test_save.py:\d+"),
        (lambda: lambda x: x.reshape(-1)[: len(x) ** 2], r"key of slice at .*4 for batch=2; 9 for batch=3"),
        (lambda: lambda x: x * len(x) ** 0.5, r"a number of mul"),
        (lambda: lambda x: x + fb.tensor([float(i) for i in range(len(x))])[:, None], r"made of Python values, which depend on batch"),
        (lambda: lambda x: {"out": object()}, r"a result of type object"),
        (lambda: lambda x: x.expand(2, 3), r"dynamic_shapes=None"),
    ],
)
def test_what_a_file_cannot_hold(make, message, path):
    fn = make()
    before = {k: v.clone() for k, v in fn.state_dict().items()} if isinstance(fn, fb.nn.Module) else {}
    with pytest.raises(CannotExport, match=message):
        save(fn, path, (fb.ones(2, 3),))
    assert not path.exists()
    for name, value in before.items():
        assert bool((fn.state_dict()[name] == value).all())


def test_bad_calls(path):
    with pytest.raises(ArgumentTypeError, match="a tuple of example arguments"):
        save(lambda x: x, path, fb.ones(2))
    with pytest.raises(ArgumentError, match="'batch' of one size"):
        save(lambda x, y: x, path, (fb.ones(2), fb.ones(3)))
    with pytest.raises(ArgumentError, match="dynamic_shapes for some of"):
        save(lambda x: x, path, (fb.ones(2),), dynamic_shapes={"z": {0: "n"}})
    with pytest.raises(ArgumentError, match=r"\{axis: name\} for x"):
        save(lambda x: x, path, (fb.ones(2),), dynamic_shapes={"x": {1: "n"}})


def test_many_sizes_do_not_pile_up(path):
    save(lambda x: x + 1, path, (fb.ones(2),))
    function = load(path, compiled=False)["forward"]
    for n in range(1, 40):
        assert function(fb.ones(n)).shape == (n,)
    assert len(function._runs) == 16


def test_a_changed_weight_shows(path, compiled):
    """Weights are the program's own: changing them in place changes what it computes."""
    model = fb.nn.Linear(2, 1, bias=False)
    save(model, path, (fb.ones(1, 2),))
    program = load(path, compiled=compiled)
    program(fb.ones(1, 2))
    program.weights["weight"].copy_(fb.tensor([[3.0, 4.0]]))
    assert program(fb.ones(1, 2)).item() == 7.0


def test_the_file_is_whole_or_absent(path, monkeypatch):
    save(lambda x: x + 1, path, (fb.ones(2),))
    content = path.read_bytes()
    path.write_bytes(content[:-1])
    with pytest.raises(FileFormatError):
        load(path)
