"""panda3d-gltf loads whatever the check lets pass, and gives the meshes that the scene's actors name."""

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import trimesh
from gltf_samples import BINARY, glb, sample, write
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from panda3d.core import NodePath

from agents.engine.render import textures
from agents.engine.render.gltf_meshes import load_meshes as loaded_meshes
from agents.engine.render.textures import MAX_EDGE, MAX_PIXELS, fitting
from agents.engine.scenes.description import Mesh
from agents.engine.scenes.errors import BadScene
from agents.engine.scenes.loading import read_scene

TEXT = json.dumps(sample()).encode()
ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from(
        [-1, 0, 1, 2, 3, 4, 5, 255, 5126, 2**31, 2**63, 10**30, 0.5, -1e300, "", "POSITION", "VEC3", "data:,", [], {}, [0], [1e38] * 3]
    ),
)


def load_meshes(path: Path) -> dict[str, NodePath]:
    return loaded_meshes(read_scene(path).drawable)


def named(path: Path) -> set[str]:
    """The meshes that the scene's actors are to have."""
    return {actor.mesh for actor in read_scene(path).description.actors if isinstance(actor, Mesh)}


def places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The way to each value within a JSON value."""
    steps = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [at] * bool(at) + [place for step, inner in steps for place in places(inner, (*at, step))]


def png(width: int, height: int, *channels: int) -> bytes:
    picture: bytes = cv2.imencode(".png", np.full((height, width, *channels), 200, np.uint8))[1].tobytes()
    return picture


def test_every_mesh_that_an_actor_names_is_loaded(tmp_path: Path) -> None:
    path = write(tmp_path / "s.glb", sample())

    assert load_meshes(path).keys() == named(path) == {"/Game/s/A_square.A_square", "/Game/s/mesh1_mirrored.mesh1_mirrored"}


def test_a_mesh_is_as_large_as_in_the_file_in_panda3ds_frame(tmp_path: Path) -> None:
    trimesh.creation.box((1, 2, 3)).export(tmp_path / "s.glb")
    (mesh,) = load_meshes(tmp_path / "s.glb").values()

    low, high = mesh.get_tight_bounds()

    assert tuple(high - low) == pytest.approx((1, 3, 2))


def test_a_mirrored_mesh_is_turned_round_along_its_x(tmp_path: Path) -> None:
    low, high = load_meshes(write(tmp_path / "s.glb", sample()))["/Game/s/mesh1_mirrored.mesh1_mirrored"].get_tight_bounds()

    assert (low[0], high[0]) == pytest.approx((-3, 0))


def test_pictures_have_edges_that_the_software_renderer_takes(tmp_path: Path) -> None:
    square = load_meshes(write(tmp_path / "s.glb", sample()))["/Game/s/A_square.A_square"]

    (texture,) = square.find_all_textures()

    assert (texture.get_x_size(), texture.get_y_size()) == (4, 4)  # 6 x 5 in the file


def test_very_many_pictures_are_refused(tmp_path: Path) -> None:
    document = sample()
    document["textures"] *= 65
    document["materials"] = [{"pbrMetallicRoughness": {"baseColorTexture": {"index": number}}} for number in range(65)]

    with pytest.raises(BadScene, match="/textures: materials have 65 pictures, and 64 are shown at most"):
        load_meshes(write(tmp_path / "s.glb", document))


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_what_the_check_lets_pass_panda3d_gltf_loads(tmp_path: Path, data: st.DataObject) -> None:
    document = sample()
    for _ in range(data.draw(st.integers(1, 2))):
        way = data.draw(st.sampled_from(places(document)))
        at = document
        for step in way[:-1]:
            at = at[step]
        at[way[-1]] = deepcopy(data.draw(ODD))
    path = write(tmp_path / "s.glb", document)
    try:
        names = named(path)
        meshes = load_meshes(path)
    except BadScene:
        return
    assert names == meshes.keys()


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_no_changed_byte_makes_anything_but_meshes_or_a_refusal(tmp_path: Path, data: st.DataObject) -> None:
    spoilt = bytearray(glb(TEXT, BINARY))
    for _ in range(data.draw(st.integers(1, 3))):
        spoilt[data.draw(st.integers(0, len(spoilt) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / "s.glb"
    path.write_bytes(spoilt[: data.draw(st.sampled_from([None, -1, 100]))])
    try:
        names = named(path)
        meshes = load_meshes(path)
    except BadScene:
        return
    assert names == meshes.keys()


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (64, 64), (100, 7), (5000, 3)])
@pytest.mark.parametrize("channels", [(), (3,), (4,)])
def test_any_picture_fits(size: tuple[int, int], channels: tuple[int, ...]) -> None:
    pixels = cv2.imdecode(np.frombuffer(fitting(png(*size, *channels), ""), np.uint8), cv2.IMREAD_UNCHANGED)

    for edge, whole in zip(pixels.shape[1::-1], size, strict=True):
        assert edge & (edge - 1) == 0 and min(whole, MAX_EDGE) / 2 < edge <= whole
    assert pixels.min() == 200


def test_a_jpeg_and_16_bits_fit_too() -> None:
    jpeg: bytes = cv2.imencode(".jpg", np.zeros((9, 17, 3), np.uint8))[1].tobytes()
    deep: bytes = cv2.imencode(".png", np.full((4, 4, 3), 65535, np.uint16))[1].tobytes()

    for data, size, value in ((jpeg, (8, 16), 0), (deep, (4, 4), 255)):
        pixels = cv2.imdecode(np.frombuffer(fitting(data, ""), np.uint8), cv2.IMREAD_UNCHANGED)
        assert pixels.shape[:2] == size and pixels.dtype == np.uint8 and (pixels == value).all()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"GIF89a",
        png(4, 4)[:40],
        png(4, 4)[:16] + (MAX_PIXELS + 1).to_bytes(4) + (1).to_bytes(4) + png(4, 4)[24:],
        png(4, 4)[:16] + bytes(8) + png(4, 4)[24:],
        b"\xff\xd8\xff\xc0\0\x11\x08\xff\xff\xff\xff",
        b"\xff\xd8" + b"\xff" * 100,
    ],
)
def test_a_bad_picture_is_refused_before_it_is_decoded_or_by_its_decoder(data: bytes) -> None:
    with pytest.raises(BadScene, match="/images/0"):
        fitting(data, "/images/0")


@pytest.mark.parametrize("alone", [b"\xff\x01", b"\xff\xd0", b"\xff\xd7", b"\xff\0"])
def test_a_jpeg_cannot_hide_its_size_where_only_a_decoder_looks(alone: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    jpeg: bytes = cv2.imencode(".jpg", np.zeros((9, 17), np.uint8))[1].tobytes()
    small = b"\xff\xc0\0\x11\x08\0\x01\0\x01"
    segment = b"\xff\xe5\xff\xff"  # as long as it says; taken for what follows `alone`, it would end elsewhere
    inside = bytearray(0xFFFF - 2)
    inside[0xFFE5 - 4 : 0xFFE5 - 4 + len(small)] = small
    hidden = jpeg[:2] + alone + segment + bytes(inside) + jpeg[2:]

    assert cv2.imdecode(np.frombuffer(hidden, np.uint8), cv2.IMREAD_UNCHANGED).shape == (9, 17)
    monkeypatch.setattr(textures, "MAX_PIXELS", 100)
    with pytest.raises(BadScene, match="17 x 9"):
        fitting(hidden, "")


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_no_changed_byte_of_a_picture_makes_anything_but_a_picture_or_a_refusal(data: st.DataObject) -> None:
    whole = png(9, 6, 3) if data.draw(st.booleans()) else cv2.imencode(".jpg", np.zeros((9, 17, 3), np.uint8))[1].tobytes()
    spoilt = bytearray(whole)
    spoilt[data.draw(st.integers(0, len(spoilt) - 1))] = data.draw(st.integers(0, 255))
    try:
        fitting(bytes(spoilt), "/images/0")
    except BadScene:
        return
