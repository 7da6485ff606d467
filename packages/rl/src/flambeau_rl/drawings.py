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
    with _Sheet("draw_cartpole") as sheet:
        scale = _PIXELS_PER_METRE
        x, angle = float(observation[0]), float(observation[2])
        left, rail = WIDTH / 2 + x * scale, HEIGHT * 0.8
        half, tall = 0.25 * scale, 0.15 * scale
        top = rail - tall
        tip = (left + _POLE * scale * math.sin(angle), top - _POLE * scale * math.cos(angle))
        sheet.line([(0, rail), (WIDTH, rail)], _RAIL, 1)
        sheet.box((left - half, top - tall, left + half, top + tall), 4, _CART)
        sheet.rod((left, top), tip, 8)
    return sheet.picture


def draw_acrobot(observation: Any) -> Any:
    """Acrobot's two links and the line to swing above. `observation`: cosine and sine of both angles, 0 hanging down, and their speeds."""
    with _Sheet("draw_acrobot") as sheet:
        one = math.atan2(float(observation[1]), float(observation[0]))
        two = one + math.atan2(float(observation[3]), float(observation[2]))
        length = HEIGHT * 0.22
        hinge = (WIDTH / 2, HEIGHT / 2)
        middle = (hinge[0] + length * math.sin(one), hinge[1] + length * math.cos(one))
        tip = (middle[0] + length * math.sin(two), middle[1] + length * math.cos(two))
        sheet.line([(0, hinge[1] - length), (WIDTH, hinge[1] - length)], _RAIL, 1)
        sheet.rod(hinge, middle, 8)
        sheet.rod(middle, tip, 8)
    return sheet.picture


def draw_mountain_car(observation: Any) -> Any:
    """MountainCar's valley, flag and car. `observation`: position and velocity."""
    with _Sheet("draw_mountain_car") as sheet:

        def place(x: float) -> tuple[float, float]:
            return (x + 1.2) / 1.8 * WIDTH, HEIGHT * (0.9 - 0.36 * (math.sin(3 * x) + 1))

        sheet.line([place(-1.2 + 0.02 * i) for i in range(91)], _RAIL, 2)
        foot = place(0.5)
        sheet.line([foot, (foot[0], foot[1] - 25)], _CART, 1)
        sheet.box((foot[0], foot[1] - 25, foot[0] + 12, foot[1] - 16), 0, _POLE_COLOUR)
        x, y = place(float(observation[0]))
        sheet.box((x - 12, y - 14, x + 12, y - 3), 4, _CART)
    return sheet.picture


def draw_pendulum(observation: Any) -> Any:
    """Pendulum's rod. `observation`: cosine and sine of the angle, 0 upright, and its speed."""
    with _Sheet("draw_pendulum") as sheet:
        hinge, length = (WIDTH / 2, HEIGHT / 2), HEIGHT * 0.42
        sheet.rod(hinge, (hinge[0] - length * float(observation[1]), hinge[1] - length * float(observation[0])), 10)
    return sheet.picture


class _Sheet:
    """Paper to draw on, in pixels of the picture; `picture` is there after the block."""

    def __init__(self, what: str) -> None:
        self.pil = pillow(what)
        self.image = self.pil.Image.new("RGB", (WIDTH * _FINE, HEIGHT * _FINE), _PAPER)
        self.pen = self.pil.ImageDraw.Draw(self.image)
        self.picture: Any = None

    def __enter__(self) -> _Sheet:
        return self

    def __exit__(self, *error: object) -> None:
        small = self.image.resize((WIDTH, HEIGHT), self.pil.Image.Resampling.BOX)
        self.picture = small.quantize(32, dither=self.pil.Image.Dither.NONE)

    def line(self, points: list[tuple[float, float]], colour: tuple[int, int, int], width: int) -> None:
        self.pen.line([(x * _FINE, y * _FINE) for x, y in points], fill=colour, width=width * _FINE)

    def box(self, corners: tuple[float, float, float, float], radius: int, colour: tuple[int, int, int]) -> None:
        self.pen.rounded_rectangle([n * _FINE for n in corners], radius=radius * _FINE, fill=colour)

    def dot(self, at: tuple[float, float], radius: float, colour: tuple[int, int, int]) -> None:
        x, y, r = at[0] * _FINE, at[1] * _FINE, radius * _FINE
        self.pen.ellipse([x - r, y - r, x + r, y + r], fill=colour)

    def rod(self, start: tuple[float, float], end: tuple[float, float], width: int) -> None:
        """A link with an axle at its beginning and a round end."""
        self.line([start, end], _POLE_COLOUR, width)
        self.dot(end, width / 2, _POLE_COLOUR)
        self.dot(start, width / 2 + 1, _AXLE)
