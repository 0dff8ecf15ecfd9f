"""Properties of the embedded engine's objects are read and written as Unreal's are."""

import pytest
from remote_level import CHAIR, CUBE, Set, part_of, path_of, refusal, value

from agents.engine.remote.paths import LEVEL_PATH
from agents.engine.world import Transform


@pytest.fixture
def stage() -> Set:
    return Set()


def test_all_properties_of_a_component_are_told_where_none_is_named(stage: Set) -> None:
    told = value(stage.ask("object/property", objectPath=part_of(stage.cube, "StaticMeshComponent0"), access="READ_ACCESS"))

    assert told["RelativeLocation"] == {"X": 100.0, "Y": 0.0, "Z": 50.0}
    assert told["StaticMesh"] == CUBE
    assert set(told) == {"RelativeLocation", "RelativeRotation", "RelativeScale3D", "StaticMesh"}


def test_a_write_is_answered_with_nothing_at_all(stage: Set) -> None:
    answer = stage.write(part_of(stage.cube, "StaticMeshComponent0"), "RelativeScale3D", {"X": 1, "Y": 2, "Z": 3})

    assert (answer.code, answer.body) == (200, b"")
    assert stage.cube.transform.scale == (1.0, 2.0, 3.0)


def test_what_a_write_leaves_out_stays_as_it_is(stage: Set) -> None:
    stage.write(part_of(stage.cube, "StaticMeshComponent0"), "RelativeLocation", {"y": 7})

    assert stage.cube.transform.position == (100.0, 7.0, 50.0)
    assert len(stage.world.take_moves()) == 1


def test_of_several_properties_all_are_written_or_none(stage: Set) -> None:
    cube = part_of(stage.cube, "StaticMeshComponent0")
    told = {"RelativeLocation": {"X": 5}, "RelativeScale3D": {"X": 2}}

    for wrong in ({"Nope": 1}, {"StaticMesh": 7}):
        spoilt = stage.ask("object/property", objectPath=cube, access="WRITE_ACCESS", propertyValue=told | wrong)
        assert (spoilt.code, stage.world.moves) == (400, {})
    whole = stage.ask("object/property", objectPath=cube, access="WRITE_ACCESS", propertyValue=told)

    assert whole.code == 200
    assert (stage.cube.transform.position, stage.cube.transform.scale) == ((5.0, 0.0, 50.0), (2.0, 1.0, 1.0))


def test_a_part_of_a_place_is_written_into_the_move_that_waits(stage: Set) -> None:
    cube = part_of(stage.cube, "StaticMeshComponent0")
    stage.write(cube, "RelativeLocation", {"X": 999})
    stage.cube.transform = Transform()  # as physics may leave it that was about to write

    stage.write(cube, "RelativeScale3D", {"X": 2})

    ((_, taken),) = stage.world.take_moves()
    assert (taken.position, taken.scale) == ((999.0, 0.0, 50.0), (2.0, 1.0, 1.0))


def test_a_rotation_is_written_in_degrees(stage: Set) -> None:
    component = part_of(stage.camera, "SceneComponent")

    stage.write(component, "RelativeRotation", {"Yaw": 45})

    assert stage.read(component, "RelativeRotation") == pytest.approx({"Pitch": 0, "Yaw": 45, "Roll": 0})


def test_several_properties_are_written_where_none_is_named(stage: Set) -> None:
    camera = part_of(stage.camera, "CameraComponent")

    stage.ask("object/property", objectPath=camera, access="WRITE_TRANSACTION_ACCESS", propertyValue={"FieldOfView": 40, "AspectRatio": 2})

    assert (stage.read(camera, "FieldOfView"), stage.read(camera, "AspectRatio")) == (40.0, 2.0)
    assert stage.camera.name in stage.world.take_changes()


def test_a_lights_colour_is_srgb_outside_and_linear_inside(stage: Set) -> None:
    light = part_of(stage.lamp, "LightComponent0")

    stage.write(light, "LightColor", {"R": 188, "G": 0, "B": 255, "A": 255})

    assert stage.lamp.looks.shine is not None
    assert stage.lamp.looks.shine.colour == pytest.approx((0.5, 0.0, 1.0, 1.0), abs=0.005)
    assert stage.read(light, "LightColor") == {"R": 188, "G": 0, "B": 255, "A": 255}


def test_every_byte_of_a_colour_survives_the_way_there_and_back(stage: Set) -> None:
    light = part_of(stage.lamp, "LightComponent0")

    for byte in range(256):
        stage.write(light, "LightColor", {"R": byte})
        assert stage.read(light, "LightColor")["R"] == byte


def test_a_light_shines_as_strongly_as_it_was_told(stage: Set) -> None:
    stage.write(part_of(stage.lamp, "LightComponent0"), "Intensity", 3)

    assert stage.lamp.looks.shine is not None
    assert stage.lamp.looks.shine.intensity == 3.0


def test_a_mesh_is_exchanged_for_one_that_there_is(stage: Set) -> None:
    component = part_of(stage.cube, "StaticMeshComponent0")

    assert stage.write(component, "StaticMesh", CHAIR).code == 200
    assert refusal(stage.write(component, "StaticMesh", "/Game/No.No")) == (400, "Object: /Game/No.No does not exist.")
    assert stage.cube.looks.mesh == CHAIR


def test_an_actor_says_by_which_paths_its_components_are_found(stage: Set) -> None:
    root = stage.read(stage.camera, "RootComponent")

    assert stage.read(root, "RelativeLocation") == {"X": 0.0, "Y": 0.0, "Z": 0.0}
    assert stage.read(stage.camera, "CameraComponent") == part_of(stage.camera, "CameraComponent")
    assert stage.read(stage.cube, "StaticMeshComponent") == part_of(stage.cube, "StaticMeshComponent0")


def test_the_level_lists_its_actors_and_lets_nobody_write_the_list(stage: Set) -> None:
    assert stage.read(LEVEL_PATH, "Actors")[0] == path_of(stage.cube)

    assert refusal(stage.write(LEVEL_PATH, "Actors", [])) == (400, "Object property: Actors is read-only.")


def test_a_property_that_is_not_there_is_named_in_the_error(stage: Set) -> None:
    lamp = part_of(stage.lamp, "LightComponent0")

    answer = stage.ask("object/property", objectPath=lamp, propertyName="Temperature")

    assert refusal(answer) == (400, f"Object property: Temperature could not be resolved on object: {lamp}")


@pytest.mark.parametrize("told", ["wide", None, 0, 1000, {"X": 1}, [60]])
def test_a_field_of_view_that_is_none_is_refused(stage: Set, told: object) -> None:
    code, _ = refusal(stage.write(part_of(stage.camera, "CameraComponent"), "FieldOfView", told))

    assert code == 400
    assert stage.read(part_of(stage.camera, "CameraComponent"), "FieldOfView") == 60.0


def test_a_value_under_another_name_than_its_property_is_not_written(stage: Set) -> None:
    body = {"objectPath": part_of(stage.lamp, "LightComponent0"), "propertyName": "Intensity", "propertyValue": {"Strength": 1}}

    code, message = refusal(stage.ask("object/property", access="WRITE_ACCESS", **body))

    assert (code, "under the property's name" in message) == (400, True)
