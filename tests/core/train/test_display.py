"""Live progress: the last step is shown, speeds are right, odd names do no harm."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from flambeau.train import display
from flambeau.train.display import LiveProgress
from flambeau.train.recipe import Progress


@pytest.mark.parametrize("terminal", [True, False])
def test_progress_shows_the_last_step_and_survives_markup(terminal):
    console = Console(file=io.StringIO(), force_terminal=terminal, width=200)
    with LiveProgress("[b]odd", console) as live:
        for step in range(1, 1001):
            live(Progress(step, 1000, {"loss[/]": 0.5}))
    text = console.file.getvalue()
    assert "1000/1000" in text
    assert "[b]odd" in text
    assert "loss[/] 0.5" in text
    assert len(text.splitlines()) < 20


def test_progress_without_a_total_prints_a_line_now_and_then(monkeypatch):
    monkeypatch.setattr(display, "LINE_SECONDS", 0.0)
    console = Console(file=io.StringIO(), width=200)
    with LiveProgress("toy", console) as live:
        live(Progress(10, None, {}))
        live(Progress(20, None, {"loss": 1.0}))
    assert console.file.getvalue().splitlines()[1].split()[-2:] == ["loss", "1"]
