"""The scene in USD: valid for its own validators, each actor where it is, and what cannot be shown is said to be a stand-in."""

from __future__ import annotations

import itertools
import math
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from pxr import Tf, Usd, UsdGeom, UsdLux, UsdValidation
from snapshots import BASIC, ENGINE, EVERYTHING, PLACE, actor, basic, seen, snapshots

from agents.ue5.exports import usd
from agents.ue5.exports.snapshot import Snapshot

SCENE = "/Scene"


def opened(snapshot: Snapshot) -> Usd.Stage:
    with tempfile.TemporaryDirectory() as folder:
        usd.write(snapshot, Path(folder) / "scene.usda")
        return Usd.Stage.Open(str(Path(folder) / "scene.usda"))


def complaints(stage: Usd.Stage) -> list[str]:
    validators = UsdValidation.ValidationRegistry().GetOrLoadAllValidators()
    assert len(validators) > 20
    return [error.GetErrorAsString() for error in UsdValidation.ValidationContext(validators).Validate(stage)]


def extent(prim: Usd.Prim) -> np.ndarray:
    """The lowest and the highest corner of what a prim fills in the scene."""
    cache = UsdGeom.BBoxCache(Usd.TimeCode.Default(), [UsdGeom.Tokens.default_])
    filled = cache.ComputeWorldBound(prim).ComputeAlignedRange()
    return np.array([filled.GetMin(), filled.GetMax()])


def corners(stage: Usd.Stage, name: str) -> list[np.ndarray]:
    """The lowest and the highest corner of a mesh in the scene, of its points."""
    mesh = UsdGeom.Mesh(stage.GetPrimAtPath(f"{SCENE}/{name}"))
    to_scene = mesh.ComputeLocalToWorldTransform(Usd.TimeCode.Default())
    points = np.array([to_scene.Transform(point) for point in mesh.GetPointsAttr().Get()])
    return [points.min(0), points.max(0)]


@settings(max_examples=60, deadline=None)
@given(snapshots())
def test_usd_has_nothing_to_say_against_any_scene(snapshot: Snapshot) -> None:
    assert complaints(opened(snapshot)) == []


def test_a_stage_that_is_wrong_is_complained_about() -> None:
    assert complaints(Usd.Stage.CreateInMemory()) != []


@settings(max_examples=60, deadline=None)
@given(snapshots())
def test_every_actor_is_where_it_was_under_the_label_that_it_had(snapshot: Snapshot) -> None:
    stage = opened(snapshot)
    prims = stage.GetPrimAtPath(SCENE).GetChildren()

    assert [prim.GetDisplayName() for prim in prims] == [actor.label for actor in snapshot.actors]
    for prim, expected in zip(prims, snapshot.actors, strict=True):
        matrix = UsdGeom.Xformable(prim).ComputeLocalToWorldTransform(Usd.TimeCode.Default())
        for corner in ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)):
            tolerance = 1e-6 * (1 + max(map(abs, expected.scale)))
            assert tuple(matrix.Transform(corner)) == pytest.approx(seen(expected, corner), rel=1e-9, abs=tolerance)


@given(st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=4)))
def test_every_label_has_a_name_of_its_own_that_usd_allows(labels: list[str]) -> None:
    names = usd.prim_names(labels)

    assert len(set(names)) == len(names) == len(labels)
    assert all(Tf.IsValidIdentifier(name) for name in names)


def test_a_name_that_another_label_has_by_itself_is_not_given_twice() -> None:
    assert usd.prim_names(["a_b_2", "a b", "a-b", "a.b"]) == ["a_b_2", "a_b", "a_b_3", "a_b_4"]


@pytest.mark.parametrize("name", BASIC)
def test_a_basic_shape_is_a_metre_across_before_it_is_scaled(name: str) -> None:
    stage = opened(replace(EVERYTHING, actors=[replace(basic(name), position=(0, 0, 0), orientation=(0, 0, 0, 1), scale=(1, 1, 1))]))
    height = 0.0 if name == "Plane" else 0.5

    (shape,) = stage.GetPrimAtPath(f"{SCENE}/{name}").GetChildren()
    assert shape.GetTypeName() == name
    assert extent(shape).tolist() == [[-0.5, -height, -0.5], [0.5, height, 0.5]]


def test_a_mesh_that_only_the_engine_has_is_the_box_that_it_filled_and_says_so() -> None:
    stage = opened(EVERYTHING)
    chair = stage.GetPrimAtPath(f"{SCENE}/chair")
    centre, half = map(np.array, EVERYTHING.bounds[PLACE.format("chair")])

    assert chair.GetCustomDataByKey("zeropoint:mesh") == "/Game/Chair.Chair"
    assert chair.GetChild("Bounds").GetCustomDataByKey("zeropoint:proxy") == "bounds"
    assert np.allclose(corners(stage, "chair/Bounds"), [centre - half, centre + half], atol=1e-6)


def test_the_box_has_its_outside_outside() -> None:
    stage = opened(EVERYTHING)
    mesh = UsdGeom.Mesh(stage.GetPrimAtPath(f"{SCENE}/chair/Bounds"))
    points, corners = np.array(mesh.GetPointsAttr().Get()), np.array(mesh.GetFaceVertexIndicesAttr().Get()).reshape(-1, 4)

    for face in points[corners]:
        assert np.dot(np.cross(face[1] - face[0], face[2] - face[0]), face.mean(0) - points.mean(0)) > 0


def test_an_actor_without_mesh_and_size_is_a_place_and_nothing_to_see() -> None:
    stage = opened(EVERYTHING)

    assert stage.GetPrimAtPath(f"{SCENE}/start").GetChildren() == []


def test_a_camera_sees_as_wide_as_it_did() -> None:
    stage = opened(EVERYTHING)
    camera = UsdGeom.Camera(stage.GetPrimAtPath(f"{SCENE}/main/Camera")).GetCamera()

    assert math.radians(camera.GetFieldOfView(camera.FOVHorizontal)) == pytest.approx(EVERYTHING.cameras[PLACE.format("main")], abs=1e-6)
    assert camera.aspectRatio == pytest.approx(16 / 9)


def test_a_light_is_a_light() -> None:
    stage = opened(EVERYTHING)

    assert stage.GetPrimAtPath(f"{SCENE}/DirectionalLight/Light").IsA(UsdLux.DistantLight)
    assert stage.GetPrimAtPath(f"{SCENE}/PointLight/Light").IsA(UsdLux.SphereLight)


def test_metres_y_up_and_the_engine_are_said() -> None:
    stage = opened(EVERYTHING)

    assert (UsdGeom.GetStageUpAxis(stage), UsdGeom.GetStageMetersPerUnit(stage)) == ("Y", 1.0)
    assert stage.GetDefaultPrim().GetPath() == SCENE
    assert stage.GetRootLayer().customLayerData == {"zeropoint": {"engine": ENGINE}}


def test_a_place_that_takes_no_file_is_an_error_of_the_system(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(OSError, match="USD could not write"):
        usd.write(EVERYTHING, tmp_path / "file" / "scene.usda")


def test_a_flattened_actor_has_no_box() -> None:
    flat = replace(actor("chair", "/Game/Chair.Chair"), scale=(1.0, 0.0, 1.0))
    stage = opened(replace(EVERYTHING, actors=[flat]))

    assert stage.GetPrimAtPath(f"{SCENE}/chair").GetChildren() == []


def test_what_was_taken_once_is_counted_on_from_there() -> None:
    names = usd.prim_names(itertools.repeat("Cube", 2000))

    assert names[0] == "Cube" and names[-1] == "Cube_2000"
