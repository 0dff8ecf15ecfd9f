"""What is laid over a camera's picture, to see whether it lines up: the board's twin, three axes at its corner, and a tower beside it."""

from __future__ import annotations

from agents.engine.basic_shapes import CONE, CUBE
from agents.engine.scenes.description import Mesh
from agents.parts.frames import Vector
from agents.parts.rigid import Rigid, added

CORNER: Vector = (-0.14, 0.0, -0.1)
"""Of the chessboard, on the board: where OpenCV has its origin."""
_LONG, _THIN = 0.12, 0.004
"""Of an axis, in metres."""
_FOOT: Vector = (0.235, 0.0, 0.0)
"""Of the tower, on the board's plane: to the right of it."""

Colour = tuple[float, float, float, float]
_RED, _GREEN, _BLUE, _ROOF = (0.9, 0.1, 0.1, 1.0), (0.1, 0.7, 0.15, 1.0), (0.1, 0.25, 0.95, 1.0), (0.95, 0.45, 0.05, 1.0)


def over(board: Mesh) -> list[Mesh]:
    """The virtual actors of a board, in its frame: x to the right, y out of it, z down its face."""
    twin = Mesh(
        label="virtual board", mesh=board.mesh, position=board.position, orientation=board.orientation, colour=board.colour, virtual=True
    )
    place = Rigid(board.position, board.orientation)
    return [twin, *_axes(place), *_tower(place)]


def _axes(board: Rigid) -> list[Mesh]:
    """Red x, green y, blue z, from the corner."""
    ends: tuple[tuple[str, Vector, Colour], ...] = (("x", (1, 0, 0), _RED), ("y", (0, 1, 0), _GREEN), ("z", (0, 0, 1), _BLUE))
    return [_axis(board, name, towards, colour) for name, towards, colour in ends]


def _axis(board: Rigid, name: str, towards: Vector, colour: Colour) -> Mesh:
    x, y, z = towards
    middle = added(CORNER, (x * _LONG / 2, y * _LONG / 2, z * _LONG / 2))
    size = (max(x * _LONG, _THIN), max(y * _LONG, _THIN), max(z * _LONG, _THIN))
    return _part(board, f"virtual {name}", CUBE, middle, size, colour)


def _tower(board: Rigid) -> list[Mesh]:
    """Two blocks and a roof."""
    x, y, z = _FOOT
    return [
        _part(board, "virtual tower 0", CUBE, (x, y + 0.025, z), (0.06, 0.05, 0.06), _BLUE),
        _part(board, "virtual tower 1", CUBE, (x, y + 0.07, z), (0.045, 0.04, 0.045), _GREEN),
        _part(board, "virtual tower 2", CONE, (x, y + 0.11, z), (0.05, 0.04, 0.05), _ROOF),
    ]


def _part(board: Rigid, label: str, mesh: str, middle: Vector, size: Vector, colour: Colour) -> Mesh:
    """A shape in the board's frame."""
    place = board.apply(middle)
    return Mesh(label=label, mesh=mesh, position=place, orientation=board.orientation, scale=size, colour=colour, virtual=True)
