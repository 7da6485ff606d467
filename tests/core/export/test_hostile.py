"""Files are hostile: whatever is wrong with one is an error of ours that says so, and nothing large is made on its word."""

from __future__ import annotations

import copy
import random
import tracemalloc

import pytest

import flambeau as fb
from flambeau.base.errors import FileFormatError, FlambeauError
from flambeau.codegen.decompose import DECOMPOSED
from flambeau.codegen.rules import RULES
from flambeau.export import Loaded, load, save
from flambeau.export.check import SCHEMAS, UNLOWERED
from flambeau.export.codec import VERSION, decode, encode
from flambeau.export.save import export
from flambeau.serialization import save as save_state

BUDGET = 32 << 20  # bytes that looking at a small file and running it may take


def model():
    fb.manual_seed(0)
    return fb.nn.Sequential(fb.nn.Conv1d(2, 3, 3, padding=1), fb.nn.ReLU(), fb.nn.MaxPool1d(2), fb.nn.Flatten(), fb.nn.Linear(6, 4)).eval()


def mixed(x, i):
    """Operations whose kernels trust their parameters."""
    y = fb.cat([x.expand(3, -1, -1), x[:, None, 1:].reshape(1, -1, 4).expand(3, -1, -1)], 1)
    z = fb.nn.functional.pad(y, (1, 2)).transpose(1, 2)
    z[:, 1] = 0.5
    picked = z.gather(2, i).softmax(-1).std(1)
    return {"a": picked, "b": z.flip(0)[..., ::2].cumsum(0), "c": fb.nn.functional.interpolate(y, scale_factor=2)}


def looping(x, k):
    carry, ys = fb.scan(lambda c, t: (c * 0.5 + t, fb.cond(t.sum() > 0, lambda t: t * k, lambda t: t - c, (t,))), x[0], x)
    return carry, ys.flip(0)


def programs():
    x = fb.arange(12.0).reshape(1, 3, 4)
    yield encode(export(model(), (fb.ones(2, 2, 4),)))
    yield encode(export(mixed, (x, fb.zeros(3, 7, 2, dtype=fb.int64)), dynamic_shapes=None))
    yield encode(export(looping, (fb.ones(4, 3), fb.ones(3)), dynamic_shapes={"x": {0: "batch"}}))


ARGUMENTS = [(fb.ones(2, 2, 4),), (fb.ones(1, 3, 4), fb.zeros(3, 7, 2, dtype=fb.int64)), (fb.ones(4, 3), fb.ones(3))]


def places(node, path=()):
    yield path
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, (list, tuple)) else ()
    for key, child in children:
        yield from places(child, (*path, key))


NASTY = [0, -1, 1, 2, 7, 1 << 20, 1 << 40, 1 << 62, 1 << 70, -(1 << 40), 0.5, float("nan"), "", "eig", "float64", "batch", "bool"]
NASTY += [None, True, [], {}, [[]], (), (1 << 30,), [3], {"all": True}, {"dtype": "float64"}, {"size": [[["batch"], 9]], "real": False}]
NASTY += [{"slice": [None, None, -1]}, {"slice": [0, 1 << 40, 1]}, [0, 0, 0], (-1, -1), ("a",), fb.zeros(2)]


def replaced(node, path, new):
    if not path:
        return new
    key = path[0]
    if isinstance(node, tuple):
        items = list(node)
        items[key] = replaced(node[key], path[1:], new)
        return tuple(items)
    node[key] = replaced(node[key], path[1:], new)
    return node


def mutated(data, rng, where):
    path = rng.choice(where)
    kind = rng.random()
    data = copy.deepcopy(data)
    if kind < 0.2 and path:  # a part of another place
        other = data
        for key in rng.choice(where):
            other = other[key]
        return replaced(data, path, copy.deepcopy(other))
    return replaced(data, path, rng.choice(NASTY))


def attempt(data, arguments, compiled=False):
    """Load and call; whether it got through."""
    try:
        program = Loaded(decode(data, "hostile"), compiled)
        for function in (program[name] for name in program):
            function(*arguments)
    except FlambeauError:
        return False
    return True


@pytest.mark.parametrize("which", [0, 1, 2])
def test_changed_programs(which):
    data = list(programs())[which]
    arguments = ARGUMENTS[which]
    assert attempt(data, arguments)
    where = list(places(data))
    inside = [p for p in where if "steps" in p]
    rng = random.Random(which)
    refused = 0
    tracemalloc.start()
    for _ in range(400):
        refused += not attempt(mutated(data, rng, inside if rng.random() < 0.7 else where), arguments)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert refused > 150
    assert peak < BUDGET


def test_bytes(tmp_path):
    path = tmp_path / "program"
    save(model(), path, (fb.ones(2, 2, 4),))
    content = path.read_bytes()
    rng = random.Random(0)
    for i in range(150):
        broken = bytearray(content)
        for _ in range(rng.choice([1, 3, 20])):
            broken[rng.randrange(len(broken))] ^= rng.randrange(1, 256)
        path.write_bytes(bytes(broken) if i % 3 else content[: rng.randrange(len(content))])
        with pytest.raises(FlambeauError):
            load(path)


def first(data):
    return data["entries"]["forward"]


def step(data, name):
    return next(s for s in first(data)["block"]["steps"] if s[0] == name)


def set_in(path, value):
    def change(data):
        node = first(data)
        for key in path[:-1]:
            node = node[key]
        node[path[-1]] = value

    return change


def forget(data):
    del data["weights"]["0.weight"]


def after(data):
    steps = first(data)["block"]["steps"]
    steps[0][1] = [[len(first(data)["block"]["inputs"]) + len(steps) - 1], *steps[0][1][1:]]


def lying(data):
    step(data, "matmul")[3][0][1][1] = 5


def unknown(data):
    first(data)["block"]["steps"][0][0] = "exec"


def random_numbers(data):
    first(data)["block"]["steps"][0][0] = "random"


def injected(data):
    first(data)["block"]["steps"].append(["clamp", [[0]], {"lo": "0 ; ret void }", "hi": None}, [["float32", [2, 3]]], ""])


def huge(data):
    step(data, "conv")[2]["padding"] = ((1 << 40, 1 << 40),)


def huge_array(data):
    first(data)["block"]["steps"].append(
        ["full", [], {"shape": (1 << 50,), "value": 0.0, "dtype": {"dtype": "float32"}}, [["float32", [1 << 50]]], "m.py:3"]
    )


def deep(data):
    x = ()
    for _ in range(5000):
        x = (x,)
    first(data)["block"]["steps"][0][2] = {"stride": x}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.update(version=VERSION + 1), r"version 1 or older, got version 2.*pip install --upgrade flambeau"),
        (lambda d: d.update(version="1"), "a version number"),
        (lambda d: d.update(format="other"), "an exported program"),
        (lambda d: d.update(entries={}), "named entries"),
        (forget, "the name of a tensor in the file"),
        (after, "the number of a value that comes before"),
        (lying, "matmul"),
        (unknown, "a primitive that programs may have, got 'exec'"),
        (random_numbers, "a primitive that programs may have, got 'random'"),
        (injected, "parameters of its own kinds, got lo="),
        (huge, "conv"),
        (huge_array, r"memory of this machine.*full at m.py:3"),
        (deep, "too many levels|endless"),
        (set_in(["block", "outputs"], [999]), "the number of a result that comes before"),
        (set_in(["symbols"], {"batch": -3}), "symbols with sizes"),
        (set_in(["results"], {"x": 5}), "containers with leaves"),
    ],
)
def test_the_error_names_what_is_wrong(change, message):
    data = encode(export(model(), (fb.ones(2, 2, 4),)))
    change(data)
    with pytest.raises(FileFormatError, match=message):
        decode(data, "file.fbx")


def test_another_kind_of_file(tmp_path):
    save_state({"w": fb.ones(2)}, tmp_path / "state")
    with pytest.raises(FileFormatError, match=r"an exported program.*flambeau.load"):
        load(tmp_path / "state")
    (tmp_path / "text").write_text("hello")
    with pytest.raises(FileFormatError):
        load(tmp_path / "text")


def test_what_is_lowered_is_checked():
    """Machine code takes shapes as given, so each primitive that has a rule there needs one in the checks of files."""
    lowered = {*RULES, *DECOMPOSED}
    assert lowered & UNLOWERED == set()
    assert {name for name in SCHEMAS if name in UNLOWERED} == set()


def test_values_that_a_gather_may_not_reach():
    data = list(programs())[1]
    bad = fb.full((3, 7, 2), 99, dtype=fb.int64)
    assert not attempt(data, (fb.ones(1, 3, 4), bad))
