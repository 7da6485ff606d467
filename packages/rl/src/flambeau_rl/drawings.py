"""Pictures of classic-control environments, drawn from their observations: no game library is needed."""

from __future__ import annotations

import math
from typing import Any

from flambeau_rl.film import pillow

WIDTH, HEIGHT = 360, 200
_FINE = 3  # drawn so many times larger and scaled down, for smooth edges
_PIXELS_PER_METRE = WIDTH / 4.8  # the track that can be seen is that on which an episode goes on, 2.4 m to both sides
_POLE = 1.0  # metres

_PAPER, _RAIL, _CART, _POLE_COLOUR, _AXLE = (250, 249, 246), (170, 170, 170), (40, 44, 52), (214, 102, 41), (96, 125, 160)


def draw_cartpole(observation: Any) -> Any:
    """CartPole's cart and pole as a Pillow image, 360 x 200 with a palette.

    Args:
        observation: position of the cart in metres, its speed, angle of the pole in radians (positive to the right), its speed.

    Raises MissingExtra without the package pillow.
    """
    pil = pillow("draw_cartpole")
    image = pil.Image.new("RGB", (WIDTH * _FINE, HEIGHT * _FINE), _PAPER)
    pen = pil.ImageDraw.Draw(image)
    scale = _PIXELS_PER_METRE * _FINE
    x, angle = float(observation[0]), float(observation[2])
    left, rail = image.width / 2 + x * scale, image.height * 0.8
    half, tall = 0.25 * scale, 0.15 * scale
    top = rail - tall
    tip = (left + _POLE * scale * math.sin(angle), top - _POLE * scale * math.cos(angle))
    pen.line([(0, rail), (image.width, rail)], fill=_RAIL, width=_FINE)
    pen.rounded_rectangle([left - half, top - tall, left + half, top + tall], radius=4 * _FINE, fill=_CART)
    pen.line([(left, top), tip], fill=_POLE_COLOUR, width=8 * _FINE)
    for (cx, cy), radius, colour in (((left, top), 5, _AXLE), (tip, 4, _POLE_COLOUR)):
        pen.ellipse([cx - radius * _FINE, cy - radius * _FINE, cx + radius * _FINE, cy + radius * _FINE], fill=colour)
    small = image.resize((WIDTH, HEIGHT), pil.Image.Resampling.BOX)
    return small.quantize(32, dither=pil.Image.Dither.NONE)
