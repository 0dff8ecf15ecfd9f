"""The scene as glTF: what other people's loaders make of it. That the format's own validator finds no fault is in integration/."""

from __future__ import annotations

import math
import struct
import tempfile
from pathlib import Path
from typing import Any

import gltf
import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from msgspec import json
from msgspec.structs import replace
from panda3d.core import NodePath
from snapshots import BASIC, ENGINE, EVERYTHING, PLACE, basic, seen, snapshots

from agents.parts.frames import to_panda
from agents.ue5.exports import glb
from agents.ue5.exports.snapshot import Snapshot

JSON_CHUNK = 20
"""Bytes before the JSON of a file (glTF 2.0, section 4.4)."""
AXES = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))


def tree(content: bytes) -> Any:  # Any: JSON
    (length,) = struct.unpack("<I", content[12:16])
    return json.decode(content[JSON_CHUNK : JSON_CHUNK + length])


def written(snapshot: Snapshot) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        glb.write(snapshot, Path(folder) / "scene.glb")
        return (Path(folder) / "scene.glb").read_bytes()


def loaded(snapshot: Snapshot, folder: Path) -> trimesh.Scene:
    glb.write(snapshot, folder / "scene.glb")
    return trimesh.load_scene(folder / "scene.glb")


@settings(max_examples=60, deadline=None)
@given(snapshots())
def test_trimesh_finds_every_actor_where_it_was(snapshot: Snapshot) -> None:
    numbered = replace(snapshot, actors=[replace(actor, label=f"{number}") for number, actor in enumerate(snapshot.actors)])
    with tempfile.TemporaryDirectory() as folder:
        graph = loaded(numbered, Path(folder)).graph

    for expected in numbered.actors:
        matrix, _ = graph[expected.label]
        for corner in AXES:
            tolerance = 1e-6 * (1 + max(map(abs, expected.scale)))
            assert tuple((matrix @ (*corner, 1.0))[:3]) == pytest.approx(seen(expected, corner), rel=1e-9, abs=tolerance)


def test_panda3d_finds_every_actor_where_it_was(tmp_path: Path) -> None:
    glb.write(EVERYTHING, tmp_path / "scene.glb")
    level = NodePath(gltf.load_model(str(tmp_path / "scene.glb")))

    for expected in EVERYTHING.actors:
        matrix = level.find(f"**/{expected.label}").get_mat(level)
        for corner in AXES:
            assert tuple(matrix.xform_point(to_panda(corner))) == pytest.approx(to_panda(seen(expected, corner)), abs=1e-6)


@settings(max_examples=60, deadline=None)
@given(snapshots())
def test_every_node_has_the_label_of_its_actor_whatever_that_is(snapshot: Snapshot) -> None:
    nodes = tree(written(snapshot)).get("nodes", [])

    assert [node["name"] for node in nodes] == [actor.label for actor in snapshot.actors]


@pytest.mark.parametrize("name", BASIC)
def test_a_basic_shape_is_a_metre_across_before_it_is_scaled(tmp_path: Path, name: str) -> None:
    plain = replace(basic(name), position=(0, 0, 0), orientation=(0, 0, 0, 1), scale=(1, 1, 1))
    scene = loaded(replace(EVERYTHING, actors=[plain]), tmp_path)
    height = 0.0 if name == "Plane" else 0.5

    assert np.allclose(scene.bounds, [[-0.5, -height, -0.5], [0.5, height, 0.5]], atol=1e-6)


def test_the_cone_stands_on_its_base_and_the_plane_faces_up(tmp_path: Path) -> None:
    shapes = loaded(EVERYTHING, tmp_path).geometry
    cone = shapes["Cone"].vertices

    assert np.allclose(np.unique(cone[cone[:, 1] > 0.4999], axis=0), [[0, 0.5, 0]], atol=1e-6)
    assert np.allclose(shapes["Plane"].face_normals, [0, 1, 0])


def test_a_solid_has_its_outside_outside(tmp_path: Path) -> None:
    shapes = loaded(EVERYTHING, tmp_path).geometry

    for name in ("Cube", "Sphere", "Cylinder", "Cone", "Bounds 5"):
        assert shapes[name].is_watertight and shapes[name].volume > 0


def test_a_mesh_that_only_the_engine_has_is_the_box_that_it_filled_and_says_so(tmp_path: Path) -> None:
    (chair,) = (actor for actor in EVERYTHING.actors if actor.label == "chair")
    scene = loaded(replace(EVERYTHING, actors=[chair]), tmp_path)
    (node,) = tree((tmp_path / "scene.glb").read_bytes())["nodes"]
    centre, half = map(np.array, EVERYTHING.bounds[PLACE.format("chair")])

    assert np.allclose(scene.bounds, [centre - half, centre + half], atol=1e-6)
    assert node["extras"] == {"class": "StaticMeshActor", "mesh": "/Game/Chair.Chair", "proxy": "bounds"}


def test_actors_of_one_shape_share_its_mesh() -> None:
    cubes = [replace(basic("Cube"), label=f"{number}") for number in range(5)]
    file = tree(written(replace(EVERYTHING, actors=cubes)))

    assert len(file["meshes"]) == 1 and [node["mesh"] for node in file["nodes"]] == [0] * 5


def test_a_camera_sees_as_wide_as_it_did() -> None:
    file = tree(written(EVERYTHING))
    (camera,) = file["cameras"]
    upright, ratio = camera["perspective"]["yfov"], camera["perspective"]["aspectRatio"]

    assert 2 * math.atan(math.tan(upright / 2) * ratio) == pytest.approx(EVERYTHING.cameras[PLACE.format("main")])
    assert [node["name"] for node in file["nodes"] if "camera" in node] == ["main"]


def test_lights_are_those_that_the_extension_has() -> None:
    file = tree(written(EVERYTHING))
    lights = file["extensions"]["KHR_lights_punctual"]["lights"]

    assert {light["name"]: light["type"] for light in lights} == {
        "PointLight": "point",
        "SpotLight": "spot",
        "DirectionalLight": "directional",
    }
    assert file["extensionsUsed"] == ["KHR_lights_punctual"]


def test_the_file_says_which_engine_had_the_scene() -> None:
    assert tree(written(EVERYTHING))["asset"]["extras"] == {"engine": ENGINE}
