"""A scene in JSON is taken as it says, in Unreal's frame, or refused with the actor and the reason."""

import json
import math
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.engine.scenes.default import default_scene
from agents.engine.scenes.description import Description, decode, populate, read_description
from agents.engine.scenes.errors import BadScene
from agents.engine.scenes.json_text import pointer
from agents.engine.world import Actor, Body, World


def text(**actor: Any) -> bytes:
    return json.dumps({"name": "s", "actors": [{"kind": "mesh", "label": "a", "mesh": "/Engine/BasicShapes/Cube.Cube", **actor}]}).encode()


def shown(scene: Description) -> dict[str, Actor]:
    world = World()
    populate(scene, world)
    return {actor.label: actor for actor in world.actors.values()}


def test_an_actor_stands_in_the_world_in_unreals_frame() -> None:
    actor = shown(decode(text(position=[1, 2, 3], orientation=[0, 1, 0, 0], scale=[1, 2, 3], mass=2.5)))["a"]

    assert actor.kind == "StaticMeshActor"
    assert actor.transform.position == (-300, 100, 200)
    assert actor.transform.orientation == (0, 0, 1, 0)
    assert actor.transform.scale == (3, 1, 2)
    assert actor.looks.body == Body(2.5)


def test_a_camera_and_lights_are_what_they_are_called() -> None:
    actors = [
        {"kind": "camera", "label": "c", "field_of_view": math.pi / 3},
        {"kind": "point_light", "label": "p", "intensity": 3, "colour": [1, 0, 0]},
        {"kind": "directional_light", "label": "d"},
    ]
    found = shown(decode(json.dumps({"name": "s", "actors": actors}).encode()))

    assert [found[label].kind for label in "cpd"] == ["CameraActor", "PointLight", "DirectionalLight"]
    assert found["c"].looks.optics is not None and found["c"].looks.optics.field_of_view == pytest.approx(60)
    assert found["p"].looks.shine is not None and found["p"].looks.shine.colour == (1, 0, 0, 1)


def test_a_quaternion_that_is_about_one_long_is_made_so() -> None:
    orientation = shown(decode(text(orientation=[0, 0, 0.0005, 1.0005])))["a"].transform.orientation

    assert math.hypot(*orientation) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize(
    ("bad", "where"),
    [
        (text(position=[0, 0, "huge"]).replace(b'"huge"', b"1e999"), "/actors/0/position/2"),
        (text(position=[0, 0, float("nan")]), ""),
        (text(position=[0, 0, 1e7]), "/actors/0/position/2"),
        (text(position=[0, 0]), "/actors/0/position"),
        (text(orientation=[0, 0, 0, 0]), "actor 'a'"),
        (text(orientation=[0, 0, 0.1, 1]), "actor 'a'"),
        (text(scale=[1, 0, 1]), "/actors/0/scale/1"),
        (text(mass=-1), "/actors/0/mass"),
        (text(virtual=True, mass=0), "actor 'a'"),
        (text(virtual="yes"), "/actors/0/virtual"),
        (text(label=""), "/actors/0/label"),
        (text(kind="robot"), "/actors/0/kind"),
        (text(wieght=3), "/actors/0"),
        (b'{"name": "../s"}', "/name"),
        (b'{"name": "s", "actors": [' + b"[" * 100_000, "/actors/0"),
        (b'{"name": "s", "x": ' + b"[" * 100_000, ""),
        (b'{"name": "s", "actors": [' + b"{}," * 1_000_001 + b"{}]}", ""),
        (b"\xff", ""),
        (b"", ""),
    ],
)
def test_a_bad_scene_is_refused_with_its_place(bad: bytes, where: str) -> None:
    with pytest.raises(BadScene) as refused:
        decode(bad)

    assert refused.value.where == where


def test_two_actors_of_one_label_are_refused() -> None:
    actor = {"kind": "camera", "label": "twin"}

    with pytest.raises(BadScene, match="actor 'twin': another actor has this label"):
        decode(json.dumps({"name": "s", "actors": [actor, actor]}).encode())


def test_a_file_that_is_too_large_is_not_parsed(tmp_path: Path) -> None:
    path = tmp_path / "scene.json"
    path.write_bytes(b" " * (16 << 20) + b'{"name": "s"}')

    with pytest.raises(BadScene, match="more than the 16777216 bytes"):
        read_description(path)


def test_msgspecs_paths_become_json_pointers() -> None:
    assert pointer("Expected `int`, got `str` - at `$.meshes[3].attributes[...]`") == "/meshes/3/attributes/..."
    assert pointer("Expected `object`, got `array`") == ""


VALID = json.loads(
    json.dumps(
        {"name": "s", "actors": [{"kind": "mesh", "label": "a", "mesh": "m", "position": [0, 1, 2], "mass": 1.5, "colour": [1, 1, 1, 1]}]}
    )
)


@settings(max_examples=300, deadline=None)
@given(
    st.recursive(st.none() | st.booleans() | st.floats() | st.integers() | st.text(), st.lists, max_leaves=5),
    st.sampled_from(sorted(VALID["actors"][0])),
)
def test_no_value_of_a_field_makes_anything_but_a_scene_or_a_refusal(value: Any, field: str) -> None:
    scene = {"name": "s", "actors": [{**VALID["actors"][0], field: value}]}
    try:
        actors = shown(decode(json.dumps(scene).encode()))
    except BadScene:
        return
    assert all(math.isfinite(number) for actor in actors.values() for number in actor.transform.position)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_no_changed_byte_makes_anything_but_a_scene_or_a_refusal(data: st.DataObject) -> None:
    plain = bytearray(json.dumps(VALID).encode())
    plain[data.draw(st.integers(0, len(plain) - 1))] = data.draw(st.integers(0, 255))
    try:
        decode(bytes(plain))
    except BadScene:
        return


def test_the_default_scene_is_a_description_too() -> None:
    scene = default_scene(100)

    assert decode(msgspec.json.encode(scene)) == scene
