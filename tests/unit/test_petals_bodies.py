"""Each parameter of OpenAI's API is used, ignored, or refused by name."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import fields
from openai.types import completion_create_params
from openai.types.chat import ChatCompletionMessage
from openai.types.chat import completion_create_params as chat_create_params

from agents.parts.generation.text import Request
from agents.petals.api.asked import chat, completions
from agents.petals.api.bodies import Body, ChatBody, CompletionBody, read_body
from agents.petals.api.errors import ApiError

LEAST: dict[type[Body], dict[str, Any]] = {
    CompletionBody: {"model": "m", "prompt": "p"},
    ChatBody: {"model": "m", "messages": [{"role": "user", "content": "hi"}]},
}
OFFICIAL = {CompletionBody: completion_create_params, ChatBody: chat_create_params}
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
STUMBLES = [b"[" * 100_000, b'{"a":' * 100_000, b'{"model": ' + b"9" * 10_000 + b"}", b'{"model": "\xff"}', b'{"\\ud800": 1}']
KINDS = st.sampled_from([CompletionBody, ChatBody])


def read(kind: type[Body], **changed: Any) -> Any:
    return read_body(kind, json.dumps(LEAST[kind] | changed).encode())


def refused(kind: type[Body], **changed: Any) -> ApiError:
    with pytest.raises(ApiError) as caught:
        read(kind, **changed)
    return caught.value


def known(kind: type[Body]) -> set[str]:
    return {field.name for field in fields(kind)} | kind.neutral.keys() | kind.ignored


@pytest.mark.parametrize("kind", [CompletionBody, ChatBody])
def test_every_parameter_of_the_official_client_is_known_and_no_other(kind: type[Body]) -> None:
    official = OFFICIAL[kind].CompletionCreateParamsBase.__annotations__.keys() | {"stream"}

    assert known(kind) == official


@pytest.mark.parametrize("kind", [CompletionBody, ChatBody])
def test_what_changes_nothing_is_taken_and_all_else_is_refused_by_its_name(kind: type[Body]) -> None:
    for name, neutral in kind.neutral.items():
        assert [read(kind, **{name: value}) for value in neutral] == [read(kind)] * len(neutral)
        assert (refused(kind, **{name: "other"}).param, refused(kind, **{name: "other"}).status) == (name, 400)


def test_a_probability_of_no_alternative_is_still_a_probability() -> None:
    assert refused(CompletionBody, logprobs=0).param == "logprobs"
    assert refused(CompletionBody, best_of=True).param == "best_of"


@pytest.mark.parametrize("name", ["top_k", "min_p", "Temperature", "", "é"])
def test_what_openai_does_not_know_is_refused_by_its_name(name: str) -> None:
    error = refused(CompletionBody, **{name: None})

    assert (error.param, error.code) == (name, "unknown_parameter")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("model", None),
        ("model", 1),
        ("prompt", 1),
        ("prompt", {"text": "a"}),
        ("prompt", [1.5]),
        ("prompt", [-1]),
        ("prompt", [1 << 31]),
        ("max_tokens", 0),
        ("max_tokens", 1 << 70),
        ("max_tokens", "5"),
        ("max_tokens", True),
        ("temperature", -0.1),
        ("temperature", 2.1),
        ("top_p", 1.1),
        ("seed", -1),
        ("seed", 1 << 63),
        ("stop", ""),
        ("stop", ["a"] * 16),
        ("stop", ["a" * 257]),
        ("stop", [None]),
        ("stream", "yes"),
        ("stream_options", {"include_usage": True}),
        ("stream_options", []),
    ],
)
def test_a_value_out_of_range_is_refused_with_its_name(name: str, value: Any) -> None:
    assert refused(CompletionBody, **{name: value}).param == name


@pytest.mark.parametrize("kind", [CompletionBody, ChatBody])
def test_what_must_be_there_is_named(kind: type[Body]) -> None:
    for name in LEAST[kind]:
        body = {key: value for key, value in LEAST[kind].items() if key != name}
        with pytest.raises(ApiError) as caught:
            read_body(kind, json.dumps(body).encode())
        assert (caught.value.param, caught.value.code) == (name, "missing_required_parameter")


@pytest.mark.parametrize(
    "message",
    [
        {"role": "tool", "content": "a", "tool_call_id": "1"},
        {"role": "assistant", "content": "a", "tool_calls": [{}]},
        {"role": "user", "content": None},
        {"role": "user"},
        {"content": "a"},
        "hi",
    ],
)
def test_messages_that_this_model_cannot_read_are_refused(message: Any) -> None:
    assert refused(ChatBody, messages=[message]).param == "messages"


def test_an_assistants_message_may_be_sent_back_as_it_came() -> None:
    said = ChatCompletionMessage(role="assistant", content="Hi.").model_dump()

    assert read(ChatBody, messages=[said]).messages[0].content == "Hi."


@given(KINDS, st.binary(max_size=60) | VALUES.map(lambda value: json.dumps(value).encode()))
def test_garbage_is_refused(kind: type[Body], data: bytes) -> None:
    with pytest.raises(ApiError) as caught:
        read_body(kind, data)
    assert caught.value.status == 400
    json.loads(caught.value.body)


@pytest.mark.parametrize(
    "data", [b"[" * 100_000, b'{"a":' * 100_000, b'{"model": ' + b"9" * 10_000 + b"}", b'{"model": "\xff"}', b'{"\\ud800": 1}']
)
def test_json_that_parsers_stumble_over_is_refused(data: bytes) -> None:
    with pytest.raises(ApiError):
        read_body(CompletionBody, data)


@given(KINDS, st.data())
def test_any_values_are_read_or_refused(kind: type[Body], data: st.DataObject) -> None:
    names = st.sampled_from(sorted(known(kind)))
    changed = data.draw(st.dictionaries(names, VALUES, max_size=3))
    try:
        body = read(kind, **changed)
        asked = [chat(body, 32)] if isinstance(body, ChatBody) else completions(body)
    except ApiError as error:
        assert error.status == 400
        json.loads(error.body)
    else:
        assert all(isinstance(each, Request) for each in asked)


@pytest.mark.parametrize("changed", [{"x" * 100_000: 1}, {"model": "m" * 100_000}, {"messages": [{"role": "r" * 100_000, "content": ""}]}])
def test_of_what_a_client_sent_little_is_told_it(changed: dict[str, Any]) -> None:
    assert len(refused(ChatBody, **changed).body) < 1000
