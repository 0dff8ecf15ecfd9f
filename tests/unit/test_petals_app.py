"""The HTTP API in front of a whole model, without a server: what is refused, and how, and what is counted."""

import asyncio
import json
from collections.abc import Iterator
from ipaddress import ip_address
from typing import Any

import pytest
from answering import MODEL, PEER, LocalAnswers, LocalText, write_model
from asgi import HOST, Client, ask, scope
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from agents.parts.external_data import BadModel
from agents.parts.generation.text import TextModel
from agents.parts.http.gate import Gate
from agents.petals.api.app import application
from agents.petals.errors import Closing

GATE = Gate(address=ip_address("127.0.0.1"), port=8000)
HELLO = {"model": MODEL, "prompt": "Hello", "temperature": 0, "max_tokens": 12}
CHAT = {"model": MODEL, "messages": [{"role": "user", "content": "Hello"}], "temperature": 0, "max_tokens": 12}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> TextModel:
    return write_model(tmp_path_factory.mktemp("export") / "export")


@pytest.fixture
def answers(model: TextModel) -> LocalAnswers:
    return LocalAnswers(model)


@pytest.fixture
def client(answers: LocalAnswers) -> TestClient:
    return opened(answers)


def opened(answers: LocalAnswers, token: str | None = None) -> TestClient:
    gate = Gate(address=GATE.address, port=GATE.port, token=token)
    return TestClient(application(answers, gate), base_url=f"http://{HOST}")


def error(response: Any) -> tuple[int, Any, Any]:
    """Status, parameter and code of an error in OpenAI's shape."""
    body = response.json()
    assert body.keys() == {"error"} and body["error"].keys() == {"message", "type", "param", "code"}
    assert isinstance(body["error"]["message"], str) and body["error"]["message"]
    return response.status_code, body["error"]["param"], body["error"]["code"]


def events(response: Any) -> Iterator[Any]:
    """The chunks of a stream, without its last line."""
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    *chunks, last, end = response.text.split("\n\n")
    assert (last, end) == ("data: [DONE]", "")
    return (json.loads(chunk.removeprefix("data: ")) for chunk in chunks)


def test_the_model_is_listed(client: TestClient) -> None:
    card = {"id": MODEL, "created": 1_700_000_000, "context_length": 32, "object": "model", "owned_by": "zeropoint"}

    assert client.get("/v1/models").json() == {"object": "list", "data": [card]}
    assert client.get(f"/v1/models/{MODEL}").json() == card
    assert error(client.get("/v1/models/other/one")) == (404, "model", "model_not_found")


def test_before_there_is_a_model_a_client_hears_what_to_wait_for() -> None:
    client = opened(LocalAnswers(None))

    response = client.post("/v1/completions", json=HELLO)

    assert client.get("/v1/models").json()["data"] == []
    assert error(response) == (503, None, "no_model")
    assert response.json()["error"]["message"] == "wait for an export.completed"
    assert response.headers["retry-after"] == "5"
    assert error(client.get(f"/v1/models/{MODEL}")) == (503, None, "no_model")


def test_a_completion_is_the_models_text_and_says_who_computed_it(client: TestClient) -> None:
    body = client.post("/v1/completions", json=HELLO).json()

    (choice,) = body["choices"]
    assert (body["object"], body["model"], choice["finish_reason"], choice["logprobs"]) == ("text_completion", MODEL, "length", None)
    assert body["usage"] == {"prompt_tokens": 5, "completion_tokens": 12, "total_tokens": 17}
    assert choice["zeropoint"]["served"] == [{"route": "local", "tokens": 12}]
    assert choice["zeropoint"]["note"] == "no swarm in this test"


def test_a_stream_has_the_same_text_in_stock_chunks(client: TestClient) -> None:
    whole = client.post("/v1/completions", json=HELLO).json()["choices"][0]["text"]

    *pieces, last = events(client.post("/v1/completions", json={**HELLO, "stream": True}))

    assert "".join(piece["choices"][0]["text"] for piece in pieces) == whole
    assert all(piece["choices"][0].keys() == {"index", "text", "finish_reason", "logprobs"} for piece in pieces)
    assert last["choices"][0]["finish_reason"] == "length"
    assert last["choices"][0]["zeropoint"]["served"] == [{"route": "local", "tokens": 12}]
    assert not any("usage" in chunk for chunk in (*pieces, last))


def test_a_stream_ends_with_its_usage_where_that_is_asked_for(client: TestClient) -> None:
    *others, last = events(client.post("/v1/completions", json={**HELLO, "stream": True, "stream_options": {"include_usage": True}}))

    assert all(chunk["usage"] is None for chunk in others)
    assert last["choices"] == []
    assert last["usage"] == {"prompt_tokens": 5, "completion_tokens": 12, "total_tokens": 17}


def test_several_prompts_are_continued_each_as_if_alone(client: TestClient) -> None:
    alone = [client.post("/v1/completions", json={**HELLO, "prompt": prompt}).json()["choices"][0]["text"] for prompt in ("Hello", "def ")]

    for prompts in (["Hello", "def "], [list(b"Hello"), list(b"def ")]):
        body = client.post("/v1/completions", json={**HELLO, "prompt": prompts}).json()
        assert [(choice["index"], choice["text"]) for choice in body["choices"]] == list(enumerate(alone))
        assert body["usage"] == {"prompt_tokens": 9, "completion_tokens": 24, "total_tokens": 33}


def test_a_text_ends_before_a_stop(client: TestClient) -> None:
    text = client.post("/v1/completions", json=HELLO).json()["choices"][0]["text"]

    choice = client.post("/v1/completions", json={**HELLO, "stop": [text[4:6]]}).json()["choices"][0]

    assert (choice["text"], choice["finish_reason"]) == (text[: text.index(text[4:6])], "stop")


def test_a_chat_is_the_completion_of_its_transcript(client: TestClient, answers: LocalAnswers) -> None:
    body = client.post("/v1/chat/completions", json=CHAT).json()
    chunks = list(events(client.post("/v1/chat/completions", json={**CHAT, "stream": True})))
    plain = client.post("/v1/completions", json={**HELLO, "prompt": "User: Hello\n\nAssistant:", "stop": "\n\nUser:"}).json()

    message = body["choices"][0]["message"]
    assert message == {"role": "assistant", "content": plain["choices"][0]["text"].removeprefix(" "), "refusal": None}
    assert (body["object"], {chunk["object"] for chunk in chunks}) == ("chat.completion", {"chat.completion.chunk"})
    assert chunks[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks) == message["content"]
    assert chunks[-1]["choices"][0]["delta"] == {}
    assert answers.writing == []


@pytest.mark.parametrize(
    ("path", "changed", "expected"),
    [
        ("/v1/completions", {"model": "gpt-6"}, (404, "model", "model_not_found")),
        ("/v1/completions", {"prompt": [100_000]}, (400, None, None)),
        ("/v1/completions", {"prompt": ""}, (400, None, None)),
        ("/v1/completions", {"echo": True}, (400, "echo", "unsupported_parameter")),
        ("/v1/completions", {"n": 2}, (400, "n", "unsupported_parameter")),
        ("/v1/completions", {"top_k": 5}, (400, "top_k", "unknown_parameter")),
        ("/v1/completions", {"temperature": 3}, (400, "temperature", None)),
        ("/v1/chat/completions", {"tools": [{"type": "function"}]}, (400, "tools", "unsupported_parameter")),
        ("/v1/chat/completions", {"messages": []}, (400, "messages", None)),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_what_cannot_be_written_is_refused_before_a_stream_begins(
    client: TestClient, path: str, changed: dict[str, Any], expected: tuple[int, Any, Any], stream: bool
) -> None:
    least = CHAT if "chat" in path else HELLO

    assert error(client.post(path, json={**least, **changed, "stream": stream})) == expected


def test_too_many_texts_at_once_are_refused_for_a_moment(model: TextModel) -> None:
    response = opened(LocalAnswers(model, at_once=0)).post("/v1/completions", json=HELLO)

    assert error(response) == (429, None, "rate_limit_exceeded")
    assert response.json()["error"]["type"] == "rate_limit_error"
    assert response.headers["retry-after"] == "1"


def test_paths_and_methods_that_there_are_none_of_are_errors_in_the_same_shape(client: TestClient) -> None:
    assert error(client.get("/v1/embeddings")) == (404, None, None)
    assert error(client.get("/v1/completions")) == (405, None, None)
    assert client.get("/v1/completions").headers["allow"] == "POST"
    assert error(client.post("/status")) == (405, None, None)


def test_a_stranger_is_refused_in_the_same_shape(answers: LocalAnswers) -> None:
    client = opened(answers, token="0123456789abcdef")

    assert error(client.get("/v1/models")) == (401, None, "invalid_api_key")
    assert error(client.get("/status", headers={"Host": "evil.example"})) == (421, None, None)
    assert error(client.get("/status", headers={"Origin": "http://evil.example"})) == (403, None, None)
    assert client.get("/status", headers={"Authorization": "Bearer 0123456789abcdef"}).status_code == 200


def test_a_body_beyond_its_limit_is_refused_in_the_same_shape(client: TestClient) -> None:
    assert error(client.post("/v1/completions", content=b" " * ((4 << 20) + 1))) == (413, None, "request_too_large")


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(["/v1/completions", "/v1/chat/completions"]), st.binary(max_size=40))
def test_garbage_never_ends_in_a_failure(path: str, data: bytes) -> None:
    status, _, _ = error(opened(LocalAnswers(None)).post(path, content=data))

    assert 400 <= status < 500


def test_who_leaves_ends_its_text(answers: LocalAnswers) -> None:
    body = json.dumps({**HELLO, "max_tokens": 50_000}).encode()

    unheard = ask(application(answers, GATE), {"parts": [body], "leaves_after": 0}, method="POST", path="/v1/completions")

    assert (unheard.messages, answers.writing) == ([], [])


def test_who_leaves_a_stream_ends_its_text(answers: LocalAnswers) -> None:
    body = json.dumps({**HELLO, "max_tokens": 50_000, "stream": True}).encode()

    heard = ask(application(answers, GATE), {"parts": [body], "leaves_after": 4}, method="POST", path="/v1/completions")

    assert (heard.status, answers.writing) == (200, [])
    assert 4 <= len(heard.messages) < 50


@pytest.mark.parametrize("messages", [1, 2, 3])
def test_who_leaves_within_a_chunk_ends_its_text_at_once(answers: LocalAnswers, messages: int) -> None:
    body = json.dumps({**CHAT, "max_tokens": 50_000, "stream": True}).encode()

    async def leave_and_look() -> list[LocalText]:
        leaving = Client([body], leaves_after=messages, stalls=True)
        await application(answers, GATE)(scope(method="POST", path="/v1/chat/completions"), leaving.receive, leaving.send)
        return list(answers.writing)  # before the event loop closes what was forgotten

    assert asyncio.run(leave_and_look()) == []


class Breaking(LocalText):
    """A text that breaks at its third token."""

    error: Exception

    async def __anext__(self) -> str:
        self.tokens += 1
        if self.tokens == 3:
            raise self.error
        return await super().__anext__()


@pytest.mark.parametrize(
    ("broken", "message", "expected"),
    [
        (BadModel("the logits are no numbers"), "the logits are no numbers", (500, None, "bad_model")),
        (Closing("the agent ends"), "the agent ends", (503, None, "closing")),
        (RuntimeError("a secret"), "the agent failed at this request: its log says how", (500, None, None)),
    ],
)
def test_what_breaks_within_a_stream_is_said_in_the_stream(
    model: TextModel, broken: Exception, message: str, expected: tuple[int, Any, Any]
) -> None:
    answers = LocalAnswers(model)
    answers.kind = type("Broken", (Breaking,), {"error": broken})
    client = opened(answers)

    *_, last, end = client.post("/v1/completions", json={**HELLO, "stream": True}).text.split("\n\n")

    assert json.loads(last.removeprefix("data: "))["error"]["message"] == message
    assert (end, answers.writing) == ("", [])
    assert error(client.post("/v1/completions", json=HELLO)) == expected


class FailingAnswers(LocalAnswers):
    def peers(self) -> Any:
        raise RuntimeError("a secret")


def test_a_failure_is_an_error_without_details(model: TextModel) -> None:
    response = opened(FailingAnswers(model)).get("/peers")

    assert error(response) == (500, None, None)
    assert "secret" not in response.text


def test_status_and_peers_are_what_the_agent_says(client: TestClient) -> None:
    assert client.get("/status").json()["serving"]["prefix"] == MODEL
    assert client.get("/peers").json()["peers"][0]["peer"] == PEER


def test_metrics_count_requests_tokens_and_times(client: TestClient) -> None:
    client.post("/v1/completions", json=HELLO)
    client.post("/v1/completions", json={**HELLO, "stream": True})
    client.get("/anything/a/client/says")
    client.get("/status", headers={"Host": "evil.example"})

    response = client.get("/metrics")

    found = {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(response.text)
        for sample in family.samples
    }
    assert found["petals_http_requests_total", "/v1/completions", "200"] == 2
    assert found["petals_http_requests_total", "other", "404"] == 1
    assert found["petals_http_requests_total", "other", "421"] == 1
    assert found[("petals_time_to_first_token_seconds_count",)] == found[("petals_time_per_token_seconds_count",)] == 2
    assert [found["petals_tokens_total", route] for route in ("swarm", "local", "mixed")] == [0, 40, 0]
    assert found[("petals_fallbacks_total",)] == 2
    assert found[("petals_generations_total",)] == 3
    assert found[("petals_generations_in_progress",)] == 0


def test_two_apis_count_apart(answers: LocalAnswers) -> None:
    opened(answers).get("/status")

    assert "/status" not in opened(answers).get("/metrics").text


def test_a_client_that_left_is_counted_as_one(answers: LocalAnswers) -> None:
    app = application(answers, GATE)
    body = json.dumps({**HELLO, "max_tokens": 50_000}).encode()

    async def leave_and_look() -> bytes:
        leaving, looking = Client([body], leaves_after=0), Client()
        await app(scope(method="POST", path="/v1/completions"), leaving.receive, leaving.send)
        await app(scope(path="/metrics"), looking.receive, looking.send)
        return looking.reply.body

    assert b'petals_http_requests_total{path="/v1/completions",status="499"} 1.0' in asyncio.run(leave_and_look())
