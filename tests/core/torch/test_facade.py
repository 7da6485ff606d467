"""The facade: PyTorch's names are Flambeau's objects, in one process, without cost."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import flambeau
from flambeau.base.errors import FlambeauError
from flambeau.primitives.generator import use_stream
from tests.core.torch import folders


@pytest.fixture
def torch():
    """The facade, with the stream of random numbers put back afterwards."""
    import flambeau.torch as facade

    before = use_stream("torch")
    yield facade
    use_stream("philox" if before == "torch" else before)


def test_names_are_the_same_objects(torch):
    assert torch.relu is flambeau.relu and torch.Tensor is flambeau.Tensor
    assert torch.nn.Linear is flambeau.nn.Linear and torch.nn.functional.gelu is flambeau.nn.functional.gelu
    assert torch.optim.lr_scheduler.StepLR is flambeau.optim.lr_scheduler.StepLR
    assert torch.utils.data.DataLoader is flambeau.data.DataLoader
    assert torch.distributions.Normal is flambeau.distributions.Normal
    assert torch.nn.functional.gelu is torch.nn.functional.__dict__["gelu"], "looked up once, then an ordinary attribute"


def test_names_from_files_of_pytorch(torch):
    from flambeau.torch.distributions.categorical import Categorical
    from flambeau.torch.nn.modules.batchnorm import _BatchNorm
    from flambeau.torch.nn.modules.conv import _ConvNd
    from flambeau.torch.nn.modules.instancenorm import _InstanceNorm
    from flambeau.torch.nn.modules.loss import _Loss
    from flambeau.torch.nn.modules.utils import _pair
    from flambeau.torch.optim.adamw import AdamW
    from flambeau.torch.utils.data.dataloader import default_collate
    from flambeau.torch.utils.data.sampler import Sampler

    assert Categorical is flambeau.distributions.Categorical and AdamW is flambeau.optim.AdamW and Sampler is flambeau.data.Sampler
    assert issubclass(torch.nn.MSELoss, _Loss) and issubclass(torch.nn.InstanceNorm1d, _InstanceNorm)
    assert isinstance(torch.nn.BatchNorm2d(2), _BatchNorm) and isinstance(torch.nn.Conv1d(1, 1, 1), _ConvNd)
    assert _pair(3) == (3, 3) and _pair([1, 2]) == (1, 2) and default_collate([1, 2]).tolist() == [1, 2]


def test_functions_that_have_the_name_of_a_file(torch):
    import flambeau.torch.autograd.gradcheck
    import flambeau.torch.nn.utils.weight_norm

    assert torch.nn.utils.weight_norm is flambeau.nn.utils.weight_norm and torch.autograd.gradcheck is flambeau.autograd.gradcheck
    assert callable(torch.nn.utils.spectral_norm) and torch.utils.checkpoint.checkpoint is flambeau.utils.checkpoint.checkpoint


def test_tensorboard_takes_tensors(torch, tmp_path):
    pytest.importorskip("tensorboardX")
    with torch.utils.tensorboard.SummaryWriter(tmp_path) as writer:
        writer.add_scalar("loss", torch.ones(1, requires_grad=True).mean(), 1)
        writer.add_scalars("two", {"a": torch.tensor(1.0), "b": 2.0}, 1)
        writer.add_image("image", torch.rand(3, 4, 4))
        writer.add_histogram("weights", torch.rand(5).bfloat16(), global_step=1)
        with pytest.warns(UserWarning, match="graph is not written"):
            writer.add_graph(torch.nn.Linear(1, 1), torch.ones(1))
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("events*"))
    assert writer.log_dir == str(tmp_path) and all(tag in written for tag in (b"loss", b"image", b"weights"))


def test_in_place_functions(torch):
    x = torch.zeros(2)
    assert torch.exp_(x) is x and x.tolist() == [1.0, 1.0]


def test_what_pytorch_does_not_have_is_hidden(torch):
    assert not hasattr(torch, "get") and not hasattr(torch, "plugins") and not hasattr(torch, "hub_of_flambeau")
    assert not hasattr(torch, "vision") and not hasattr(torch.nn, "blame")


def test_a_name_that_is_missing_says_what_to_do(torch):
    with pytest.raises(AttributeError, match=r"torch.quantize_per_tensor: expected a name that Flambeau has.*compat check|Did you mean"):
        torch.quantize_per_tensor  # noqa: B018
    with pytest.raises(AttributeError, match=r"torch.nn.functional.relv: .*Did you mean 'relu"):
        torch.nn.functional.relv  # noqa: B018


def test_the_random_stream_is_pytorchs(torch):
    torch.manual_seed(0)
    assert torch.rand(2).tolist() == pytest.approx([0.4962566, 0.7682218], abs=1e-7)


def test_star_imports(torch):
    scope = {}
    exec("from flambeau.torch.nn import *", scope)
    assert scope["Linear"] is flambeau.nn.Linear and "_BatchNorm" not in scope
    assert "relu" in torch.__all__ and {"nn", "optim", "cuda"} <= set(dir(torch))


def test_backends_keep_what_is_set(torch):
    torch.backends.cudnn.benchmark = True
    with torch.backends.cudnn.flags(benchmark=False):
        assert torch.backends.cudnn.benchmark is False
    assert torch.backends.cudnn.benchmark is True and not torch.backends.mps.is_available()
    torch.backends.cuda.matmul.allow_tf32 = True
    with torch.nn.attention.sdpa_kernel([torch.nn.attention.SDPBackend.FLASH_ATTENTION, torch.nn.attention.SDPBackend.MATH]):
        assert torch.nn.functional.scaled_dot_product_attention(*[torch.ones(1, 2, 4)] * 3).shape == (1, 2, 4)
    assert issubclass(torch.cuda.OutOfMemoryError, MemoryError) and torch.OutOfMemoryError is torch.cuda.OutOfMemoryError
    assert not torch.backends.cudnn.is_available() and torch.cuda.is_available() == flambeau.cuda.is_available()


def python(code, *arguments, run=("-m", "flambeau.torch"), folder=None, path=None):
    """What a child process prints."""
    script = Path(folder) / "program.py"
    script.write_text(textwrap.dedent(code))
    home = Path(flambeau.__file__).parent.parent
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([*(path or []), str(home)])}
    command = [sys.executable, *run, str(script), *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=folder, timeout=120)


PROGRAM = """
    import sys
    import torch
    import torch.nn as nn
    import torch.nn.functional as F
    from torch.utils.data import DataLoader, TensorDataset
    from torch.optim import SGD
    import torch.backends.cudnn
    import flambeau

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(2, 1)

        def forward(self, x):
            return F.relu(self.fc(x))

    if __name__ == "__main__":
        assert torch.relu is flambeau.relu and sys.argv[1:] == ["--epochs", "2"], sys.argv
        assert torch is sys.modules["torch"] and torch.nn is nn and nn.functional is F
        net = Net()
        for (x,) in DataLoader(TensorDataset(torch.ones(4, 2)), batch_size=2):
            net(x).sum().backward()
        SGD(net.parameters(), lr=0.1).step()
        print("done", torch.__version__.partition("+")[2].partition(".")[0])
"""


@pytest.mark.parametrize("run", [("-m", "flambeau.torch"), ("-m", "flambeau", "run-torch")])
def test_programs_run(run, tmp_path):
    done = python(PROGRAM, "--epochs", "2", run=run, folder=tmp_path)
    assert done.stdout == "done flambeau\n", done.stderr


def test_the_shim_reaches_programs_started_by_others(tmp_path):
    done = python(PROGRAM, "--epochs", "2", run=(), folder=tmp_path, path=[folders.shim()])
    assert done.stdout == "done flambeau\n", done.stderr


def test_child_processes_of_a_program_see_the_facade(tmp_path):
    code = """
        import subprocess, sys
        import torch
        import torch.multiprocessing as mp

        def work(queue):
            import torch.nn
            queue.put(torch.__version__)

        if __name__ == "__main__":
            text = subprocess.run([sys.executable, "-c", "import torch; print(torch.__version__)"], capture_output=True, text=True).stdout
            context = mp.get_context("spawn")
            queue = context.Queue()
            child = context.Process(target=work, args=(queue,))
            child.start()
            print(queue.get(timeout=60) == text.strip() == torch.__version__)
            child.join()
    """
    done = python(code, folder=tmp_path)
    assert done.stdout == "True\n", done.stderr


def test_errors_of_programs_keep_their_traceback(tmp_path):
    for run in (("-m", "flambeau.torch"), ("-m", "flambeau", "run-torch")):
        done = python("import torch\nraise KeyError('mine')\n", run=run, folder=tmp_path)
        assert done.returncode == 1 and "program.py" in done.stderr and "KeyError: 'mine'" in done.stderr
    assert python("raise SystemExit(7)", folder=tmp_path).returncode == 7
    usage = subprocess.run(
        [sys.executable, "-m", "flambeau.torch", "no-such-file.py"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path(flambeau.__file__).parent.parent)},
    )
    assert usage.returncode == 2 and "no such file: no-such-file.py" in usage.stderr


def test_only_one_of_the_two_can_be_in_a_process(tmp_path):
    (tmp_path / "torch.py").write_text("")
    code = """
        import torch
        from flambeau.torch._facade import install
        try:
            install()
        except Exception as error:
            print(type(error).__name__, error)
    """
    done = python(code, run=(), folder=tmp_path)
    assert "FlambeauError flambeau.torch: expected a process without PyTorch, got torch imported" in done.stdout, done.stderr
    assert issubclass(FlambeauError, Exception)


def test_importing_flambeau_alone_makes_no_torch(tmp_path):
    code = """
        import flambeau.torch, importlib.util, sys
        print("torch" in sys.modules, importlib.util.find_spec("torch"))
    """
    done = python(code, run=(), folder=tmp_path)
    assert done.stdout.startswith("False"), done.stderr


def test_torchvision_is_flambeau_vision(tmp_path):
    pytest.importorskip("flambeau_vision")
    code = """
        import numpy as np
        import torch
        import torchvision
        import torchvision.transforms.functional as TF
        from torchvision import models, ops, transforms, utils
        from torchvision.models.resnet import resnet18
        import flambeau_vision
        import flambeau_vision.functional

        assert torchvision.models.vgg.VGG is flambeau_vision.models.VGG and models is torchvision.models
        assert resnet18 is flambeau_vision.models.resnet18
        assert TF.resize is flambeau_vision.functional.resize and ops.nms is flambeau_vision.ops.nms
        change = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.5,), (0.5,))])
        picture = change(np.full((2, 3, 1), 255, np.uint8))
        assert picture.shape == (1, 2, 3) and picture.max() == 1.0
        try:
            torchvision.models.resnet19
        except AttributeError as error:
            print("torchvision.models.resnet19: expected a name" in str(error))
    """
    home = Path(flambeau.__file__).parents[3] / "vision" / "src"
    done = python(code, folder=tmp_path, path=[str(home)])
    assert done.stdout == "True\n", done.stderr


def test_a_package_that_is_not_installed_is_named(tmp_path):
    code = """
        import torch
        try:
            import torchaudio
        except ModuleNotFoundError as error:
            print(error)
    """
    done = python(code, folder=tmp_path)
    assert "pip install flambeau-audio" in done.stdout or not done.stdout, done.stderr
