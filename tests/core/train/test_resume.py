"""A run that is killed and started again ends with the same bits as one that was left alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from flambeau.serialization import Checkpointer, load

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")

# Everything that is random: shuffling, dropout, noise in the data, Python's and NumPy's generators. Run again, it goes on where it was.
SCRIPT = textwrap.dedent("""
    import os, random, signal, sys
    import numpy as np
    import flambeau as fb
    from flambeau import nn, optim
    from flambeau.data import DataLoader, Dataset
    from flambeau.train import Callback, Checkpoint, CSVLogger, EarlyStopping, Trainer

    folder, kill_at, during_save, workers = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "save", int(sys.argv[4])

    class Points(Dataset):
        def __len__(self):
            return 50
        def __getitem__(self, index):
            x = np.float32([index / 50, random.random(), np.random.rand()]) + fb.randn(3).numpy()
            return fb.from_numpy(x), fb.tensor([float(x.sum() > 1.5)])

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 1))
        def forward(self, x):
            return self.layers(x)

    class Kill(Callback):
        def on_batch_end(self, loop):
            if loop.step != kill_at or os.path.exists(folder + "/killed"):
                return
            open(folder + "/killed", "w").close()
            if not during_save:
                os.kill(os.getpid(), signal.SIGKILL)
            replace = os.replace
            def die(source, target):
                if "checkpoint" in str(target):
                    os.kill(os.getpid(), signal.SIGKILL)
                replace(source, target)
            os.replace = die

    class Noise(Callback):
        def on_batch_end(self, loop):
            random.random(), np.random.rand()

    if __name__ == "__main__":
        random.seed(1), np.random.seed(2), fb.manual_seed(3)
        os.makedirs(folder, exist_ok=True)
        model = Net()
        optimizer = optim.AdamW(model.parameters(), lr=0.01)
        loader = DataLoader(Points(), batch_size=4, shuffle=True, num_workers=workers)
        check = DataLoader(Points(), batch_size=8, num_workers=workers, persistent_workers=workers > 0)
        callbacks = [Kill(), Noise(), CSVLogger(folder + "/metrics.csv", every_steps=3), EarlyStopping(patience=9),
                     Checkpoint(folder, every_steps=4, best="val_loss")]
        scheduler = optim.lr_scheduler.OneCycleLR(optimizer, 0.01, total_steps=21)
        trainer = Trainer(model, optimizer, nn.MSELoss(), callbacks=callbacks,
                          scheduler=scheduler, schedule_every="batch", clip_norm=1.0)
        trainer.fit(loader, check, epochs=3, accumulate=2, resume=folder)
        fb.serialization.save(trainer.state_dict(), folder + "/last.safetensors")
""")


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """Run the script in a folder; gives its exit code."""
    script = tmp_path_factory.mktemp("script") / "train.py"
    script.write_text(SCRIPT)

    def run(folder, kill_at=0, moment="batch", workers=0):
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OPENBLAS_NUM_THREADS": "1"}
        command = [sys.executable, str(script), str(folder), str(kill_at), moment, str(workers)]
        return subprocess.run(command, env=environment, timeout=100).returncode

    return run


@pytest.fixture(scope="module")
def whole(start, tmp_path_factory):
    """The folders of runs that were left alone, by number of workers."""
    folders: dict[int, Path] = {}

    def get(workers):
        if workers not in folders:
            folders[workers] = tmp_path_factory.mktemp("whole")
            assert start(folders[workers], workers=workers) == 0
        return folders[workers]

    return get


# An epoch has 7 updates (13 batches, two an update), and there is a checkpoint after every 4 updates and every epoch.
@pytest.mark.parametrize(
    ("kill_at", "moment", "workers", "saved"),
    [
        (3, "batch", 0, []),  # before the first checkpoint
        (10, "batch", 0, [4, 7, 8]),  # in the middle of an epoch
        (7, "batch", 0, [4]),  # after the last batch of an epoch
        (12, "save", 0, [4, 7, 8]),  # while a checkpoint is written
        (10, "batch", 2, [4, 7, 8]),
    ],
)
def test_a_killed_run_loses_nothing(start, whole, tmp_path, kill_at, moment, workers, saved):
    assert start(tmp_path, kill_at, moment, workers) == -signal.SIGKILL
    assert Checkpointer(tmp_path).steps() == saved
    assert start(tmp_path, kill_at, moment, workers) == 0
    for name in ("last.safetensors", "best.safetensors", "metrics.csv", "checkpoint-000000021.safetensors"):
        assert (tmp_path / name).read_bytes() == (whole(workers) / name).read_bytes()
    state = load(tmp_path / "last.safetensors")
    assert state["position"] == {"step": 21, "epoch": 3, "batch": 0, "samples": 150}


def test_resuming_a_finished_run_changes_nothing(start, whole, tmp_path):
    before = (whole(0) / "last.safetensors").read_bytes()
    assert start(whole(0)) == 0
    assert (whole(0) / "last.safetensors").read_bytes() == before
