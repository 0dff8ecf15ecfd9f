"""The embedded engine's functions do, of what they are called on, what Unreal's functions of the same name do."""

from pathlib import Path

import pytest
from remote_level import CHAIR, CUBE, VERSION, Set, part_of, path_of, refusal, value

from agents.engine import world as worlds
from agents.parts.frames import rotation_of_rotator
from agents.parts.remote_control import ACTORS, AUTOMATION, SYSTEM
from agents.ue5.functions import FUNCTIONS, Function, default_object

QUARTER = {"X": 0.0, "Y": 0.0, "Z": 0.7071067811865476, "W": 0.7071067811865476}


@pytest.fixture
def stage(tmp_path: Path) -> Set:
    return Set(tmp_path)


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.name)
def test_every_function_that_the_bridge_calls_is_there_where_it_calls_it(stage: Set, function: Function) -> None:
    where = default_object(function) if function.static else path_of(stage.cube)

    described = value(stage.ask("object/describe", objectPath=where))

    assert function.name in [each["Name"] for each in described["Functions"]]


def test_a_transform_is_where_the_actor_is_at_once_and_what_the_next_frame_takes_over(stage: Set) -> None:
    told = {"Rotation": QUARTER, "Translation": {"X": 1, "Y": 2.5, "Z": -3}, "Scale3D": {"X": 1, "Y": 2, "Z": 3}}

    answer = stage.call(stage.cube, "K2_SetActorTransform", NewTransform=told, bSweep=False, bTeleport=True)

    assert value(answer) == {"SweepHitResult": {"bBlockingHit": False, "Time": 1.0}, "ReturnValue": True}
    assert value(stage.call(stage.cube, "GetTransform"))["ReturnValue"] == told
    assert [(actor.label, transform.position) for actor, transform in stage.world.take_moves()] == [("cube", (1.0, 2.5, -3.0))]


def test_what_a_transform_leaves_out_is_as_in_an_identity(stage: Set) -> None:
    stage.call(stage.cube, "K2_SetActorTransform", NewTransform={"Scale3D": {"X": 2}})

    assert stage.cube.transform == worlds.Transform(scale=(2.0, 1.0, 1.0))


@pytest.mark.parametrize(
    ("told", "length_one"), [({"W": 4.0}, (0, 0, 0, 1)), ({"X": 3, "W": -4}, (0.6, 0, 0, -0.8)), ({"W": 0}, (0, 0, 0, 1))]
)
def test_a_rotation_has_length_one_whatever_was_sent(stage: Set, told: dict[str, float], length_one: tuple[float, ...]) -> None:
    stage.call(stage.cube, "K2_SetActorTransform", NewTransform={"Rotation": told})

    assert stage.cube.transform.orientation == pytest.approx(length_one)


@pytest.mark.parametrize("name", ["K2_SetActorLocation", "SetActorLocation", "k2_setactorlocation"])
def test_a_location_is_set_by_each_of_the_names_that_clients_know(stage: Set, name: str) -> None:
    stage.call(stage.cube, name, NewLocation={"X": 7})

    assert value(stage.call(stage.cube, "GetActorLocation"))["ReturnValue"] == {"X": 7.0, "Y": 0.0, "Z": 0.0}


def test_a_rotator_goes_in_and_comes_out_in_degrees_and_leaves_the_place_alone(stage: Set) -> None:
    stage.call(stage.cube, "K2_SetActorRotation", NewRotation={"Pitch": 10, "Yaw": 20, "Roll": 30})

    assert value(stage.call(stage.cube, "K2_GetActorRotation"))["ReturnValue"] == pytest.approx({"Pitch": 10, "Yaw": 20, "Roll": 30})
    assert stage.cube.transform.position == (100.0, 0.0, 50.0)


def test_location_and_rotation_are_set_together(stage: Set) -> None:
    stage.call(stage.cube, "K2_SetActorLocationAndRotation", NewLocation={"Y": 5}, NewRotation={"Yaw": 90})

    assert stage.cube.transform.position == (0.0, 5.0, 0.0)
    assert stage.cube.transform.orientation == pytest.approx(rotation_of_rotator((0.0, 90.0, 0.0)))


def test_a_scale_is_set_and_told(stage: Set) -> None:
    assert value(stage.call(stage.cube, "SetActorScale3D", NewScale3D={"X": 1, "Y": 2, "Z": 3})) == {}

    assert value(stage.call(stage.cube, "GetActorScale3D"))["ReturnValue"] == {"X": 1.0, "Y": 2.0, "Z": 3.0}


def test_a_label_is_what_an_actor_is_called_from_then_on(stage: Set) -> None:
    stage.call(stage.cube, "SetActorLabel", NewActorLabel="dice")

    assert value(stage.call(stage.cube, "GetActorLabel")) == {"ReturnValue": "dice"}
    assert stage.world.labelled("dice") is stage.cube


def test_bounds_are_of_the_turned_and_scaled_mesh_beside_no_return_value(stage: Set) -> None:
    stage.call(stage.chair, "K2_SetActorTransform", NewTransform={"Rotation": QUARTER, "Scale3D": {"X": 1, "Y": 1, "Z": 2}})

    bounds = value(stage.call(stage.chair, "GetActorBounds", bOnlyCollidingComponents=False))

    assert bounds["Origin"] == pytest.approx({"X": 0, "Y": 0, "Z": 80})
    assert bounds["BoxExtent"] == pytest.approx({"X": 30, "Y": 20, "Z": 80})
    assert list(bounds) == ["Origin", "BoxExtent"]


def test_an_actor_without_a_mesh_has_no_extent(stage: Set) -> None:
    assert value(stage.call(stage.lamp, "GetActorBounds"))["BoxExtent"] == {"X": 0.0, "Y": 0.0, "Z": 0.0}


def test_a_destroyed_actor_is_not_there_any_more(stage: Set) -> None:
    assert value(stage.call(stage.cube, "K2_DestroyActor")) == {}

    code, message = refusal(stage.call(stage.cube, "GetActorLabel"))
    assert (code, message) == (400, f"Object: {path_of(stage.cube)} does not exist.")


def test_the_level_lists_its_actors_and_destroys_those_that_it_has(stage: Set) -> None:
    assert value(stage.call(ACTORS, "DestroyActor", ActorToDestroy=path_of(stage.cube))) == {"ReturnValue": True}

    assert value(stage.call(ACTORS, "DestroyActor", ActorToDestroy=path_of(stage.cube))) == {"ReturnValue": False}
    left = [path_of(actor) for actor in (stage.chair, stage.camera, stage.lamp)]
    assert value(stage.call(ACTORS, "GetAllLevelActors"))["ReturnValue"] == left


@pytest.mark.parametrize("mesh", [CUBE, CHAIR, f"StaticMesh'{CUBE}'", f"/Script/Engine.StaticMesh'{CHAIR}'"])
def test_a_mesh_is_spawned_where_it_was_asked_for(stage: Set, mesh: str) -> None:
    spawned = value(stage.call(ACTORS, "SpawnActorFromObject", ObjectToUse=mesh, Location={"X": 1, "Y": 2, "Z": 3}, Rotation={"Yaw": 90}))

    place = value(stage.call(spawned["ReturnValue"], "GetTransform"))["ReturnValue"]
    assert place["Translation"] == {"X": 1.0, "Y": 2.0, "Z": 3.0}
    assert place["Rotation"] == pytest.approx(QUARTER)


@pytest.mark.parametrize("kind", ["StaticMeshActor", "CameraActor", "PointLight", "DirectionalLight", "Actor"])
def test_an_actor_of_each_class_is_spawned_and_says_which_it_is_of(stage: Set, kind: str) -> None:
    spawned = value(stage.call(ACTORS, "SpawnActorFromClass", ActorClass=f"/Script/Engine.{kind}"))["ReturnValue"]

    described = value(stage.ask("object/describe", objectPath=spawned))

    assert (described["Class"], described["Path"]) == (f"/Script/Engine.{kind}", spawned)


def test_a_mesh_or_class_that_is_not_there_is_not_spawned(stage: Set) -> None:
    before = len(stage.world.actors)

    assert refusal(stage.call(ACTORS, "SpawnActorFromObject", ObjectToUse="/Game/No.No")) == (400, "Object: /Game/No.No does not exist.")
    assert refusal(stage.call(ACTORS, "SpawnActorFromClass", ActorClass="/Script/Engine.Pawn"))[0] == 400
    assert len(stage.world.actors) == before


def test_a_full_level_refuses_another_actor(stage: Set, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worlds, "MAX_ACTORS", len(stage.world.actors))

    code, message = refusal(stage.call(ACTORS, "SpawnActorFromObject", ObjectToUse=CUBE))

    assert code == 400
    assert "remove some" in message


def test_the_system_library_says_which_engine_it_is_and_how_far(stage: Set) -> None:
    stage.world.frame, stage.world.time = 120, 2.0

    assert value(stage.call(SYSTEM, "GetEngineVersion")) == {"ReturnValue": VERSION}
    assert value(stage.call(SYSTEM, "GetFrameCount")) == {"ReturnValue": 120}
    assert value(stage.call(SYSTEM, "GetGameTimeInSeconds", WorldContextObject="")) == {"ReturnValue": 2.0}


def test_the_system_library_names_actors_and_calls_others_none(stage: Set) -> None:
    assert value(stage.call(SYSTEM, "GetObjectName", Object=path_of(stage.cube))) == {"ReturnValue": stage.cube.name}
    assert value(stage.call(SYSTEM, "GetDisplayName", Object=path_of(stage.cube))) == {"ReturnValue": "cube"}
    assert value(stage.call(SYSTEM, "GetObjectName", Object="/Game/No.No")) == {"ReturnValue": "None"}


def test_a_screenshot_is_left_to_the_engine_with_camera_size_and_place(stage: Set, tmp_path: Path) -> None:
    stage.call(AUTOMATION, "TakeHighResScreenshot", ResX=640, ResY=360, Filename="day/one", Camera=path_of(stage.camera))
    stage.call(AUTOMATION, "TakeHighResScreenshot", ResX=64, ResY=32, Filename=str(tmp_path / "two.jpg"))

    assert stage.renderer.shots == [("main", 640, 360, tmp_path / "day/one.png"), (None, 64, 32, tmp_path / "two.jpg.png")]


@pytest.mark.parametrize("name", ["../out.png", "/etc/out.png", "day/../../out.png", "link/out.png", "nul\0.png", "", "x" * 2000])
def test_no_screenshot_is_written_outside_of_its_folder(stage: Set, tmp_path: Path, name: str) -> None:
    (tmp_path / "link").symlink_to("/")

    code, _ = refusal(stage.call(AUTOMATION, "TakeHighResScreenshot", ResX=640, ResY=360, Filename=name))

    assert (code, stage.renderer.shots) == (400, [])


def test_what_is_no_camera_takes_no_screenshot_and_a_busy_engine_says_why(stage: Set) -> None:
    wrong = refusal(stage.call(AUTOMATION, "TakeHighResScreenshot", ResX=64, ResY=64, Filename="a", Camera=path_of(stage.cube)))
    stage.renderer.tired = True
    busy = refusal(stage.call(AUTOMATION, "TakeHighResScreenshot", ResX=64, ResY=64, Filename="a"))

    assert wrong == (400, f"Object: {path_of(stage.cube)} is no camera.")
    assert busy == (400, "No screenshot is taken: there are enough.")


def test_a_material_takes_another_colour(stage: Set) -> None:
    told = {"R": 1.0, "G": 0.5, "B": 0.25, "A": 1.0}

    stage.call(part_of(stage.cube, "StaticMeshComponent0"), "SetColorParameterValueOnMaterials", ParameterName="Color", ParameterValue=told)

    assert stage.cube.looks.colour == (1.0, 0.5, 0.25, 1.0)
    assert stage.cube.name in stage.world.take_changes()


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"NewLocation": {"X": "1"}}, "Expected `float`, got `str` - at `$.NewLocation.X`"),
        ({"NewLocation": {"X": 1e30}}, "Expected `float` <= 8796093022208.0 - at `$.NewLocation.X`"),
        ({"NewLocation": None}, "Expected `object`, got `null` - at `$.NewLocation`"),
        ({"NewPlace": {}}, "Object contains unknown field `NewPlace`"),
        ({"NewLocation": {"W": 1}}, "Object contains unknown field `W` - at `$.NewLocation`"),
        ({"bSweep": 1}, "Expected `bool`, got `int` - at `$.bSweep`"),
    ],
)
def test_parameters_that_are_none_are_refused_with_what_is_wrong(stage: Set, parameters: dict[str, object], said: str) -> None:
    code, message = refusal(stage.call(stage.cube, "K2_SetActorLocation", **parameters))

    assert (code, message) == (400, f"Unable to deserialize the parameters of function: K2_SetActorLocation. {said}")
    assert stage.world.take_moves() == []


@pytest.mark.parametrize("number", [b"1e999", b"-1e999", b"NaN", b"Infinity", b"1" + b"0" * 400])
def test_a_number_that_is_not_finite_moves_nothing(stage: Set, number: bytes) -> None:
    body = b'{"objectPath":"%b","functionName":"K2_SetActorLocation","parameters":{"NewLocation":{"X":%b}}}'

    answer = stage.remote.dispatch("PUT", "/remote/object/call", body % (path_of(stage.cube).encode(), number))

    assert answer.code == 400
    assert stage.world.take_moves() == []
