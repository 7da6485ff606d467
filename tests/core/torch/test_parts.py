"""The parts of PyTorch that exist for its programs alone: jit, profiler, saving of modules, the static check."""

import io

import pytest

import flambeau as fb
from flambeau.base.errors import ArgumentError, ArgumentTypeError, DownloadError, FileFormatError, FlambeauError
from flambeau.primitives.generator import use_stream


@pytest.fixture
def torch():
    import flambeau.torch as facade

    yield facade
    use_stream("philox")


# -- aliases ------------------------------------------------------------------------------------------------------------------------------
def test_mixed_precision_is_flambeaus(torch):
    assert torch.autocast is torch.amp.autocast is fb.autocast and torch.amp.GradScaler is torch.GradScaler is fb.amp.GradScaler
    assert torch.cuda.amp.autocast is fb.cuda.amp.autocast and not torch.is_autocast_enabled("cpu")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.is_autocast_enabled("cpu") and (torch.ones(2, 2) @ torch.ones(2, 2)).dtype is torch.bfloat16


def test_compile_takes_pytorchs_options(torch):
    double = torch.compile(lambda x: 2 * x, dynamic=True, mode="reduce-overhead", backend="inductor")
    assert [double(torch.ones(2)).tolist() for _ in range(3)] == [[2.0, 2.0]] * 3
    net = torch.nn.Linear(2, 1)
    assert torch.compile(net, disable=True) is net and torch.compile(fullgraph=True)(net)(torch.ones(1, 2)).shape == (1, 1)


# -- jit and profiler ---------------------------------------------------------------------------------------------------------------------
def test_scripts_run_as_they_are_and_are_saved_for_the_arguments_of_their_first_call(torch, tmp_path):
    @torch.jit.script
    def double(x):
        return 2 * x

    assert double(torch.ones(1)).item() == 2.0 and not torch.jit.is_scripting()
    net = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.Tanh())
    scripted = torch.jit.script(net)
    assert isinstance(scripted, torch.jit.ScriptModule) and scripted[0].weight is net[0].weight and torch.jit.script(scripted)[0] is net[0]
    x = torch.ones(4, 3)
    scripted.save(tmp_path / "whole.pt")
    whole = torch.jit.load(tmp_path / "whole.pt")
    assert isinstance(whole, torch.jit.ScriptModule) and isinstance(whole, torch.nn.Sequential) and torch.equal(whole(x), net(x))
    scripted(x)
    memory = io.BytesIO()
    torch.jit.save(scripted, memory)
    memory.seek(0)
    torch.testing.assert_close(torch.jit.load(memory)(torch.ones(2, 3)), net(torch.ones(2, 3)))
    double.save(tmp_path / "function.pt")
    assert torch.jit.load(tmp_path / "function.pt")(torch.full((1,), 4.0)).item() == 8.0
    with pytest.raises(ArgumentTypeError, match="that was called"):
        torch.jit.script(lambda a: a).save(tmp_path / "x.pt")
    with pytest.raises(ArgumentError, match="_extra_files"):
        scripted.save(tmp_path / "x.pt", {"a": b"b"})
    traced = torch.jit.trace(net, x)
    traced.save(tmp_path / "net.pt")
    assert isinstance(traced, torch.jit.ScriptModule) and isinstance(traced, type(net)) and not isinstance(net, torch.jit.ScriptModule)
    assert list(traced.state_dict()) == list(net.state_dict()) and traced[0].weight is net[0].weight
    loaded = torch.jit.load(tmp_path / "net.pt", map_location="cpu").to("cpu").eval()
    assert torch.equal(loaded.state_dict()["0.weight"], net[0].weight)
    torch.testing.assert_close(loaded(x), net(x))
    with pytest.raises(ArgumentTypeError, match="what trace.. or script.. returned"):
        torch.jit.save(torch.nn.Linear(1, 1), tmp_path / "x.pt")
    with pytest.raises(ArgumentTypeError, match="a loaded program"):
        loaded.save(tmp_path / "x.pt")
    torch.jit.save(torch.jit.trace(lambda a: 2 * a, x), tmp_path / "double.pt")
    assert torch.equal(torch.jit.load(tmp_path / "double.pt")(x), 2 * x)


def test_profiles_and_schedules(torch):
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as prof:
        for _ in range(3):
            with torch.profiler.record_function("step"):
                torch.ones(2) + 1
            prof.step()
    events = {event.key: event for event in prof.key_averages()}
    assert events["step"].count == 3 and prof.step_num == 3 and "step" in prof.key_averages().table(sort_by="cpu_time_total")
    action = torch.profiler.schedule(wait=1, warmup=1, active=2, repeat=1)
    assert [action(step).name for step in range(5)] == ["NONE", "WARMUP", "RECORD", "RECORD_AND_SAVE", "NONE"]


def test_data_parallel_is_the_module_under_its_prefix(torch):
    net = torch.nn.DataParallel(torch.nn.Linear(2, 1))
    assert list(net.state_dict()) == ["module.weight", "module.bias"] and net(torch.ones(1, 2)).shape == (1, 1)
    assert not torch.distributed.is_initialized() and torch.distributed.get_world_size() == 1
    from flambeau.torch.distributed import barrier, destroy_process_group, init_process_group

    with pytest.raises(FlambeauError, match="without torchrun"):
        init_process_group(backend="nccl", world_size=2)
    init_process_group("gloo", rank=0, world_size=1)
    assert torch.distributed.is_initialized() and barrier() is None
    x = torch.ones(2)
    parts = [torch.zeros(2)]
    torch.distributed.all_reduce(x, op=torch.distributed.ReduceOp.SUM)
    torch.distributed.all_gather(parts, x)
    assert torch.distributed.broadcast(x, 0, async_op=True).wait() and torch.equal(parts[0], torch.ones(2))
    assert destroy_process_group() is None and not torch.distributed.is_initialized()
    norm = torch.nn.SyncBatchNorm.convert_sync_batchnorm(torch.nn.Sequential(torch.nn.SyncBatchNorm(3)))
    assert norm(torch.rand(4, 3, 2, 2)).mean().abs() < 1e-6


# -- small modules ------------------------------------------------------------------------------------------------------------------------
def test_trees(torch):
    pytree = torch.utils._pytree
    value = {"a": [1, (2, 3)], "b": torch.ones(2)}
    leaves, spec = pytree.tree_flatten(value)
    assert leaves[:3] == [1, 2, 3] and pytree.tree_unflatten(leaves, spec)["a"] == [1, (2, 3)]
    assert pytree.tree_map(lambda a, b: a + b, [1, 2], [3, 4]) == [4, 6] and pytree.tree_structure([1]) == pytree.tree_structure([2])
    assert pytree.tree_map_only(int, lambda a: -a, value)["a"] == [-1, (-2, -3)] and pytree.tree_leaves((1, None)) == [1, None]
    assert pytree.tree_any(lambda a: a == 2, [1, 2]) and not pytree.tree_all(lambda a: a == 2, [1, 2])


def test_classes_that_are_called_safe(torch):
    before = torch.serialization.get_safe_globals()
    with torch.serialization.safe_globals([Tied]):
        assert torch.serialization.get_safe_globals() == [*before, Tied]
    torch.serialization.add_safe_globals([Tied])
    torch.serialization.clear_safe_globals()
    assert torch.serialization.get_safe_globals() == []


def test_memory_without_a_gpu_is_zero(torch):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    torch.cuda.reset_peak_memory_stats()
    assert torch.cuda.max_memory_allocated() == torch.cuda.memory.max_memory_reserved() == 0 and torch.cuda.get_rng_state_all() == []
    assert "0 bytes" in torch.cuda.memory_summary() and not torch.cuda.is_initialized() and torch.cuda.nvtx.range_push("x") == 0
    state = torch.cuda.get_rng_state()
    drawn = torch.rand(2)
    torch.cuda.set_rng_state(state)
    assert torch.equal(torch.rand(2), drawn)


def test_where_pytorch_keeps_names(torch):
    assert torch.distributions.constraints.positive is fb.distributions.constraints.positive
    assert torch.distributions.transforms.AffineTransform is fb.distributions.AffineTransform
    assert torch.distributions.kl.kl_divergence is torch.distributions.kl_divergence and torch.sparse.mm is torch.spmm is fb.sparse.mm
    assert torch.nn.utils.prune is not None and torch.nn.LazyLinear is fb.nn.LazyLinear
    assert torch.utils.dlpack.from_dlpack(torch.ones(2)).tolist() == [1, 1]
    torch.testing.assert_allclose(torch.ones(2), [1.0, 1.0])


def grow(index, path, wrong):
    if index == wrong:
        raise ValueError("no such luck")
    (path / str(index)).touch()


def test_processes(torch, tmp_path):
    torch.multiprocessing.spawn(grow, (tmp_path, -1), nprocs=2, start_method="fork")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["0", "1"]
    with pytest.raises(torch.multiprocessing.ProcessRaisedException, match="process 1 raised[^$]*no such luck"):
        torch.multiprocessing.spawn(grow, (tmp_path, 1), nprocs=2, start_method="fork")
    context = torch.multiprocessing.spawn(grow, (tmp_path, -1), join=False, start_method="fork")
    assert len(context.pids()) == 1 and context.join()


# -- saving -------------------------------------------------------------------------------------------------------------------------------
class Tied(fb.nn.Module):
    def __init__(self, act=fb.nn.functional.relu):
        super().__init__()
        self.encoder = fb.nn.Embedding(5, 3)
        self.rnn = fb.nn.LSTM(3, 3)
        self.decoder = fb.nn.Linear(3, 5)
        self.decoder.weight = self.encoder.weight
        self.act, self.size = act, (1, {"a": 2})

    def forward(self, x):
        return self.decoder(self.act(self.rnn(self.encoder(x))[0]))


def test_whole_modules_come_back_tied(torch, tmp_path):
    net = Tied()
    torch.save({"net": net, "epoch": 1}, tmp_path / "x.pt")
    with pytest.raises(FileFormatError, match="weights_only=False"):
        torch.load(tmp_path / "x.pt")
    found = torch.load(tmp_path / "x.pt", weights_only=False)["net"]
    x = torch.tensor([[1], [2]])
    assert torch.equal(found(x), net(x)) and found.decoder.weight is found.encoder.weight
    assert found.size == (1, {"a": 2}) and len(list(found.parameters())) == len(list(net.parameters()))
    found(x).sum().backward()
    assert found.encoder.weight.grad is not None


@pytest.mark.parametrize("attributes", [3, [1], {1: 2}, None])
def test_rows_of_modules_that_lie(torch, tmp_path, attributes):
    fb.save({"!kind": "flambeau.torch module", "class": "flambeau.nn:Linear", "attributes": attributes}, tmp_path / "x")
    with pytest.raises(FileFormatError, match="the attributes of a module by name"):
        torch.load(tmp_path / "x", weights_only=False)


def test_shared_deep_and_cyclic_containers_of_a_file(torch, tmp_path):
    from tests.core.serialization.hostile import op, whole, zip_file

    def load(body):
        (tmp_path / "x.pt").write_bytes(zip_file(whole(body)))
        return torch.load(tmp_path / "x.pt")

    for inner, add in ((op((1,)), b"0(" + b"h\x00" * 50 + b"tq\x00"), (b"]", b"0](" + b"h\x00" * 50 + b"eq\x00")):
        found = load(inner + b"q\x00" + add * 30)  # 50**30 leaves, if each were visited
        assert len(found) == 50 and found[0] is found[49]
    found = load(b"]q\x00h\x00a")
    assert found[0] is found
    found = load(b"}q\x00" + op("a") + b"h\x00s")
    assert found["a"] is found
    strange = b"cfractions\nFraction\n" + op((1, 2)) + b"R"
    with pytest.raises(FileFormatError, match="opaque=True"):
        load(strange)
    assert torch.load(tmp_path / "x.pt", opaque=True).name == "fractions.Fraction"
    with pytest.raises(FileFormatError, match="nested less deeply"):
        load(b"]" * 50_000 + b"a" * 49_999)


def test_files_cannot_name_code(torch, tmp_path, monkeypatch):
    fb.save({"!kind": "flambeau.torch module", "class": "antigravity:X", "attributes": {}}, tmp_path / "x")
    with pytest.raises(FileFormatError, match="whose class the program has imported"):
        torch.load(tmp_path / "x", weights_only=False)
    for name in ("os:system", "subprocess:Popen", "flambeau:Tensor", "builtins:eval"):
        fb.save({"!kind": "flambeau.torch module", "class": name, "attributes": {}}, tmp_path / "x")
        with pytest.raises(FileFormatError, match="whose class the program has imported"):
            torch.load(tmp_path / "x", weights_only=False)
    for name in ("os:system", "flambeau:save", "flambeau:load", "flambeau:compile", "flambeau.nn.functional:_", "flambeau:nn.Module"):
        fb.save({"!kind": "flambeau.torch function", "name": name}, tmp_path / "x")
        with pytest.raises(FileFormatError, match="an operation of Flambeau"):
            torch.load(tmp_path / "x", weights_only=False)
    with pytest.raises(ArgumentTypeError, match=r"a function at \['f'\]"):
        torch.save({"f": open}, tmp_path / "x")


# -- the static check ---------------------------------------------------------------------------------------------------------------------
SOURCE = """
import torch, torch.nn as nn
from torch import sparse_foo, optim as o
import torch.utils.bottleneck
from torch.nn import *
x = torch.relu(torch.quantize_per_tensor(1))
y = nn.functional.relu(x).whatever
z = torch.nn.functional.bogus(1)
F = torch.nn.functional
F.bogus2, F.gelu, o.Adam, o.lr_scheduler.StepLR
torch.Tensor.frobnicate
torch.backends.cudnn.benchmark = True
def f():
    from torch.fx import symbolic_trace
"""


def test_missing_names_with_their_lines():
    from flambeau.torch._compat import check_source

    found = [(use.line, use.name) for use in check_source(SOURCE)]
    assert found == [
        (3, "torch.sparse_foo"),
        (4, "torch.utils.bottleneck"),
        (6, "torch.quantize_per_tensor"),
        (8, "torch.nn.functional.bogus"),
        (10, "torch.nn.functional.bogus2"),
        (11, "torch.Tensor.frobnicate"),
        (14, "torch.fx.symbolic_trace"),
    ]


def test_a_chain_is_reported_once():
    from flambeau.torch._compat import check_source

    found = check_source("import torch\ntorch.ops.foo.bar(torch.ops)")
    assert [(use.name, use.reason) for use in found] == [("torch.ops.foo.bar", "torch.ops is not in Flambeau")]


def test_names_of_torchvision():
    pytest.importorskip("flambeau_vision")
    from flambeau.torch._compat import check_source

    source = "from torchvision import transforms as T, models\nT.ToTensor, T.Compose, models.resnet18, models.nope, T.v2.Resize"
    assert [use.name for use in check_source(source)] == ["torchvision.models.nope"]


def test_pictures_become_tensors(torch):
    import numpy as np

    from flambeau.torch._vision import ToTensor, to_tensor

    picture = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    assert torch.equal(to_tensor(picture), torch.from_numpy(picture).permute(2, 0, 1).float() / 255)
    assert to_tensor(np.ones((2, 2), np.int32)).dtype is torch.int32 and ToTensor()(np.ones((2, 2), bool)).max() == 1.0
    with pytest.raises(ArgumentTypeError, match="2 or 3 axes"):
        to_tensor(np.ones(2))


def test_data_sets_of_digits_hold_tensors(torch, tmp_path, monkeypatch):
    pytest.importorskip("flambeau_vision")
    import pickle
    import struct

    from flambeau.torch import _vision
    from flambeau.torch._table import NAMES

    monkeypatch.setenv("FLAMBEAU_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("FLAMBEAU_OFFLINE", "1")
    with pytest.raises(FileFormatError, match="train-images-idx3-ubyte.*get it from"):
        _vision.MNIST(tmp_path, train=True)
    with pytest.raises(DownloadError, match=r"to fetch train-images-idx3-ubyte.gz[^$]*FLAMBEAU_OFFLINE[^$]*MNIST.raw"):
        _vision.MNIST(tmp_path, train=True, download=True)
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    (raw / "train-images-idx3-ubyte").write_bytes(struct.pack(">4B3I", 0, 0, 8, 3, 2, 2, 2) + bytes(range(8)))
    (raw / "train-labels-idx1-ubyte").write_bytes(struct.pack(">4BI", 0, 0, 8, 1, 2) + bytes([3, 7]))
    digits = _vision.MNIST(tmp_path, train=True, download=True, transform=_vision.ToTensor())
    image, label = pickle.loads(pickle.dumps(digits))[1]
    assert torch.equal(image, torch.tensor([[[4.0, 5.0], [6.0, 7.0]]]) / 255) and label == 7
    assert NAMES["torchvision.datasets.MNIST"] == NAMES["torchvision.datasets.mnist.MNIST"] == "flambeau.torch._vision:MNIST"
    assert digits.data.dtype is torch.uint8 and digits.train_labels.tolist() == [3, 7] and not hasattr(_vision, "LSUN")


def test_sets_of_pictures_of_a_programs_own(torch):
    pytest.importorskip("flambeau_vision")
    from flambeau.torch._vision import VisionDataset

    class Two(VisionDataset):
        def __getitem__(self, index):
            return self.transforms(index, -index)

        def __len__(self):
            return 2

    data = Two("here", transform=lambda x: 10 * x)
    assert data[1] == (10, -1) and "Number of datapoints: 2" in repr(data) and "Root location: here" in repr(data)
    assert Two("here").transforms is None and Two("x", transforms=lambda x, y: (y, x))[1] == (-1, 1)
    with pytest.raises(ArgumentError, match="transforms, or transform"):
        Two("here", transforms=max, transform=min)


def test_files_of_data_sets(torch, tmp_path, monkeypatch):
    import hashlib
    import tarfile
    import zipfile

    from flambeau.torch import _downloads as utils

    monkeypatch.setenv("FLAMBEAU_HOME", str(tmp_path / "home"))
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("in/x.txt", "x")
    digits = hashlib.md5((tmp_path / "a.zip").read_bytes()).hexdigest()
    url = (tmp_path / "a.zip").as_uri()
    utils.download_and_extract_archive(url, tmp_path / "data", md5=digits, remove_finished=True)
    assert (tmp_path / "data" / "in" / "x.txt").read_text() == "x" and utils.list_dir(tmp_path / "data") == ["in"]
    assert utils.list_files(tmp_path / "data" / "in", ".txt") == ["x.txt"] and not utils.check_integrity(tmp_path / "a.zip", "0" * 32)
    with pytest.raises(ArgumentError, match="an md5"):
        utils.download_url(url, tmp_path / "other")
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
        archive.writestr("../../x.txt", "x")
    with tarfile.open(tmp_path / "bad.tar", "w") as packed:
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        packed.addfile(link)
    for name, match in (("bad.zip", "names inside"), ("bad.tar", "a link"), ("data/in/x.txt", "a zip or tar file")):
        with pytest.raises(FileFormatError, match=match):
            utils.extract_archive(tmp_path / name, tmp_path / "out")


def test_builders_of_models_take_pretrained(torch, tmp_path, monkeypatch):
    pytest.importorskip("flambeau_vision")
    from flambeau.torch import _models

    monkeypatch.setenv("FLAMBEAU_HOME", str(tmp_path))
    monkeypatch.setenv("FLAMBEAU_OFFLINE", "1")
    for options in ({"pretrained": False}, {"weights": None}):
        assert _models.resnet18(num_classes=3, **options).fc.out_features == 3
    for call in (lambda: _models.resnet18(pretrained=True), lambda: _models.resnet18(True), lambda: _models.fcn_resnet50(pretrained=True)):
        with pytest.raises(DownloadError, match="FLAMBEAU_OFFLINE"):
            call()
    assert "resnet18" in dir(_models) and _models.ResNet18_Weights.DEFAULT.name == "IMAGENET1K_V1"


def test_the_command(tmp_path):
    from click.testing import CliRunner

    from flambeau.cli.main import cli

    (tmp_path / "a.py").write_text(SOURCE)
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "b.py").write_text("import torch\ntorch.relu\n")
    done = CliRunner().invoke(cli, ["compat", "check", str(tmp_path)])
    assert (
        done.exit_code == 1 and "a.py:8: torch.nn.functional.bogus (not in Flambeau)" in done.output and "2 files, 7 missing" in done.output
    )
    done = CliRunner().invoke(cli, ["compat", "check", str(tmp_path / "sub"), "--json"])
    assert done.exit_code == 0 and '"missing": []' in done.output
    (tmp_path / "bad.py").write_text("import torch\ndef (:")
    done = CliRunner().invoke(cli, ["compat", "check", str(tmp_path)])
    assert "bad.py:1: this file (" in done.output and "a.py:8: " in done.output and "3 files, 8 missing" in done.output
    done = CliRunner().invoke(cli, ["compat", "check", str(tmp_path / "bad.py")])
    assert done.exit_code == 1 and "Python that parses" in done.output


# -- hub ----------------------------------------------------------------------------------------------------------------------------------
def test_state_dicts_by_address_are_checked(torch, tmp_path, monkeypatch):
    import hashlib

    monkeypatch.setenv("FLAMBEAU_HOME", str(tmp_path / "cache"))
    fb.save({"w": fb.ones(2)}, tmp_path / "net.pth", format="torch")
    digest = hashlib.sha256((tmp_path / "net.pth").read_bytes()).hexdigest()
    good, bad = tmp_path / f"net-{digest[:8]}.pth", tmp_path / "net-00000000.pth"
    for path in (good, bad):
        path.write_bytes((tmp_path / "net.pth").read_bytes())
    assert torch.utils.model_zoo.load_url is torch.hub.load_state_dict_from_url
    assert torch.hub.load_state_dict_from_url(f"file://{good}")["w"].tolist() == [1.0, 1.0]
    torch.hub.download_url_to_file(f"file://{bad}", tmp_path / "copy.pth", hash_prefix=digest)
    assert (tmp_path / "copy.pth").read_bytes() == good.read_bytes() and torch.hub.get_dir() == str(tmp_path / "cache")
    with pytest.raises(DownloadError, match="sha256 00000000"):
        torch.hub.load_state_dict_from_url(f"file://{bad}")
    with pytest.raises(ArgumentError, match="a checksum in the file's name"):
        torch.hub.load_state_dict_from_url(f"file://{tmp_path}/net.pth")
    with pytest.raises(FlambeauError, match="code of 'org/repo'"):
        torch.hub.load("org/repo", "net")
