"""What a glTF file says is what the world gets: trimesh reads the same files, and what is written anew for Panda3D."""

import io
import json
import math
from pathlib import Path

import numpy as np
import pytest
import trimesh
from gltf_samples import PICTURE, sample, write
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.engine.scenes.description import Camera, DirectionalLight, Mesh, PointLight
from agents.engine.scenes.gltf_check import checked
from agents.engine.scenes.gltf_geometry import mirrored, triangles_of
from agents.engine.scenes.gltf_names import unique
from agents.engine.scenes.gltf_rewritten import rewritten
from agents.engine.scenes.loading import read_scene
from agents.engine.scenes.placement import Place, matrix_of
from agents.engine.world import World
from agents.parts.frames import rotate


def actors(path: Path) -> dict[str, object]:
    return {actor.label: actor for actor in read_scene(path).description.actors}


def trimesh_scene(path: Path) -> trimesh.Scene:
    scene = trimesh.Scene()
    for number, (solid, colour) in enumerate(
        [(trimesh.creation.box((1, 2, 3)), (255, 0, 0, 255)), (trimesh.creation.cone(1, 2), (0, 255, 0, 255))]
    ):
        solid.visual.vertex_colors = colour
        turn = trimesh.transformations.rotation_matrix(0.7 + number, [1, 2, 3], [4, 5, 6])
        scene.add_geometry(solid, node_name=f"node {number}", geom_name=f"solid {number}", transform=turn)
    path.write_bytes(trimesh.exchange.gltf.export_glb(scene))
    return scene


def test_every_mesh_stands_where_trimesh_puts_it(tmp_path: Path) -> None:
    path = tmp_path / "two solids.glb"
    scene = trimesh_scene(path)

    found = actors(path)

    for number in range(2):
        actor = found[f"node {number}"]
        assert isinstance(actor, Mesh)
        assert actor.mesh == f"/Game/two_solids/solid_{number}.solid_{number}"
        place = Place(actor.position, actor.orientation, actor.scale)
        np.testing.assert_allclose(matrix_of(place), scene.graph.get(f"node {number}")[0], atol=1e-6)


def test_meshes_are_no_bodies_and_have_their_own_colours(tmp_path: Path) -> None:
    trimesh_scene(tmp_path / "s.glb")
    world = World()
    read_scene(tmp_path / "s.glb").populate(world)

    solids = [actor for actor in world.actors.values() if actor.kind == "StaticMeshActor"]
    assert [actor.looks.body for actor in solids] == [None, None]
    assert {actor.looks.colour for actor in solids} == {(1, 1, 1, 1)}


def test_a_scene_without_camera_and_light_is_seen_whole_and_lit(tmp_path: Path) -> None:
    scene = trimesh_scene(tmp_path / "s.glb")
    found = actors(tmp_path / "s.glb")

    camera = found["main"]
    assert isinstance(camera, Camera) and isinstance(found["sun"], DirectionalLight)
    x, y, z, w = camera.orientation
    for corner in trimesh.bounds.corners(scene.bounds):
        right, up, back = rotate((-x, -y, -z, w), tuple(corner - camera.position))
        half = -back * math.tan(camera.field_of_view / 2)
        assert back < 0 and abs(right) < half and abs(up) < half * 9 / 16


def test_cameras_and_lights_of_the_file_are_taken(tmp_path: Path) -> None:
    found = actors(write(tmp_path / "s.glb", sample()))

    camera, spot, point = found["main"], found["eye"], found["square"]
    assert isinstance(camera, Camera)
    assert camera.position == (0, 1, 4)
    assert math.tan(camera.field_of_view / 2) == pytest.approx(2 * math.tan(0.35))
    assert isinstance(spot, PointLight) and isinstance(point, PointLight)
    assert (spot.intensity, spot.colour) == (1, (1, 0.5, 0))
    assert point.intensity == 0.5
    assert "sun" not in found


def test_labels_are_told_apart_and_a_mirrored_node_has_a_mirrored_mesh(tmp_path: Path) -> None:
    found = actors(write(tmp_path / "s.glb", sample()))

    assert found.keys() == {"main", "eye", "square", "square_2", "square_3", "strip"}
    strip = found["strip"]
    assert isinstance(strip, Mesh)
    assert strip.mesh == "/Game/s/mesh1_mirrored.mesh1_mirrored"
    assert strip.scale == (1, 1, 1)


def test_a_node_scaled_to_nothing_is_left_out(tmp_path: Path) -> None:
    document = sample()
    document["nodes"][1]["scale"] = [0, 1, 1]

    assert "square_3" not in actors(write(tmp_path / "s.glb", document))


def test_arrays_are_made_plain(tmp_path: Path) -> None:
    gltf = checked(write(tmp_path / "s.glb", sample()))
    square, strip = (triangles_of(gltf, mesh)[0] for mesh in gltf.document.meshes)

    np.testing.assert_allclose(square.normals, np.broadcast_to([0, 0, 1], (6, 3)))
    np.testing.assert_allclose(square.colours, np.broadcast_to([0.5, 1, 1, 1], (6, 4)))
    assert square.places is not None
    np.testing.assert_allclose(square.places, [[0, 1], [1, 1], [1, 0], [0, 1], [1, 0], [0, 0]])
    assert strip.positions.max(0).tolist() == [3, 1, 0]
    assert strip.positions[strip.corners].tolist()[1] == [[2, 0, 0], [0, 1, 0], [3, 1, 0]]


def test_a_mirrored_mesh_looks_outward_still(tmp_path: Path) -> None:
    gltf = checked(tmp_path / "s.glb") if trimesh_scene(tmp_path / "s.glb") else None
    assert gltf is not None
    box = mirrored(triangles_of(gltf, gltf.document.meshes[0])[0])

    solid = trimesh.Trimesh(box.positions, box.corners)
    assert solid.volume == pytest.approx(6, rel=1e-5)


def test_what_is_written_anew_is_what_was_read(tmp_path: Path) -> None:
    before = trimesh_scene(tmp_path / "s.glb")
    gltf = checked(tmp_path / "s.glb")
    meshes = {mesh.name: triangles_of(gltf, mesh) for mesh in gltf.document.meshes}

    after = trimesh.load(io.BytesIO(rewritten(meshes, gltf.document.materials, {})), file_type="glb")

    for name in ("solid 0", "solid 1"):
        assert after.geometry[name].volume == pytest.approx(before.geometry[name].volume, rel=1e-5)
        colour = after.geometry[name].visual.vertex_attributes["color"][0]
        np.testing.assert_allclose(colour, before.geometry[name].visual.vertex_colors[0] / 255)


def test_pictures_are_written_anew_with_their_materials(tmp_path: Path) -> None:
    gltf = checked(write(tmp_path / "s.glb", sample()))
    meshes = {"square": triangles_of(gltf, gltf.document.meshes[0])}

    after = trimesh.load(io.BytesIO(rewritten(meshes, gltf.document.materials, {0: PICTURE})), file_type="glb")

    material = after.geometry["square"].visual.material
    assert material.baseColorTexture.size == (6, 5)
    assert material.alphaMode == "MASK"


def test_a_gltf_of_nothing_is_an_empty_scene(tmp_path: Path) -> None:
    path = tmp_path / "ümlaut.gltf"
    path.write_text(json.dumps({"asset": {"version": "2.0"}}))

    scene = read_scene(path)

    assert scene.name == "mlaut"
    assert [actor.label for actor in scene.description.actors] == ["main", "sun"]


@settings(deadline=None)
@given(st.lists(st.sampled_from(["a", "b", "a_2", "a_3", "b_2", ""])))
def test_names_become_unique_and_the_first_of_each_stays(names: list[str]) -> None:
    made = list(unique(names))

    assert len(set(made)) == len(names)
    assert all(own.startswith(name) for own, name in zip(made, names, strict=True))
    assert made[:1] == names[:1]
