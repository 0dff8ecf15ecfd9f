"""What the bridge sends, against the table of what it may, and what it reads of answers."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.parts import frames
from agents.parts.remote_control import Call
from agents.ue5 import functions
from agents.ue5.remote import answers, requests
from agents.ue5.remote.requests import Ask
from agents.ue5.remote.wire import Answer, BadAnswer, Refused, accepted

ORIGIN = (0.0, 0.0, 0.0)
EVERY_CALL = (
    requests.engine_version(),
    requests.frame_count(),
    requests.actors(),
    requests.spawn("/Engine/BasicShapes/Cube.Cube", ORIGIN, ORIGIN),
    requests.spawn("/Script/Engine.PointLight", ORIGIN, ORIGIN),
    requests.destroy("/L.A"),
    requests.label("/L.A"),
    requests.set_label("/L.A", "crate"),
    requests.transform("/L.A"),
    requests.set_transform("/L.A", ORIGIN, (0.0, 0.0, 0.0, 1.0), (1.0, 1.0, 1.0)),
    requests.bounds("/L.A"),
    requests.screenshot("/tmp/shot.png", 640, 360, "/L.Camera"),
)
readers = [
    answers.label, answers.version,
    answers.count, answers.done, answers.paths, answers.path, answers.placement, answers.bounds, answers.mesh,
    answers.field_of_view, lambda body: answers.parts(body, 3), lambda body: answers.failures(body, 3),
]  # fmt: skip


def returned(value: object) -> bytes:
    return json.dumps({"ReturnValue": value}).encode()


def called(ask: Ask) -> str | None:
    return ask.what if isinstance(ask.body, Call) else None


def test_the_bridge_calls_every_function_of_the_table_and_no_other() -> None:
    assert {called(ask) for ask in EVERY_CALL} == {function.name for function in functions.FUNCTIONS}


def test_static_functions_are_called_on_the_default_object_of_their_class() -> None:
    targets = {ask.what: ask.subject for ask in EVERY_CALL}
    for function in functions.FUNCTIONS:
        assert targets[function.name] == (functions.default_object(function) if function.static else "/L.A")


@pytest.mark.parametrize("asset", ["/Script/Engine.PointLight", "/Game/Lamps/BP_Lamp.BP_Lamp_C"])
def test_classes_are_spawned_as_classes_native_or_not(asset: str) -> None:
    assert requests.spawn(asset, ORIGIN, ORIGIN).what == "SpawnActorFromClass"


def test_a_batch_numbers_its_requests_by_their_places() -> None:
    batch = json.loads(requests.encoded_batch(list(EVERY_CALL)))["Requests"]
    assert [each["RequestId"] for each in batch] == list(range(len(EVERY_CALL)))
    call = {"objectPath": batch[5]["Body"]["objectPath"], "functionName": "DestroyActor", "parameters": {"ActorToDestroy": "/L.A"}}
    assert batch[5] == {"RequestId": 5, "URL": "/remote/object/call", "Verb": "PUT", "Body": call}


@pytest.mark.parametrize(("linear", "byte"), [(0.0, 0), (1.0, 255), (0.5, 188), (0.214, 127), (0.002, 7), (-1.0, 0), (2.0, 255)])
def test_a_channel_of_light_is_what_srgb_has_for_it(linear: float, byte: int) -> None:
    assert requests.srgb_byte(linear) == byte


@given(st.integers(0, 255))
def test_every_byte_of_srgb_is_found_again_from_its_light(byte: int) -> None:
    value = byte / 255
    linear = value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4
    assert requests.srgb_byte(linear) == byte


lengths = st.floats(-1e4, 1e4)


@given(st.tuples(lengths, lengths, lengths), st.tuples(*[st.floats(0.1, 10)] * 3))
def test_an_actor_that_was_put_somewhere_is_read_there(position: frames.Vector, scale: frames.Vector) -> None:
    turned = (0.0, math.sin(0.3), 0.0, math.cos(0.3))
    there = frames.to_unreal(position), frames.rotation_to_unreal(turned), frames.scale_to_unreal(scale)
    asked = json.loads(requests.encoded(requests.set_transform("/L.A", *there)))
    placed = answers.placement(returned(asked["parameters"]["NewTransform"]))
    assert placed.position == pytest.approx(position, abs=1e-9)
    assert placed.orientation == pytest.approx(turned, abs=1e-9)
    assert placed.scale == pytest.approx(scale)


def test_a_box_is_read_with_its_sides_where_they_are_on_the_bus() -> None:
    box = answers.bounds(b'{"Origin": {"X": 100, "Y": 200, "Z": 300}, "BoxExtent": {"X": 10, "Y": 20, "Z": 30}}')
    assert box.centre == (2.0, 3.0, -1.0)
    assert box.extent == pytest.approx((0.2, 0.3, 0.1))


@pytest.mark.parametrize("value", [12345678901, "12345678901"])
def test_a_count_may_come_as_a_string(value: object) -> None:
    assert answers.count(returned(value)) == 12345678901


@pytest.mark.parametrize("nothing", [None, "", "None"])
def test_no_object_is_none_however_it_is_written(nothing: str | None) -> None:
    assert answers.path(returned(nothing)) is None


def test_answers_of_a_batch_find_their_requests_in_any_order() -> None:
    body = json.dumps(
        {
            "Responses": [
                {"RequestId": 2, "ResponseCode": 404, "ResponseBody": {"errorMessage": "gone"}},
                {"RequestId": 0, "ResponseCode": 200},
            ]
        }
    )
    first, second, third = answers.parts(body.encode(), 3)
    assert (first.code, second.code, third.code) == (200, 0, 404)
    with pytest.raises(Refused, match="gone"):
        accepted(third)


def test_what_a_batch_left_out_counts_as_not_done() -> None:
    body = b'{"Responses": [{"RequestId": 0, "ResponseCode": 200}, {"RequestId": 1, "ResponseCode": 400}]}'
    assert answers.failures(body, 3) == 2


@pytest.mark.parametrize("reader", readers)
@given(
    body=st.binary(max_size=60)
    | st.recursive(
        st.none() | st.floats() | st.text(),
        lambda deeper: st.dictionaries(st.sampled_from(["ReturnValue", "Responses", "X", "RequestId"]), deeper) | st.lists(deeper),
    ).map(lambda value: json.dumps(value).encode())
)
def test_no_answer_does_anything_but_be_read_or_be_refused(reader, body: bytes) -> None:  # type: ignore[no-untyped-def]  # whatever a reader returns
    try:
        reader(body)
    except BadAnswer:
        return


def test_a_refusal_is_told_in_the_engines_words_and_without_them_by_its_code() -> None:
    with pytest.raises(Refused, match="Object: X does not exist"):
        accepted(Answer(400, b'{"errorMessage": "Object: X does not exist."}'))
    with pytest.raises(Refused, match="code 502: <html>"):
        accepted(Answer(502, b"<html>"))


def test_an_engine_that_says_too_much_of_itself_is_none() -> None:
    with pytest.raises(BadAnswer):
        answers.version(returned("5." + "6" * 300))
