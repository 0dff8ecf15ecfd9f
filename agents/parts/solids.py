"""Solids as triangles, in Panda3D's frame (Z up), and as what Panda3D draws."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from panda3d.core import Geom, GeomNode, GeomTriangles, GeomVertexData, GeomVertexFormat

SIDES = 20
"""Faces around what is round."""

Vertices = NDArray[np.float32]
"""[n, 6]: a position and its normal."""
Triangles = NDArray[np.uint32]
"""[m, 3]: vertices, counter-clockwise as seen from outside."""
Solid = tuple[Vertices, Triangles]
Profile = Sequence[tuple[float, float, float, float]]
"""Radius and height, and the normal along both, from the bottom to the top; an edge is there twice, with the normals of both its sides."""


def lathe(profile: Profile) -> Solid:
    """The solid of revolution of a profile about the Z axis."""
    radius, height, out, up = np.array(profile).T[:, :, None]
    angles = np.linspace(0, 2 * math.pi, SIDES + 1)
    cosine, sine, one = np.cos(angles), np.sin(angles), np.ones(SIDES + 1)
    vertices = np.stack([radius * cosine, radius * sine, height * one, out * cosine, out * sine, up * one], -1)
    below = np.arange(len(profile) - 1)[:, None] * (SIDES + 1) + np.arange(SIDES)
    above = below + SIDES + 1
    triangles = np.stack([below, below + 1, above, below + 1, above + 1, above], -1)
    return vertices.reshape(-1, 6).astype(np.float32), triangles.reshape(-1, 3).astype(np.uint32)


def squares(normals: Sequence[Sequence[float]], half: float, distance: float) -> Solid:
    """Squares with corners of their own, twice `half` wide and `distance` from the centre along their normals."""
    vertices = []
    for axis in np.array(normals, np.float64):
        side = np.roll(axis, 1)
        other = np.cross(axis, side)
        vertices += [[*(distance * axis + half * (a * side + b * other)), *axis] for a, b in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
    first = np.arange(0, len(vertices), 4)[:, None]
    triangles = first + np.array([0, 1, 2, 0, 2, 3])
    return np.array(vertices, np.float32), triangles.reshape(-1, 3).astype(np.uint32)


def geometry(solid: Solid) -> GeomNode:
    """What Panda3D draws."""
    vertices, triangles = solid
    data = GeomVertexData("solid", GeomVertexFormat.get_v3n3(), Geom.UH_static)
    data.set_num_rows(len(vertices))
    data.modify_array_handle(0).set_data(vertices.tobytes())
    faces = GeomTriangles(Geom.UH_static)
    for triangle in triangles:
        faces.add_vertices(*map(int, triangle))
    drawn = Geom(data)
    drawn.add_primitive(faces)
    node = GeomNode("solid")
    node.add_geom(drawn)
    return node
