"""A small Breakout on 10 by 10 cells with the rules of MinAtar (Young and Tian 2019, arXiv 1903.03176), without its sticky actions."""

from __future__ import annotations

import numpy as np
from gymnasium.spaces import Box, Discrete

import flambeau
from flambeau import Tensor
from flambeau_rl.native.world import World

SIZE = 10
BALL_Y, BALL_X, DIRECTION, PADDLE, STRIKE, LAST_Y, LAST_X, BRICKS = range(8)  # columns of a state; the bricks fill the rest
UP = (3, 2, 1, 0)  # the direction after bouncing off a floor or ceiling
SIDE = (1, 0, 3, 2)  # off a wall
CORNER = (2, 3, 0, 1)  # off the edge of the paddle


class Breakout(World):
    """A state is ball, direction (0: up left, then clockwise), paddle, whether a brick was just hit, the ball's last cell, and the bricks.

    Actions: stay, left, right. Observations are four boards `(10, 10, 4)`: paddle, ball, trail of the ball, bricks. A brick earns 1; when
    none is left, three new rows come. The episode ends when the ball gets past the paddle.
    """

    id = "flambeau/Breakout-v0"
    max_episode_steps = 10_000
    observation_space = Box(0.0, 1.0, (SIZE, SIZE, 4), np.float32)
    action_space = Discrete(3)
    draws = 1

    def begin(self, draws: Tensor) -> Tensor:
        right = (draws[:, 0] >= 0.5).long()
        zeros = flambeau.zeros_like(right)
        ball = [zeros + 3, 9 * right, 2 + right, zeros + 4, zeros, zeros + 3, 9 * right]
        wall = _wall(right.device).expand(len(right), SIZE * SIZE)
        return flambeau.cat([flambeau.stack(ball, 1), wall], 1)

    def step(self, state: Tensor, actions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        y, x, direction, paddle, strike, _, _ = state[:, :BRICKS].unbind(1)
        bricks = state[:, BRICKS:]
        paddle = (paddle + (actions == 2).long() - (actions == 1).long()).clamp(0, SIZE - 1)
        new_x = x + _pick((-1, 1, 1, -1), direction)
        new_y = y + _pick((-1, -1, 1, 1), direction)
        walled = (new_x < 0) | (new_x >= SIZE)
        new_x = new_x.clamp(0, SIZE - 1)
        direction = flambeau.where(walled, _pick(SIDE, direction), direction)
        ceiling = new_y < 0
        new_y = new_y.clamp(0)
        here = flambeau.arange(SIZE * SIZE, device=state.device) == (SIZE * new_y + new_x).unsqueeze(1)
        touched = ~ceiling & ((bricks * here.long()).sum(1) > 0)
        broken = touched & (strike == 0)
        bricks = flambeau.where(here & broken.unsqueeze(1), 0, bricks)
        floor = ~ceiling & ~touched & (new_y == SIZE - 1)
        empty = floor & (bricks.sum(1) == 0)
        bricks = flambeau.where(empty.unsqueeze(1), _wall(state.device), bricks)
        caught, edged = floor & (x == paddle), floor & (x != paddle) & (new_x == paddle)
        direction = flambeau.where(ceiling | broken | caught, _pick(UP, direction), direction)
        direction = flambeau.where(edged, _pick(CORNER, direction), direction)
        new_y = flambeau.where(broken | caught | edged, y, new_y)
        ball = [new_y, new_x, direction, paddle, touched.long(), y, x]
        return flambeau.cat([flambeau.stack(ball, 1), bricks], 1), broken.float(), floor & ~caught & ~edged

    def observe(self, state: Tensor) -> Tensor:
        y, x, _, paddle, _, last_y, last_x = state[:, :BRICKS].unbind(1)
        cells = flambeau.arange(SIZE * SIZE, device=state.device)
        places = (SIZE * (SIZE - 1) + paddle, SIZE * y + x, SIZE * last_y + last_x)
        boards = [(cells == place.unsqueeze(1)).float() for place in places]
        return flambeau.stack([*boards, state[:, BRICKS:].float()], 2).reshape(-1, SIZE, SIZE, 4)


def _pick(table: tuple[int, int, int, int], direction: Tensor) -> Tensor:
    """`table[direction]`."""
    return sum((number * (direction == i).long() for i, number in enumerate(table)), start=flambeau.zeros_like(direction))


def _wall(device: flambeau.device) -> Tensor:
    """Bricks in rows 1 to 3."""
    cells = flambeau.arange(SIZE * SIZE, device=device)
    return ((cells >= SIZE) & (cells < 4 * SIZE)).long()
