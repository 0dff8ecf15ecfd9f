"""The embedded engine answers each of Remote Control's routes in Unreal's shapes, and whatever is sent there without ever failing."""

from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from remote_level import CHAIR, CUBE, Set, part_of, path_of, refusal, value

from agents.engine.remote import remote as remotes
from agents.engine.remote.classes.actors import FUNCTIONS
from agents.engine.remote.messages import answer_message
from agents.engine.remote.paths import LEVEL_PATH
from agents.parts.remote_control import ACTORS, BATCH_LIMIT, SYSTEM

ROUTES = ("batch", "object/call", "object/property", "object/describe", "object/thumbnail", "search/assets")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(st.text(max_size=8), inside, max_size=3),
    max_leaves=8,
)
NAMES = st.sampled_from(
    ("objectPath", "functionName", "parameters", "access", "propertyName", "propertyValue", "Requests", "RequestId", "URL", "Verb", "Body")
)
STAGE = Set()
PATHS = st.sampled_from((ACTORS, SYSTEM, LEVEL_PATH, path_of(STAGE.cube), part_of(STAGE.camera, "CameraComponent")))


@pytest.fixture
def stage() -> Set:
    return Set()


def test_the_routes_are_listed_as_unreal_lists_them(stage: Set) -> None:
    info = value(stage.remote.dispatch("GET", "/remote/info", b""))

    assert {"Path": "/remote/batch", "Verb": "Put", "Description": "Allows batching multiple calls into one request."} in info["HttpRoutes"]
    assert (info["ActivePreset"], info["bIsPackaged"]) == ("", False)


def test_every_route_that_is_listed_is_answered(stage: Set) -> None:
    listed = [(route["Verb"], route["Path"]) for route in value(stage.remote.dispatch("GET", "/remote/info", b""))["HttpRoutes"]]

    answers = [stage.remote.dispatch(verb, path, b"") for verb, path in listed]

    assert len(listed) == 10
    assert not [answer for answer in answers if b"errorCode" in answer.body]


@pytest.mark.parametrize(
    ("verb", "url"), [("GET", "/remote/nothing"), ("POST", "/remote/info"), ("PUT", ""), ("", "/"), ("GET", "/remote/infos")]
)
def test_a_route_that_is_not_there_is_unreals_own_error(stage: Set, verb: str, url: str) -> None:
    answer = stage.remote.dispatch(verb, url, b"")

    assert answer.code == 404
    assert msgspec.json.decode(answer.body)["errorCode"] == "errors.com.epicgames.httpserver.route_handler_not_found"


@pytest.mark.parametrize("url", ["/remote/info/", "remote/info", "/remote/info?x=1"])
def test_an_address_is_understood_however_it_is_written(stage: Set, url: str) -> None:
    assert stage.remote.dispatch("get", url, b"").code == 200


def test_there_are_no_presets_and_none_of_any_name(stage: Set) -> None:
    assert value(stage.remote.dispatch("GET", "/remote/presets", b"")) == {"Presets": []}

    wanted = stage.remote.dispatch("GET", "/remote/preset/My%20Preset/property/Light", b"")
    assert refusal(wanted) == (404, "Preset My Preset could not be found.")


def test_an_object_that_is_not_there_is_named_in_the_error(stage: Set) -> None:
    for route in ("object/call", "object/property", "object/describe"):
        answer = stage.ask(route, objectPath="/Game/No.No", functionName="Run")
        assert refusal(answer) == (400, "Object: /Game/No.No does not exist.")


def test_a_function_that_is_not_there_is_named_in_the_error(stage: Set) -> None:
    assert refusal(stage.call(SYSTEM, "QuitGame")) == (400, f"Function: QuitGame does not exist on object: {SYSTEM}.")


def test_there_is_a_thumbnail_of_nothing(stage: Set) -> None:
    assert refusal(stage.ask("object/thumbnail", objectPath=CUBE)) == (404, f"Object: {CUBE} has no thumbnail.")


def test_a_description_has_the_types_of_properties_and_of_parameters_in_and_out(stage: Set) -> None:
    described = value(stage.ask("object/describe", objectPath=part_of(stage.cube, "StaticMeshComponent0")))
    functions = {each["Name"]: each for each in value(stage.ask("object/describe", objectPath=path_of(stage.cube)))["Functions"]}

    assert {each["Name"]: each["Type"] for each in described["Properties"]} == {
        "RelativeLocation": "FVector",
        "RelativeRotation": "FRotator",
        "RelativeScale3D": "FVector",
        "StaticMesh": "UStaticMesh*",
    }
    assert [(each["Name"], each["Type"]) for each in functions["K2_SetActorLocation"]["Arguments"]] == [
        ("NewLocation", "FVector"),
        ("bSweep", "bool"),
        ("bTeleport", "bool"),
        ("SweepHitResult", "FHitResult"),
        ("ReturnValue", "bool"),
    ]
    assert functions["SetActorLabel"]["Arguments"][0]["Type"] == "FString"


def test_a_list_is_described_as_a_container_and_what_cannot_be_written_says_so(stage: Set) -> None:
    described = value(stage.ask("object/describe", objectPath=LEVEL_PATH))["Properties"][0]

    assert (described["Type"], described["ContainerType"], described["Metadata"]) == ("AActor*", "Array", {"EditConst": "true"})


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"Query": "cu"}, ["Cube"]),
        ({"Query": "ch"}, ["Chair"]),
        ({"Limit": 2}, ["Cube", "Sphere"]),
        ({"Filter": {"PackageNames": ["/Engine/BasicShapes/Cone"]}}, ["Cone"]),
        ({"Filter": {"PackagePaths": ["/Engine/BasicShapes"], "ClassNames": ["StaticMesh"]}, "Query": "p"}, ["Sphere", "Plane"]),
        ({"Filter": {"PackagePaths": ["/Game"]}}, []),
        ({"Filter": {"PackagePaths": ["/Game"], "RecursivePaths": True}}, ["Chair"]),
        ({"Filter": {"ClassNames": ["/Script/Engine.Material"]}}, []),
        ({"Filter": {"RecursiveClassesExclusionSet": ["/Script/Engine.StaticMesh"]}}, []),
    ],
)
def test_assets_are_found_by_name_package_path_and_class(stage: Set, asked: dict[str, object], found: list[str]) -> None:
    assets = value(stage.ask("search/assets", **asked))["Assets"]

    assert [asset["Name"] for asset in assets] == found


def test_an_asset_can_be_spawned_by_the_path_that_it_was_found_by(stage: Set) -> None:
    asset = value(stage.ask("search/assets", Query="chair"))["Assets"][0]

    assert asset == {"Name": "Chair", "Class": "/Script/Engine.StaticMesh", "Path": CHAIR, "Metadata": {}}
    assert stage.call(ACTORS, "SpawnActorFromObject", ObjectToUse=asset["Path"]).code == 200


def batch(*requests: dict[str, object]) -> dict[str, object]:
    return {
        "Requests": [{"RequestId": number, "URL": "/remote/object/call", "Verb": "PUT", **each} for number, each in enumerate(requests, 7)]
    }


def test_a_batch_answers_each_request_under_its_number_whatever_becomes_of_the_others(stage: Set) -> None:
    move = {"objectPath": path_of(stage.cube), "functionName": "SetActorScale3D", "parameters": {"NewScale3D": {"X": 2}}}
    write = {"objectPath": path_of(stage.cube), "access": "WRITE_ACCESS"}

    answers = value(stage.ask("batch", **batch({"Body": move}, {"Body": {}}, {"URL": "/remote/object/property", "Body": write})))[
        "Responses"
    ]

    assert [(each["RequestId"], each["ResponseCode"]) for each in answers] == [(7, 200), (8, 400), (9, 200)]
    assert answers[1]["ResponseBody"]["errorMessage"].startswith("Unable to deserialize request.")
    assert answers[2]["ResponseBody"] is None


@pytest.mark.parametrize("url", ["/remote/batch", "remote/batch/", "/remote/batch?deeper"])
def test_a_batch_in_a_batch_is_refused(stage: Set, url: str) -> None:
    answers = value(stage.ask("batch", **batch({"URL": url, "Body": batch()})))["Responses"]

    assert answers[0]["ResponseCode"] == 400


def test_a_batch_of_more_requests_than_its_limit_is_refused_whole(stage: Set) -> None:
    answer = stage.ask("batch", **batch(*[{}] * (BATCH_LIMIT + 1)))

    assert refusal(answer)[0] == 400


def test_a_batch_stops_answering_where_its_answer_is_full(stage: Set, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remotes, "BODY_LIMIT", 100)
    frames = {"Body": {"objectPath": ACTORS, "functionName": "GetAllLevelActors"}}

    answers = value(stage.ask("batch", **batch(frames, frames)))["Responses"]

    assert [each["ResponseCode"] for each in answers] == [200, 413]


@pytest.mark.parametrize("spell", [str.lower, str.upper])
def test_names_are_understood_in_any_case(stage: Set, spell: Callable[[str], str]) -> None:
    told = {spell("NewLocation"): {spell("X"): 5}}
    body = {spell("objectPath"): path_of(stage.cube), spell("functionName"): "SetActorLocation", spell("parameters"): told}

    assert stage.ask("object/call", **body).code == 200
    assert stage.cube.transform.position == (5.0, 0.0, 0.0)


def test_what_clients_send_beyond_a_request_is_skipped(stage: Set) -> None:
    asked = {"objectPath": path_of(stage.cube), "generateTransaction": True, "TransactionMode": "NONE"}

    assert stage.ask("object/describe", **asked).code == 200


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff",
        b"[" * 100_000,
        b'{"objectPath":' * 50_000,
        b'{"objectPath":1}',
        b'{"objectPath":"\\ud800"}',
        b"1" * 5000,
    ],
    ids=["empty", "torn", "list", "null", "binary", "deep list", "deep object", "typed wrongly", "half a letter", "long number"],
)
@pytest.mark.parametrize("route", ROUTES)
def test_a_body_that_is_none_is_refused_in_unreals_words(stage: Set, route: str, body: bytes) -> None:
    answer = stage.remote.dispatch("PUT", f"/remote/{route}", body)

    if (route, body) != ("search/assets", b'{"objectPath":1}'):  # a search has no such name, and skips it
        code, message = refusal(answer)
        assert (code, message.startswith("Unable to deserialize request.")) == (400, True)


@given(st.sampled_from(ROUTES), st.binary(max_size=64) | JSON.map(msgspec.json.encode))
def test_whatever_is_sent_is_answered_or_refused(route: str, body: bytes) -> None:
    answer = STAGE.remote.dispatch("PUT", f"/remote/{route}", body)

    assert answer.code == 200 or (400 <= answer.code < 500 and refusal(answer))


@given(st.sampled_from(ROUTES), PATHS, st.dictionaries(NAMES, JSON, max_size=5))
def test_whatever_is_asked_of_an_object_is_answered_or_refused(route: str, path: str, body: dict[str, object]) -> None:
    answer = STAGE.ask(route, **{**body, "objectPath": path})

    assert answer.code == 200 or (400 <= answer.code < 500 and refusal(answer))


@given(st.sampled_from([function.name for function in FUNCTIONS]), JSON)
def test_whatever_a_function_is_called_with_is_answered_or_refused(name: str, parameters: object) -> None:
    stage = Set()  # it may be destroyed

    answer = stage.ask("object/call", objectPath=path_of(stage.cube), functionName=name, parameters=parameters)

    assert answer.code == 200 or (400 <= answer.code < 500 and refusal(answer))


def message(**told: object) -> bytes:
    return msgspec.json.encode(told)


@pytest.mark.parametrize("name", ["http", "HTTP", "Http"])
def test_a_message_carries_a_request_and_its_answer_the_requests_number(stage: Set, name: str) -> None:
    asked = {"RequestId": 3, "Url": "/remote/object/call", "Verb": "PUT", "Body": {"objectPath": SYSTEM, "functionName": "GetFrameCount"}}

    answer = answer_message(stage.remote, message(MessageName=name, Parameters=asked))

    assert answer is not None
    assert msgspec.json.decode(answer) == {"RequestId": 3, "ResponseCode": 200, "ResponseBody": {"ReturnValue": 0}}


def test_a_request_without_a_number_is_answered_as_minus_one(stage: Set) -> None:
    answer = answer_message(stage.remote, message(MessageName="http", Parameters={"Url": "/remote/presets", "Verb": "GET"}, Id="mine"))

    assert answer is not None
    assert msgspec.json.decode(answer)["RequestId"] == -1


@pytest.mark.parametrize("name", ["preset.register", "preset.unregister", "Preset.Register"])
def test_events_of_presets_are_asked_for_without_an_answer(stage: Set, name: str) -> None:
    assert answer_message(stage.remote, message(MessageName=name, Parameters={"PresetName": "Mine"})) is None


@pytest.mark.parametrize(("sent", "code"), [(message(MessageName="batch", Parameters={}), 404), (b"{", 400), (message(Parameters={}), 400)])
def test_a_message_that_is_not_known_is_answered_with_an_error(stage: Set, sent: bytes, code: int) -> None:
    answer = answer_message(stage.remote, sent)

    assert answer is not None
    told = msgspec.json.decode(answer)
    assert (told["RequestId"], told["ResponseCode"], "errorMessage" in told["ResponseBody"]) == (-1, code, True)


@given(st.binary(max_size=64) | JSON.map(msgspec.json.encode))
def test_whatever_message_is_sent_is_answered_with_json(sent: bytes) -> None:
    answer = answer_message(STAGE.remote, sent)

    assert answer is not None
    assert 400 <= msgspec.json.decode(answer)["ResponseCode"] < 500


@pytest.mark.parametrize("name", ["PackageNames", "ClassNames", "PackagePaths", "RecursiveClassesExclusionSet"])
def test_a_search_compares_with_a_hundred_names_at_most(stage: Set, name: str) -> None:
    assert stage.ask("search/assets", Filter={name: ["/Game"] * 100}).code == 200

    assert stage.ask("search/assets", Filter={name: ["/Game"] * 101}).code == 400
