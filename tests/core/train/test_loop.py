"""The loop does what the hand-written one does, and tells what it does."""

from __future__ import annotations

import math

import numpy as np
import pytest

import flambeau as fb
from flambeau import nn, optim
from flambeau.base.errors import ArgumentError
from flambeau.data import DataLoader, TensorDataset
from flambeau.train import Callback, Checkpoint, Interrupted, Trainer
from tests.core.train.support import Recorder, batches, mse, trainer, weights


def test_it_is_the_loop_that_one_writes_by_hand():
    data = batches()
    ours = trainer()
    numbers = ours.fit(data, epochs=3)

    fb.manual_seed(0)
    model = nn.Linear(3, 1)
    optimizer = optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    for _ in range(3):
        losses = []
        for x, y in data:
            optimizer.zero_grad()
            loss = mse(model(x), y)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    assert weights(ours.model) == weights(model)
    assert numbers["loss"] == pytest.approx(np.mean(losses), rel=1e-12)
    assert (ours.epoch, ours.step, ours.samples, ours.total_steps) == (3, 18, 72, 18)


def test_the_events_come_in_order():
    recorder = Recorder()
    trainer([recorder]).fit(batches(2), batches(1), epochs=2)
    assert recorder.events == [
        ("start", 0, 0),
        ("batch_end", 0, 1), ("batch_end", 0, 2), ("validation_end", 0, 2), ("epoch_end", 1, 2),
        ("batch_end", 1, 3), ("batch_end", 1, 4), ("validation_end", 1, 4), ("epoch_end", 2, 4),
        ("end", 2, 4),
    ]  # fmt: skip


def test_an_error_is_told_and_raised():
    class Failing(Callback):
        def on_batch_end(self, loop):
            raise ValueError("it broke")

    recorder = Recorder()
    with pytest.raises(ValueError, match="it broke") as caught:
        trainer([recorder, Failing()]).fit(batches())
    assert recorder.events == [("start", 0, 0), ("batch_end", 0, 1), ("exception", 0, 1, caught.value)]


def test_callbacks_are_told_by_order():
    seen = []

    class Named(Callback):
        def __init__(self, name, order):
            self.name, self.order = name, order

        def on_start(self, loop):
            seen.append(self.name)

    trainer([Named("a", 10), Named("b", 0), Named("c", -10), Named("d", 0)]).fit([])
    assert seen == ["c", "b", "d", "a"]


def test_accumulated_batches_are_one_large_batch():
    def train(data, **options):
        loop = trainer(clip_norm=0.5)
        loop.model.double()
        loop.fit([(x.double(), y.double()) for x, y in data], epochs=2, **options)
        return loop

    sizes = [3, 1, 4, 2, 5]
    data = [(x[:size], y[:size]) for (x, y), size in zip(batches(5, 5), sizes)]
    large = [tuple(fb.cat([batch[part] for batch in data[a:b]]) for part in (0, 1)) for a, b in ((0, 2), (2, 4), (4, 5))]
    ours, reference = train(data, accumulate=2), train(large)
    assert (ours.step, ours.batch, ours.samples, ours.total_steps) == (6, 0, 30, 6)
    for name, value in ours.model.state_dict().items():
        np.testing.assert_allclose(value.numpy(), reference.model.state_dict()[name].numpy(), rtol=1e-12)
    assert float(ours.loss) == pytest.approx(float(reference.loss), rel=1e-12)
    assert ours.metrics["loss"] == pytest.approx(reference.metrics["loss"], rel=1e-12)


def test_gradients_are_clipped():
    class Norm(Callback):
        def on_batch_end(self, loop):
            self.norm = math.sqrt(sum(float(p.grad.square().sum()) for p in loop.model.parameters()))

    norm = Norm()
    loop = trainer([norm], clip_norm=1e-3)
    loop.fit(batches(1))
    assert norm.norm == pytest.approx(1e-3, rel=1e-4)
    assert float(loop.grad_norm) > 0.1


@pytest.mark.parametrize(("every", "count"), [("epoch", 3), ("batch", 9)])
def test_schedulers_step_when_they_should(every, count):
    loop = trainer()
    scheduler = optim.lr_scheduler.ExponentialLR(loop.optimizer, gamma=0.5)
    loop = Trainer(loop.model, loop.optimizer, mse, scheduler=scheduler, schedule_every=every)
    loop.fit(batches(3), epochs=3)
    assert loop.optimizer.param_groups[0]["lr"] == 0.05 * 0.5**count


def test_a_plateau_is_looked_for_in_the_validation():
    class Plateau(optim.lr_scheduler.ReduceLROnPlateau):
        def step(self, metrics, epoch=None):
            seen.append(metrics)
            super().step(metrics)

    seen: list[float] = []
    loop = trainer()
    loop = Trainer(loop.model, loop.optimizer, mse, scheduler=Plateau(loop.optimizer))
    first = loop.fit(batches(3))
    second = loop.fit(batches(3), batches(2, seed=1), epochs=2)
    assert seen == [first["loss"], second["val_loss"]]
    with pytest.raises(ArgumentError, match='expected schedule_every "epoch" or "batch", got \'step\''):
        trainer(schedule_every="step")


def test_max_steps_ends_in_the_middle_of_an_epoch():
    recorder = Recorder()
    loop = trainer([recorder])
    numbers = loop.fit(batches(6), batches(1), epochs=5, max_steps=8)
    assert (loop.step, loop.epoch, loop.batch, loop.total_steps) == (8, 1, 2, 8)
    assert [event[0] for event in recorder.events[-3:]] == ["batch_end", "validation_end", "end"]
    assert {"loss", "val_loss"} <= numbers.keys()


def test_a_callback_can_stop_the_run():
    class Stop(Callback):
        def on_batch_end(self, loop):
            if loop.step == 4:
                loop.stop()

    recorder = Recorder()
    loop = trainer([recorder, Stop()])
    loop.fit(batches(3), epochs=9)
    assert (loop.step, loop.epoch) == (4, 1)
    assert recorder.events[-1] == ("end", 1, 4)


def test_a_second_call_goes_on():
    once, twice = trainer(), trainer()
    once.fit(batches(), epochs=4)
    twice.fit(batches(), epochs=2)
    twice.fit(batches(), epochs=4)
    assert weights(once.model) == weights(twice.model)
    assert twice.fit(batches(), epochs=4) == once.metrics
    assert twice.step == 24


def test_evaluation_leaves_everything_as_it_was():
    loop = trainer()
    loop.fit(batches(), epochs=1)
    before, meters = weights(loop.model), loop.meters.compute()
    seen = []
    loop.model.register_forward_hook(lambda module, args, output: seen.append((module.training, output.requires_grad)))
    numbers = loop.evaluate(batches(2, seed=5))
    assert seen == [(False, False)] * 2
    assert loop.model.training
    loop.model.eval()
    assert loop.evaluate(batches(2, seed=5), "test_") == {"test_loss": numbers["loss"]}
    assert not loop.model.training
    assert weights(loop.model) == before
    assert str(loop.meters.compute()) == str(meters)


def test_other_batches_need_their_own_forward():
    with pytest.raises(ArgumentError, match=r"expected batches of \(input, target\), got a dict\. Try: override Trainer\.forward"):
        trainer().fit([{"x": fb.zeros(2, 3)}])

    class Autoencoder(Trainer):
        def forward(self, batch):
            output = self.model(batch["x"])
            return mse(output, batch["x"]), output, batch["x"]

    model = nn.Linear(3, 3)
    loop = Autoencoder(model, optim.SGD(model.parameters(), lr=0.1), lambda output, target: None)
    loop.fit([{"x": x} for x, _ in batches()])
    assert loop.samples == 24


def test_any_iterable_is_a_loader():
    class Stream:
        def __iter__(self):
            return iter(batches(3))

    loop = trainer()
    loop.fit(Stream(), epochs=2)
    assert (loop.step, loop.total_steps) == (6, None)


def test_an_empty_loader_trains_nothing():
    loop = trainer()
    numbers = loop.fit([], [], epochs=2)
    assert loop.step == 0
    assert math.isnan(numbers["loss"])
    assert math.isnan(numbers["val_loss"])


class Press(Callback):
    """Presses Ctrl-C after some updates."""

    def __init__(self, step, times=1):
        self.at, self.times = step, times

    def on_batch_end(self, loop):
        if loop.step == self.at:
            import signal

            for _ in range(self.times):
                signal.raise_signal(signal.SIGINT)


def test_control_c_waits_for_the_end_of_the_batch_and_saves(tmp_path, capsys):
    import signal

    recorder = Recorder()
    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(Interrupted) as caught:
        trainer([recorder, Press(4), Checkpoint(tmp_path)]).fit(batches(3), epochs=9)
    assert signal.getsignal(signal.SIGINT) is handler
    assert recorder.events[-1] == ("exception", 1, 4, caught.value)
    path = tmp_path / "checkpoint-000000004.safetensors"
    assert path.exists()
    assert caught.value.__notes__ == [f"Saved {path}; go on with fit(..., resume={str(tmp_path)!r})."]
    assert capsys.readouterr().err == "Interrupted: finishing this batch first; Ctrl-C again stops at once.\n"

    resumed, whole = trainer(seed=1), trainer()
    resumed.callbacks = [Checkpoint(tmp_path)]
    numbers = resumed.fit(batches(3), epochs=9, resume=tmp_path)
    assert whole.fit(batches(3), epochs=9) == numbers
    assert weights(resumed.model) == weights(whole.model)


def test_a_second_control_c_stops_at_once_and_saves_nothing(tmp_path):
    with pytest.raises(KeyboardInterrupt) as caught:
        trainer([Press(2, times=2), Checkpoint(tmp_path)]).fit(batches(6), epochs=9)
    assert type(caught.value) is KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_resumed(tmp_path):
    loader = DataLoader(TensorDataset(fb.zeros(8, 3), fb.zeros(8, 1)), batch_size=2)
    trainer([Checkpoint(tmp_path, every_steps=1)]).fit(loader, max_steps=2)
    with pytest.raises(
        ArgumentError, match=r"expected a checkpoint of model, optimizer, meters, got one of model, optimizer, meters, train"
    ):
        trainer().fit(batches(), resume=tmp_path)

    class Stream:
        def __iter__(self):
            return iter(batches())

    trainer([Checkpoint(tmp_path / "b", every_steps=1)]).fit(Stream(), max_steps=2)
    with pytest.raises(ArgumentError, match="expected a DataLoader or a list of batches, got a Stream in the middle of an epoch"):
        trainer().fit(Stream(), resume=tmp_path / "b")
