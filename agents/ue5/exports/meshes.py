"""The triangles of each shape, in metres, counter-clockwise from outside; faces have no normals, so that edges stay edges."""

from __future__ import annotations

import math

import trimesh
from trimesh.transformations import rotation_matrix
from trimesh.visual import TextureVisuals
from trimesh.visual.material import PBRMaterial

from agents.ue5.exports.shapes import FACES, GREY, Basic
from schemas.scene import Vector

SEGMENTS = 32
"""Of the circle of a cylinder or a cone."""


def mesh_of(shape: Basic | list[Vector]) -> trimesh.Trimesh:
    """A basic shape, or the box that has these corners."""
    mesh = BASIC[shape]() if isinstance(shape, str) else _box(shape)
    mesh.visual = TextureVisuals(material=PBRMaterial(baseColorFactor=[*GREY, 1.0], metallicFactor=0.0, roughnessFactor=0.8))
    return mesh


def _box(corners: list[Vector]) -> trimesh.Trimesh:
    halves = [half for a, b, c, d in FACES for half in ((a, b, c), (a, c, d))]
    return trimesh.Trimesh(vertices=corners, faces=halves, process=False)


def _cube() -> trimesh.Trimesh:
    mesh: trimesh.Trimesh = trimesh.creation.box((1.0, 1.0, 1.0))
    return mesh


def _sphere() -> trimesh.Trimesh:
    mesh: trimesh.Trimesh = trimesh.creation.icosphere(subdivisions=3, radius=0.5)
    return mesh


def _cylinder() -> trimesh.Trimesh:
    return _upright(trimesh.creation.cylinder(radius=0.5, height=1.0, sections=SEGMENTS))


def _cone() -> trimesh.Trimesh:
    mesh = trimesh.creation.cone(radius=0.5, height=1.0, sections=SEGMENTS)
    mesh.apply_translation((0.0, 0.0, -0.5))  # trimesh's stands on the origin
    return _upright(mesh)


def _plane() -> trimesh.Trimesh:
    corners = [(-0.5, 0.0, -0.5), (-0.5, 0.0, 0.5), (0.5, 0.0, 0.5), (0.5, 0.0, -0.5)]
    return trimesh.Trimesh(vertices=corners, faces=[(0, 1, 2), (0, 2, 3)], process=False)


def _upright(mesh: trimesh.Trimesh) -> trimesh.Trimesh:
    """What trimesh makes along Z, along Y."""
    mesh.apply_transform(rotation_matrix(-math.pi / 2, (1.0, 0.0, 0.0)))
    return mesh


BASIC = {"Cube": _cube, "Sphere": _sphere, "Cylinder": _cylinder, "Cone": _cone, "Plane": _plane}
