"""A ChArUco board as geometry: OpenCV's chessboard with markers, for the calibration of cameras, without a texture.

Panda3D's rasterizer draws it truly only so. All edges are on one grid, and each cell of it is a square of its own: where a long edge met
the corners of small ones, a renderer might leave gaps. Source of the pattern: OpenCV 4.14, `aruco::CharucoBoard` (not its legacy pattern)
and `aruco::Dictionary`.
"""

from __future__ import annotations

import struct

import cv2
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray
from panda3d.core import Geom, GeomNode, GeomTriangles, GeomVertexData, GeomVertexFormat, NodePath

COLUMNS, ROWS = 7, 5
SQUARE, MARKER = 0.04, 0.03
"""Edges in metres: of the chessboard's squares, and of the markers in the white ones."""
DICTIONARY = cv2.aruco.DICT_4X4_50
MARGIN = 0.02
"""White around the chessboard, in metres."""
CELL = 0.005
"""The grid's width in metres, that of one bit of a marker: squares and margin are multiples of it."""

_VERTEX = struct.Struct("<6f4B")

Cells = NDArray[np.bool_]


class Rectangle(Struct, frozen=True):
    """From one corner to the other, in metres from the chessboard's upper left corner, y downwards, as OpenCV has it."""

    x0: float
    y0: float
    x1: float
    y1: float
    black: bool


def board() -> cv2.aruco.CharucoBoard:
    """OpenCV's own idea of this board."""
    return cv2.aruco.CharucoBoard((COLUMNS, ROWS), SQUARE, MARKER, cv2.aruco.getPredefinedDictionary(DICTIONARY))


def rectangles() -> list[Rectangle]:
    """The whole board, margin included, in squares that touch and do not overlap."""
    cells, edge = _cells(), _steps(MARGIN)
    rows, columns = cells.shape
    return [
        Rectangle((x - edge) * CELL, (y - edge) * CELL, (x + 1 - edge) * CELL, (y + 1 - edge) * CELL, bool(cells[y, x]))
        for y in range(rows)
        for x in range(columns)
    ]


def board_mesh() -> NodePath:
    """The board on its back in Panda3D's frame, metres: its middle at the origin, its top towards +Y, its face towards +Z."""
    tiles = rectangles()
    data = GeomVertexData("board", GeomVertexFormat.get_v3n3c4(), Geom.UH_static)
    data.set_num_rows(4 * len(tiles))
    data.modify_array_handle(0).set_data(b"".join(map(_vertices, tiles)))
    faces = GeomTriangles(Geom.UH_static)
    for first in range(0, 4 * len(tiles), 4):
        faces.add_vertices(first, first + 1, first + 2)
        faces.add_vertices(first, first + 2, first + 3)
    geometry = Geom(data)
    geometry.add_primitive(faces)
    node = GeomNode("board")
    node.add_geom(geometry)
    return NodePath(node)


def _cells() -> Cells:
    """Whether each cell of the grid is black, row by row: the squares are, but for those with a marker."""
    square, marker, edge = _steps(SQUARE), _steps(MARKER), _steps(MARGIN)
    cells = np.pad(np.ones((ROWS * square, COLUMNS * square), np.bool_), edge)
    pattern, border = board(), (square - marker) // 2
    for number, corners in zip(pattern.getIds(), pattern.getObjPoints(), strict=True):
        x, y = (edge + _steps(float(at)) for at in corners[0][:2])
        cells[y - border : y - border + square, x - border : x - border + square] = False
        bits = pattern.getDictionary().generateImageMarker(int(number), marker)  # a pixel for each bit and for its frame
        cells[y : y + marker, x : x + marker] = bits == 0
    return cells


def _steps(length: float) -> int:
    """Metres in cells."""
    return round(length / CELL)


def _vertices(tile: Rectangle) -> bytes:
    """Four corners against the clock: position, normal, and colour in bytes."""
    middle_x, middle_y = COLUMNS * SQUARE / 2, ROWS * SQUARE / 2
    colour = (0, 0, 0, 255) if tile.black else (255, 255, 255, 255)
    corners = ((tile.x0, tile.y1), (tile.x1, tile.y1), (tile.x1, tile.y0), (tile.x0, tile.y0))
    return b"".join(_VERTEX.pack(x - middle_x, middle_y - y, 0, 0, 0, 1, *colour) for x, y in corners)
