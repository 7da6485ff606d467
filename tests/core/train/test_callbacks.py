"""The callbacks, each in a real run."""

from __future__ import annotations

import csv
import io
import json
import math
import sys

import pytest
from rich.console import Console

import flambeau as fb
from flambeau.base.errors import ArgumentError, MissingExtra
from flambeau.serialization import Checkpointer, load
from flambeau.train import (
    Callback,
    Checkpoint,
    CSVLogger,
    EarlyStopping,
    GradientNorm,
    LearningCurve,
    LRMonitor,
    Profiler,
    ProgressBar,
    Report,
    TensorBoardLogger,
)
from flambeau.train.callbacks.best import Best
from flambeau.train.events import Loop
from tests.core.train.support import batches, trainer, weights


class Script(Callback):
    """Sets a metric to the next of its values after each epoch."""

    order = -20

    def __init__(self, *values, name="score"):
        self.values, self.name = values, name

    def on_epoch_end(self, loop):
        loop.metrics[self.name] = self.values[loop.epoch - 1]


def rows_of(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


# -- early stopping, best ---------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("values", "options", "epochs"),
    [
        ((3, 2, 1, 1, 1, 0), {"patience": 2}, 5),
        ((3, 2, 1, 2, 0.5, 2, 2), {"patience": 2}, 7),
        ((1, 2, 3, 3, 3, 9), {"patience": 2, "mode": "max"}, 5),
        ((3, 2.95, 2.9, 2.85, 1), {"patience": 3, "min_delta": 0.5}, 4),
        ((math.nan, math.nan, 1), {"patience": 2}, 2),
        ((4, 3, 2, 1), {"patience": 1}, 4),
    ],
)
def test_early_stopping(values, options, epochs):
    loop = trainer([Script(*values), EarlyStopping("score", **options)])
    loop.fit(batches(1), epochs=len(values))
    assert loop.epoch == epochs


def test_a_stopped_run_stays_stopped(tmp_path):
    def run():
        loop = trainer([Script(1, 1, 1, 1), EarlyStopping("score", patience=2), Checkpoint(tmp_path)])
        loop.fit(batches(1), epochs=4, resume=tmp_path)
        return loop

    assert run().epoch == 3
    assert run().epoch == 3


def test_a_metric_that_is_not_there():
    with pytest.raises(ArgumentError) as caught:
        trainer([EarlyStopping("val_los")]).fit(batches(1), batches(1))
    assert str(caught.value) == "monitor: expected a metric of this run (loss, val_loss), got 'val_los'. Did you mean 'val_loss'?"


@pytest.mark.parametrize(
    "make",
    [
        lambda: Best("loss", "least"), lambda: EarlyStopping(patience=0), lambda: Checkpoint("x", every_epochs=0),
        lambda: Checkpoint("x", every_steps=-1), lambda: Checkpoint("x", keep=0),
    ],
)  # fmt: skip
def test_wrong_arguments(make):
    with pytest.raises(ArgumentError):
        make()


# -- checkpoints ------------------------------------------------------------------------------------------------------------------------
def test_checkpoints_are_saved_and_the_last_ones_kept(tmp_path):
    trainer([Checkpoint(tmp_path, every_epochs=2, keep=2)]).fit(batches(3), epochs=7)
    assert Checkpointer(tmp_path).steps() == [18, 21]
    trainer([Checkpoint(tmp_path / "b", every_epochs=None, every_steps=4, keep=None)]).fit(batches(3), epochs=4)
    assert Checkpointer(tmp_path / "b").steps() == [4, 8, 12]


def test_the_best_weights_are_kept(tmp_path):
    seen = {}

    class Note(Callback):
        def on_epoch_end(self, loop):
            seen[loop.epoch] = weights(loop.model)

    loop = trainer([Script(3, 1, 2, 1), Note(), Checkpoint(tmp_path, best="score")])
    loop.fit(batches(2), epochs=4)
    best = load(tmp_path / "best.safetensors")
    assert {name: value.numpy().tobytes() for name, value in best.items()} == seen[2] != seen[4]


def test_the_best_of_before_is_known_after_resuming(tmp_path):
    def run(epochs, *values):
        loop = trainer([Script(*values), Checkpoint(tmp_path, best="score", mode="max")])
        loop.fit(batches(2), epochs=epochs, resume=tmp_path)
        return (tmp_path / "best.safetensors").read_bytes()

    first = run(2, 1, 5)
    assert run(4, 1, 5, 4, 4) == first
    assert run(5, 1, 5, 4, 4, 6) != first


def test_a_new_run_replaces_the_one_before(tmp_path):
    trainer([Checkpoint(tmp_path)]).fit(batches(9), epochs=3)

    class Look(Callback):
        def on_batch_end(self, loop):
            if loop.step == 1:
                assert Checkpointer(tmp_path).steps() == [9, 18, 27]  # nothing is lost before there is something new

    trainer([Look(), Checkpoint(tmp_path)]).fit(batches(2), epochs=2)
    assert Checkpointer(tmp_path).steps() == [2, 4]


def test_an_error_saves_nothing(tmp_path):
    class Failing(Callback):
        def on_batch_end(self, loop):
            raise ValueError

    with pytest.raises(ValueError):
        trainer([Failing(), Checkpoint(tmp_path)]).fit(batches())
    assert list(tmp_path.iterdir()) == []


# -- tables -----------------------------------------------------------------------------------------------------------------------------
def test_csv_has_a_row_an_epoch(tmp_path):
    path = tmp_path / "a" / "metrics.csv"
    loop = trainer([LRMonitor(), CSVLogger(path)])
    numbers = loop.fit(batches(3), batches(1), epochs=2)
    rows = rows_of(path)
    assert list(rows[0]) == ["epoch", "step", "loss", "val_loss", "lr"]
    assert [row["step"] for row in rows] == ["3", "6"]
    assert {name: float(rows[1][name]) for name in ("loss", "val_loss", "lr")} == numbers  # written exactly


def test_csv_with_steps_and_columns_that_appear_later(tmp_path):
    class Late(Callback):
        def on_epoch_end(self, loop):
            if loop.epoch == 2:
                loop.metrics['a "name", odd'] = 1.5

    path = tmp_path / "metrics.csv"
    path.write_text("old,run\n1,2\n")
    trainer([Late(), CSVLogger(path, every_steps=2)]).fit(batches(3), epochs=3)
    rows = rows_of(path)
    assert [(row["epoch"], row["step"]) for row in rows] == [
        ("0", "2"), ("1", "3"), ("1", "4"), ("1", "6"), ("2", "6"), ("2", "8"), ("3", "9"),
    ]  # fmt: skip
    assert [row['a "name", odd'] for row in rows] == ["", "", "", "", "1.5", "", ""]
    assert all(row["loss"] for row in rows)


def test_csv_goes_on_without_double_rows(tmp_path):
    def run(folder, epochs, stop=None):
        class Stop(Callback):
            def on_epoch_end(self, loop):
                if loop.epoch == stop:
                    raise RuntimeError

        path = folder / "metrics.csv"
        loop = trainer([CSVLogger(path, every_steps=1), Stop(), Checkpoint(folder, every_epochs=2)])
        loop.fit(batches(3), batches(2), epochs=epochs, resume=folder)
        return path.read_text()

    with pytest.raises(RuntimeError):
        run(tmp_path / "a", 6, stop=3)  # the checkpoint is of epoch 2
    assert len(rows_of(tmp_path / "a" / "metrics.csv")) == 12
    assert run(tmp_path / "a", 6) == run(tmp_path / "b", 6)


def test_tensorboard_files(tmp_path):
    pytest.importorskip("tensorboardX")
    from tensorboardX.proto.event_pb2 import Event
    from tensorboardX.record_writer import S3RecordWriter  # noqa: F401  (the format's module)

    loop = trainer([TensorBoardLogger(tmp_path, every_steps=2)])
    numbers = loop.fit(batches(4), epochs=2)
    (path,) = tmp_path.iterdir()
    data, found = path.read_bytes(), {}
    while data:  # length (8), its checksum (4), the event, its checksum (4)
        length = int.from_bytes(data[:8], "little")
        event = Event.FromString(data[12 : 12 + length])
        for value in event.summary.value:
            found[value.tag, event.step] = value.simple_value
        data = data[16 + length :]
    assert [key for key in found if key[0] == "step/loss"] == [("step/loss", step) for step in (2, 4, 6, 8)]
    assert found["epoch/loss", 8] == pytest.approx(numbers["loss"], rel=1e-6)


# -- pictures ---------------------------------------------------------------------------------------------------------------------------
def test_a_learning_curve_is_drawn(tmp_path):
    pytest.importorskip("matplotlib")
    from PIL import Image

    path = tmp_path / "curve.png"
    loop = trainer([Script(1.0, math.nan, 3.0), LearningCurve(path)])
    loop.fit(batches(2), batches(1), epochs=3)
    with Image.open(path) as image:
        two_panels = image.size
        assert len(image.convert("RGB").getcolors(1 << 20)) > 10
    trainer([Script(1.0, 2.0, 3.0), LearningCurve(path, metrics=("loss",))]).fit(batches(2), batches(1), epochs=3)
    with Image.open(path) as image:
        assert image.size[0] == two_panels[0]
        assert image.size[1] * 2 == two_panels[1]


def test_a_curve_over_steps(tmp_path):
    pytest.importorskip("matplotlib")

    def draw(**options):
        trainer([Script(1.0, 2.0), LearningCurve(tmp_path / "curve.png", **options)]).fit(batches(3), batches(1), epochs=2)
        return (tmp_path / "curve.png").read_bytes()

    assert draw() == draw(x="epoch") != draw(x="step")


def test_a_resumed_curve_is_whole(tmp_path):
    pytest.importorskip("matplotlib")

    def run(folder, *epochs):
        for end in epochs:
            path = folder / "curve.png"
            trainer([LearningCurve(path), Checkpoint(folder)]).fit(batches(2), epochs=end, resume=folder)
        return path.read_bytes()

    assert run(tmp_path / "a", 2, 5) == run(tmp_path / "b", 5)


def test_a_curve_of_nothing_is_not_drawn(tmp_path):
    pytest.importorskip("matplotlib")
    trainer([LearningCurve(tmp_path / "curve.png")]).fit(batches(2), epochs=0)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("make", "module", "extra"),
    [(TensorBoardLogger, "tensorboardX", "tensorboard"), (LearningCurve, "matplotlib", "plot")],
)
def test_an_absent_package_is_named_with_its_extra(tmp_path, monkeypatch, capsys, make, module, extra):
    for name in [name for name in sys.modules if name.partition(".")[0] == module]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    expected = f"{make.__name__}: expected the package '{module}', got an environment without it. Try: pip install \"flambeau[{extra}]\"."
    with pytest.raises(MissingExtra) as caught:
        make(tmp_path)
    assert str(caught.value) == expected
    if make is LearningCurve:
        assert LearningCurve.if_possible(tmp_path) == []
        assert capsys.readouterr().err == f"No learning curve is drawn. {expected}\n"


# -- monitors ---------------------------------------------------------------------------------------------------------------------------
def test_learning_rates_are_noted():
    fb.manual_seed(0)
    loop = trainer([LRMonitor()])
    scheduler = fb.optim.SGD(loop.model.parameters(), lr=0.1)
    loop.optimizer.add_param_group({"params": [fb.nn.Parameter(fb.zeros(1))], "lr": 0.5})
    assert scheduler is not loop.optimizer
    numbers = loop.fit(batches(1))
    assert (numbers["lr"], numbers["lr_1"]) == (0.05, 0.5)


def test_gradient_norms_are_averaged():
    norms = []

    class Norm(Callback):
        def on_batch_end(self, loop):
            norms.append(math.sqrt(sum(float(p.grad.square().sum()) for p in loop.model.parameters())))

    numbers = trainer([Norm(), GradientNorm()]).fit(batches(4))
    assert numbers["grad_norm"] == pytest.approx(sum(norms) / 4, rel=1e-6)
    clipped = trainer([GradientNorm()], clip_norm=1e9).fit(batches(4))
    assert clipped["grad_norm"] == pytest.approx(numbers["grad_norm"], rel=1e-6)


def test_the_profile_is_complete():
    numbers = trainer([Profiler()]).fit(batches(4))
    shares = {name: value for name, value in numbers.items() if name.startswith("time_")}
    assert list(shares) == ["time_data", "time_forward", "time_backward", "time_optimizer", "time_callbacks"]
    assert sum(shares.values()) == pytest.approx(1.0)


# -- progress ---------------------------------------------------------------------------------------------------------------------------
def test_reports_are_rare_but_the_last_one_comes():
    calls = []
    loop = trainer([Report(lambda *position, **numbers: calls.append((position, numbers)), seconds=1e9)])
    loop.fit(batches(3), epochs=2)
    assert [position for position, _ in calls] == [(1, 6), (6, 6)]
    assert calls[1][1].keys() == {"samples", "loss"}
    assert calls[1][1]["samples"] == 24
    json.dumps(calls)  # plain numbers


def test_a_report_without_a_loss():
    calls = []
    loop = Loop(callbacks=[Report(lambda *position, **numbers: calls.append(numbers), seconds=0)])
    loop.metrics["mean_return"] = 3.0
    with loop.running():
        loop.emit("batch_end")
    assert calls == [{"samples": 0, "mean_return": 3.0}]


@pytest.mark.parametrize("terminal", [True, False])
def test_the_bar_ends_with_the_run(terminal, monkeypatch):
    from flambeau.train import display

    console = Console(file=io.StringIO(), force_terminal=terminal, width=200, highlight=False)
    monkeypatch.setattr(display, "Console", lambda **options: console)
    trainer([ProgressBar("mine")]).fit(batches(3), batches(1), epochs=2)
    text = console.file.getvalue()
    assert "mine" in text
    assert "6/6" in text
    assert "samples/s" in text
    assert "epoch 2  loss " in text

    class Failing(Callback):
        def on_start(self, loop):
            raise ValueError("early")

    with pytest.raises(ValueError, match="early"):
        trainer([Failing(), ProgressBar()]).fit([])
