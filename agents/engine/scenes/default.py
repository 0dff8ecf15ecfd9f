"""The scene that is made by code, the same each time: a room, bodies that fall into it, and a desk with a calibration board.

Cameras see the board, and a layer what is virtual of it (`virtual.py`): so an overlay has something to lay over something.
"""

from __future__ import annotations

import math

from msgspec.structs import replace

from agents.engine.basic_shapes import CUBE, CYLINDER, SPHERE
from agents.engine.scenes.description import Actor, Camera, Description, DirectionalLight, Mesh, PointLight
from agents.engine.scenes.placement import aim
from agents.engine.scenes.virtual import over
from agents.parts.frames import Quaternion, Vector
from schemas.xr import CAMERA, OVERLAY

NAME = "default"
BOARD = "/Game/Wondercraft/CharucoBoard.CharucoBoard"
"""The mesh of the ChArUco board, which lies on its back: its face looks along +Y, its top along -Z."""

WIDTH, HEIGHT, WALL = 10.0, 4.0, 0.2
"""Of the square room, inside, and of its walls."""
DESK: Vector = (0.0, 0.75, -4.0)
"""The middle of the desk's top."""
_DESK_SIZE: Vector = (1.6, 0.04, 0.8)
_LEG = 0.06
BOARD_HEIGHT, BOARD_YAW = 0.001, 0.15
"""Above the desk, or both would be drawn at the same depth; and askew, or its edges would lie along the rows of pictures."""

_ROW = 10
"""Bodies in a row, and rows in a layer."""
_SPACING, _LOWEST = 0.55, 1.0
_GOLDEN = (math.sqrt(5) - 1) / 2
"""Multiples of it, modulo 1, spread evenly and never repeat (Weyl, 1916): disorder that is the same each time."""
_COLOURS = (
    (0.8, 0.1, 0.1),
    (0.1, 0.5, 0.15),
    (0.12, 0.25, 0.8),
    (0.85, 0.6, 0.05),
    (0.5, 0.12, 0.55),
    (0.05, 0.55, 0.6),
    (0.85, 0.3, 0.05),
)
_GREY, _WOOD, _WHITE = (0.45, 0.45, 0.48, 1.0), (0.35, 0.2, 0.1, 1.0), (1.0, 1.0, 1.0, 1.0)


def default_scene(bodies: int) -> Description:
    """The scene with so many bodies about to fall."""
    falling = [_body(number) for number in range(bodies)]
    return Description(name=NAME, actors=[*_room(), *_desk(), *_cameras(), *_lights(), *falling])


def _room() -> list[Actor]:
    """A floor and four walls; their insides are at the room's measures."""
    out, high = (WIDTH + WALL) / 2, HEIGHT / 2
    long = WIDTH + 2 * WALL
    return [
        _block("floor", (0.0, -WALL / 2, 0.0), (long, WALL, long)),
        _block("wall left", (-out, high, 0.0), (WALL, HEIGHT, long)),
        _block("wall right", (out, high, 0.0), (WALL, HEIGHT, long)),
        _block("wall back", (0.0, high, -out), (long, HEIGHT, WALL)),
        _block("wall front", (0.0, high, out), (long, HEIGHT, WALL)),
    ]


def _desk() -> list[Actor]:
    """A top on four legs, the board on it, and what is virtual there."""
    x, top, z = DESK
    width, thick, depth = _DESK_SIZE
    legs = [
        _block(f"desk leg {number}", (x + side, (top - thick) / 2, z + end), (_LEG, top - thick, _LEG), _WOOD)
        for number, (side, end) in enumerate((s * (width - _LEG) / 2, e * (depth - _LEG) / 2) for s in (-1, 1) for e in (-1, 1))
    ]
    board = Mesh(label="charuco board", mesh=BOARD, position=(x, top + BOARD_HEIGHT, z), orientation=_turned(BOARD_YAW, 0.0), colour=_WHITE)
    return [_block("desk top", (x, top - thick / 2, z), _DESK_SIZE, _WOOD), *legs, board, *over(board)]


def _cameras() -> list[Actor]:
    x, top, z = DESK
    desk = _camera("desk", (x - 0.05, top + 0.7, z + 0.1), (x, top, z), 55.0)
    return [
        _camera("main", (0.0, 2.4, 4.8), (0.0, 0.6, -0.8), 70.0),
        desk,
        replace(desk, label=CAMERA),
        replace(desk, label=OVERLAY),
        _camera("overview", (-4.7, 3.8, 4.7), (0.0, 0.3, 0.0), 80.0),
    ]


def _lights() -> list[Actor]:
    sun, lamp = (2.0, 6.0, 3.0), (0.0, 3.2, -2.5)
    return [
        DirectionalLight(label="sun", position=sun, orientation=aim(sun, (0.0, 0.0, 0.0))),
        PointLight(label="lamp", position=lamp, intensity=0.4, colour=(1.0, 0.9, 0.75)),
    ]


def _body(number: int) -> Mesh:
    """A box, a sphere or a cylinder in its place of the grid, a little off it, so that no pile stands."""
    layer, place = divmod(number, _ROW * _ROW)
    row, column = divmod(place, _ROW)
    x, z = (_SPACING * (at - (_ROW - 1) / 2 + _spread(number, salt) * 0.15) for at, salt in ((column, 1), (row, 2)))
    size = 0.18 + 0.08 * (_spread(number, 3) + 0.5)
    return Mesh(
        label=f"body {number}",
        mesh=(CUBE, SPHERE, CYLINDER)[number % 3],
        position=(x, _LOWEST + _SPACING * layer, z),
        orientation=_turned(_spread(number, 4) * math.pi, _spread(number, 5) * math.pi / 2),
        scale=(size, size, size),
        colour=(*_COLOURS[number % len(_COLOURS)], 1.0),
        mass=1.0,
    )


def _spread(number: int, salt: int) -> float:
    """From -0.5 to 0.5, by number, in another order for each salt."""
    return (number * salt * _GOLDEN + salt * salt * _GOLDEN) % 1.0 - 0.5


def _turned(yaw: float, pitch: float) -> Quaternion:
    """About Y, then about its own X."""
    sy, cy, sp, cp = math.sin(yaw / 2), math.cos(yaw / 2), math.sin(pitch / 2), math.cos(pitch / 2)
    return (cy * sp, sy * cp, -sy * sp, cy * cp)


def _block(label: str, position: Vector, size: Vector, colour: tuple[float, float, float, float] = _GREY) -> Mesh:
    """A cuboid that stays where it is."""
    return Mesh(label=label, mesh=CUBE, position=position, scale=size, colour=colour, mass=0.0)


def _camera(label: str, position: Vector, target: Vector, field_of_view: float) -> Camera:
    """A camera that looks at a target; its horizontal field of view in degrees."""
    return Camera(label=label, position=position, orientation=aim(position, target), field_of_view=math.radians(field_of_view))
