"""A glTF file that does not keep its bounds is refused with the JSON pointer of the place, before any library sees it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gltf_samples
import pytest
from gltf_samples import BINARY, Json, data_uri, sample, with_uri, write

from agents.engine.scenes.errors import BadScene
from agents.engine.scenes.gltf_check import checked
from agents.engine.scenes.loading import find_scene, read_scene

Change = Callable[[Json], Any]


def put(*steps: Any, value: Any) -> Change:
    """A change of one value of the file."""

    def change(document: Json) -> None:
        at: Any = document
        for step in steps[:-1]:
            at = at[step]
        at[steps[-1]] = value

    return change


def refusal(path: Path) -> BadScene:
    with pytest.raises(BadScene) as refused:
        checked(path)
    return refused.value


def test_the_sample_keeps_its_bounds(tmp_path: Path) -> None:
    assert checked(write(tmp_path / "s.glb", sample())).document.nodes[1].name == "square"


@pytest.mark.parametrize(
    ("where", "change"),
    [
        ("/asset/version", put("asset", "version", value="1.0")),
        ("/asset/version", put("asset", "minVersion", value="2.1")),
        ("/extensionsRequired", put("extensionsRequired", value=["KHR_draco_mesh_compression"])),
        ("/scene", put("scene", value=1)),
        ("/scenes/0/nodes/0", put("scenes", 0, "nodes", value=[9])),
        ("/scenes/0/nodes/1", put("scenes", 0, "nodes", value=[0, 0])),
        ("/scenes/0/nodes/0", put("scenes", 0, "nodes", value=[1])),
        ("/nodes/0/children/0", put("nodes", 0, "children", 0, value=5)),
        ("/nodes/0/children/1", put("nodes", 0, "children", 1, value=1)),
        ("/nodes/1/children/0", put("nodes", 1, "children", value=[1])),
        ("/nodes/1/mesh", put("nodes", 1, "mesh", value=2)),
        ("/nodes/1/mesh", put("nodes", 1, "mesh", value=-1)),
        ("/nodes/3/camera", put("nodes", 3, "camera", value=1)),
        ("/nodes/1/rotation", put("nodes", 1, "rotation", value=[0, 0, 0])),
        ("/nodes/2/matrix", put("nodes", 2, "matrix", value=[1] * 15)),
        ("/nodes/4/extensions/KHR_lights_punctual/light", put("nodes", 4, "extensions", "KHR_lights_punctual", "light", value=2)),
        ("/meshes/0/primitives", put("meshes", 0, "primitives", value=[])),
        ("/meshes/0/primitives/0/attributes", put("meshes", 0, "primitives", 0, "attributes", value={"NORMAL": 0})),
        ("/meshes/0/primitives/0/attributes/POSITION", put("meshes", 0, "primitives", 0, "attributes", "POSITION", value=4)),
        ("/meshes/0/primitives/0/attributes/POSITION", put("meshes", 0, "primitives", 0, "attributes", "POSITION", value=2)),
        ("/meshes/0/primitives/0/attributes/COLOR_0", put("meshes", 0, "primitives", 0, "attributes", "COLOR_0", value=1)),
        ("/meshes/0/primitives/0/indices", put("meshes", 0, "primitives", 0, "indices", value=0)),
        ("/meshes/0/primitives/0/indices", put("meshes", 0, "primitives", 0, "indices", value=7)),
        ("/meshes/0/primitives/0/material", put("meshes", 0, "primitives", 0, "material", value=1)),
        ("/materials/0/pbrMetallicRoughness/baseColorTexture/index", put("textures", value=[])),
        ("/textures/0/source", put("textures", 0, "source", value=1)),
        ("/images/0/bufferView", put("images", 0, "bufferView", value=6)),
        ("/images/0", put("images", 0, value={})),
        ("/accessors/0", put("accessors", 0, "count", value=5)),
        ("/accessors/0/count", put("accessors", 0, "count", value=0)),
        ("/accessors/0/count", put("accessors", 0, "count", value=2**63)),
        ("/accessors/0/count", put("accessors", 0, "count", value=4_000_001)),
        ("/accessors/0/componentType", put("accessors", 0, "componentType", value=5124)),
        ("/accessors/0/bufferView", put("accessors", 0, "bufferView", value=6)),
        ("/accessors/0", put("accessors", 0, "byteOffset", value=4)),
        ("/accessors/0", put("accessors", 0, "byteOffset", value=2**28)),
        ("/accessors/0/byteOffset", put("accessors", 0, "byteOffset", value=2**62)),
        ("/accessors/0/byteOffset", put("accessors", 0, "byteOffset", value=-4)),
        ("/accessors/1", put("accessors", 1, "byteOffset", value=1)),
        ("/accessors/3/sparse", put("accessors", 3, "sparse", "count", value=2)),
        ("/accessors/3/sparse/indices/bufferView", put("accessors", 3, "sparse", "indices", "bufferView", value=6)),
        ("/accessors/3/sparse/values", put("accessors", 3, "sparse", "values", "byteOffset", value=4)),
        ("/accessors/3/sparse/indices", put("bufferViews", 3, "byteOffset", value=62)),
        ("/bufferViews/0/buffer", put("bufferViews", 0, "buffer", value=1)),
        ("/bufferViews/5", put("bufferViews", 5, "byteOffset", value=len(BINARY))),
        ("/bufferViews/0/byteStride", put("bufferViews", 0, "byteStride", value=2)),
        ("/accessors/0", put("bufferViews", 0, "byteStride", value=8)),
        ("/accessors/0", put("bufferViews", 0, "byteStride", value=252)),
        ("/buffers/0/byteLength", put("buffers", 0, "byteLength", value=len(BINARY) + 4)),
        ("/buffers/0/byteLength", put("buffers", 0, "byteLength", value=2**28 + 1)),
        ("/buffers/1", put("buffers", value=[{"byteLength": 4}, {"byteLength": 4}])),
    ],
)
def test_what_is_out_of_bounds_is_refused_with_its_place(tmp_path: Path, where: str, change: Change) -> None:
    document = sample()
    change(document)

    place = refusal(write(tmp_path / "s.glb", document)).where

    assert place == where or place.startswith(where + "/")


def test_an_index_beyond_the_vertices_is_refused(tmp_path: Path) -> None:
    binary = BINARY.replace(gltf_samples.CORNERS.tobytes(), b"\0\0\1\0\4\0\0\0\2\0\3\0")

    assert str(refusal(write(tmp_path / "s.glb", sample(), binary))) == "/meshes/0/primitives/0/indices: there is index 4 into 4 vertices"


def test_a_position_that_is_no_number_is_refused(tmp_path: Path) -> None:
    binary = b"\0\0\xc0\x7f" + BINARY[4:]

    assert "/meshes/0/primitives/0/attributes/POSITION" in str(refusal(write(tmp_path / "s.glb", sample(), binary)))


def test_nodes_in_a_circle_are_refused(tmp_path: Path) -> None:
    document = sample()
    document["nodes"] += [{"children": [6]}, {"children": [5]}]

    assert str(refusal(write(tmp_path / "s.glb", document))) == "/nodes/5: it is among its own children's children"


def test_one_array_in_very_many_meshes_is_refused(tmp_path: Path) -> None:
    document = sample()
    document["accessors"].append({"componentType": 5126, "count": 1_000_000, "type": "VEC3"})
    document["meshes"] += [{"primitives": [{"attributes": {"POSITION": 4}}]}] * 9_000

    assert "the most that is shown" in str(refusal(write(tmp_path / "s.glb", document)))


@pytest.mark.parametrize(
    "uri",
    [
        "/etc/passwd",
        "../outside.bin",
        "inside/../../outside.bin",
        "%2e%2e/outside.bin",
        "..\\outside.bin",
        "http://127.0.0.1/b.bin",
        "file:///etc/passwd",
        "//127.0.0.1/b.bin",
        "link.bin",
        "linked/outside.bin",
        "inside",
        "missing.bin",
        "a\0b.bin",
        "x" * 100_000,
        "data:application/octet-stream,plain",
        "data:application/octet-stream;base64",
        "data:application/octet-stream;base64,?",
        "data:application/octet-stream;base64,AAAA",
    ],
)
def test_a_file_refers_to_nothing_outside_its_folder(tmp_path: Path, uri: str) -> None:
    folder = tmp_path / "scene"
    (folder / "inside").mkdir(parents=True)
    outside = tmp_path / "outside.bin"
    outside.write_bytes(BINARY)
    (folder / "link.bin").symlink_to(outside)
    (folder / "linked").symlink_to(tmp_path)
    path = folder / "s.gltf"
    path.write_text(json.dumps(with_uri(uri)))

    assert refusal(path).where.startswith("/buffers/0/")


@pytest.mark.parametrize("uri", ["inside/b.bin", "inside/a%20b", "link.bin", data_uri()])
def test_a_file_refers_to_what_is_in_its_folder_and_to_itself(tmp_path: Path, uri: str) -> None:
    (tmp_path / "inside").mkdir()
    for name in ("b.bin", "a b"):
        (tmp_path / "inside" / name).write_bytes(BINARY)
    (tmp_path / "link.bin").symlink_to(tmp_path / "inside" / "b.bin")
    path = tmp_path / "s.gltf"
    path.write_text(json.dumps(with_uri(uri)))

    assert checked(path).buffers == (BINARY,)


def test_all_files_together_are_bounded(tmp_path: Path) -> None:
    with (tmp_path / "b.bin").open("wb") as large:
        large.truncate((256 << 20) - 100)  # a hole, which takes no room
    path = tmp_path / "s.gltf"
    path.write_text(json.dumps(with_uri("b.bin")))

    assert "bytes that are read at most" in str(refusal(path))


def test_the_json_is_bounded_apart(tmp_path: Path) -> None:
    assert "are parsed at most" in str(refusal(write(tmp_path / "s.glb", b" " * (32 << 20) + b"{}", b"")))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"glTF",
        b"glTF\2\0\0\0\x0c\0\0\0",
        b"glTF\1\0\0\0" + gltf_samples.glb(sample())[8:],
        gltf_samples.glb(sample())[:-1],
        gltf_samples.glb(sample()) + b"\0",
        gltf_samples.glb(sample())[:12] + b"\xff\xff\xff\x7fJSON",
        gltf_samples.glb(sample()).replace(b"JSON", b"NOSJ"),
        gltf_samples.glb(b"[]"),
        gltf_samples.glb(b"[" * 100_000),
        gltf_samples.glb(b"{}"),
    ],
)
def test_what_is_no_gltf_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "s.glb"
    path.write_bytes(data)

    refusal(path)


def test_a_scene_of_another_kind_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(BadScene, match=r"'scene.fbx' is no scene: scenes are in .json, .gltf and .glb files"):
        read_scene(tmp_path / "scene.fbx")


@pytest.mark.parametrize("path", ["a\0.json", "a\0.gltf", "\udcff.glb", "~nosuchuser/x.glb", "a" * 5000 + ".gltf"])
def test_a_path_that_is_none_is_refused(path: str) -> None:
    with pytest.raises(BadScene):
        find_scene(path, 0)


@pytest.mark.parametrize("name", ["loop.gltf", "loop.json"])
def test_a_link_to_itself_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).symlink_to(name)

    with pytest.raises(BadScene, match="loop"):
        read_scene(tmp_path / name)


@pytest.mark.parametrize("uri", ["//[", "http://[", "x:y.bin", "c:/a.bin"])
def test_an_address_that_is_no_file_is_refused(tmp_path: Path, uri: str) -> None:
    path = tmp_path / "s.gltf"
    path.write_text(json.dumps({"asset": {"version": "2.0"}, "buffers": [{"byteLength": 4, "uri": uri}]}))

    with pytest.raises(BadScene, match=r"/buffers/0/uri: .* is no data: URI and no file"):
        read_scene(path)
