"""Animated GIFs of episodes."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterable
from typing import Any

from flambeau.base.errors import ArgumentError, explain, missing_extra
from flambeau.base.files import atomic_write
from flambeau_rl.evaluation import Player


def record(agent: Player, env: Any, draw: Callable[[Any], Any], *, every: int = 1, seed: int | None = None) -> list[Any]:
    """Let an agent play one episode and return its pictures.

    Args:
        agent: plays with its most probable actions.
        env: a Gymnasium environment, not a vector environment.
        draw: makes a picture of an observation.
        every: draws each `every`-th observation, and the last.
        seed: of the episode.
    """
    observation, _ = env.reset(seed=seed)
    pictures, steps, ended = [draw(observation)], 0, False
    while not ended:
        observation, _, terminated, truncated, _ = env.step(agent.predict(observation, deterministic=True))
        ended = terminated or truncated
        steps += 1
        if ended or steps % every == 0:
            pictures.append(draw(observation))
    return pictures


def save_gif(pictures: Iterable[Any], path: str | os.PathLike[str], *, seconds: float) -> None:
    """Write Pillow images as an animation that shows each for `seconds` (GIF counts in hundredths, 0.02 at least) and begins again."""
    first, *others = list(pictures) or [None]
    if first is None:
        raise ArgumentError(explain("save_gif", expected="at least one picture", got="none"))
    memory = io.BytesIO()
    first.save(memory, "GIF", save_all=True, append_images=others, duration=round(1000 * seconds), loop=0)
    with atomic_write(path) as file:
        file.write(memory.getvalue())


def pillow(what: str) -> Any:
    """The package that draws. Raises MissingExtra where it is absent."""
    try:
        import PIL.ImageDraw
    except ImportError:
        raise missing_extra(what, "pillow", "flambeau-rl[render]") from None
    return PIL
