"""OpenAI's own client speaks with the API as with OpenAI's: at a real port, with a real model that this process runs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx2
import openai
import pytest
from answering import MODEL, LocalAnswers, write_model
from conftest import wait_for
from doors import ask_raw, connect, served

from agents.parts.generation.text import TextModel
from agents.parts.http import guard
from agents.parts.http.asgi import App
from agents.parts.http.door import Door
from agents.parts.http.gate import Gate
from agents.petals.api.app import application

TOKEN = "0123456789abcdef"
HELLO: dict[str, Any] = {"model": MODEL, "prompt": "Hello", "temperature": 0, "max_tokens": 20}
CHAT: dict[str, Any] = {
    "model": MODEL,
    "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}],
    "temperature": 0,
    "max_completion_tokens": 20,
}
TOOL = {"type": "function", "function": {"name": "f"}}
ENDLESS = {**HELLO, "max_tokens": 100_000}


@dataclass(frozen=True)
class Api:
    """The API at a port, and what is behind it."""

    door: Door
    answers: LocalAnswers
    client: openai.OpenAI

    def asynchronous(self) -> openai.AsyncOpenAI:
        return openai.AsyncOpenAI(
            base_url=f"{self.door.url}/v1", api_key=TOKEN, max_retries=0, http_client=httpx2.AsyncClient(trust_env=False)
        )

    def get(self, path: str) -> httpx2.Response:
        return httpx2.get(self.door.url + path, headers={"Authorization": f"Bearer {TOKEN}"}, trust_env=False)


@contextmanager
def api_of(answers: LocalAnswers, key: str = TOKEN) -> Iterator[Api]:
    """`key` is what the client shows."""

    def app(gate: Gate) -> App:
        return application(answers, gate)

    with (
        served(app, TOKEN) as door,
        httpx2.Client(trust_env=False) as http,
        openai.OpenAI(base_url=f"{door.url}/v1", api_key=key, max_retries=0, http_client=http) as client,
    ):
        yield Api(door, answers, client)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> TextModel:
    return write_model(tmp_path_factory.mktemp("export") / "export")


@pytest.fixture(scope="module")
def api(model: TextModel) -> Iterator[Api]:
    with api_of(LocalAnswers(model)) as api:
        yield api


def test_the_client_lists_the_model(api: Api) -> None:
    assert [model.id for model in api.client.models.list()] == [MODEL]
    assert api.client.models.retrieve(MODEL).owned_by == "zeropoint"


def test_a_stream_is_the_same_text(api: Api) -> None:
    whole = api.client.completions.create(**HELLO)

    chunks = list(api.client.completions.create(**HELLO, stream=True))

    assert len(whole.choices[0].text) > 0
    assert "".join(chunk.choices[0].text for chunk in chunks) == whole.choices[0].text
    assert len(chunks) > 2
    assert (chunks[-1].choices[0].finish_reason, whole.choices[0].finish_reason) == ("length", "length")
    assert whole.choices[0].model_extra["zeropoint"]["served"] == [{"route": "local", "tokens": 20}]


def test_a_chat_streams_the_same_message(api: Api) -> None:
    message = api.client.chat.completions.create(**CHAT).choices[0].message

    chunks = list(api.client.chat.completions.create(**CHAT, stream=True, stream_options={"include_usage": True}))

    assert (message.role, chunks[0].choices[0].delta.role) == ("assistant", "assistant")
    assert "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices) == message.content
    usage = chunks[-1].usage
    assert usage is not None
    assert (usage.completion_tokens, usage.total_tokens) == (20, usage.prompt_tokens + 20)


def test_a_conversation_goes_on_with_what_was_answered(api: Api) -> None:
    message = api.client.chat.completions.create(**CHAT).choices[0].message
    messages = [*CHAT["messages"], message, {"role": "user", "content": [{"type": "text", "text": "Go on."}]}]

    assert api.client.chat.completions.create(**{**CHAT, "messages": messages}).choices[0].message.role == "assistant"


def test_a_text_ends_before_a_stop(api: Api) -> None:
    text = api.client.completions.create(**HELLO).choices[0].text
    stop = text[5:8]

    for stops in (stop, ["never", stop]):
        whole = api.client.completions.create(**HELLO, stop=stops)
        assert (whole.choices[0].text, whole.choices[0].finish_reason) == (text[: text.index(stop)], "stop")


def test_usage_counts_tokens(api: Api) -> None:
    usage = api.client.completions.create(**{**HELLO, "prompt": [list(b"Hello"), list(b"Hi")]}).usage

    assert usage is not None
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (7, 40, 47)


def test_a_seed_gives_the_same_text_again(api: Api) -> None:
    drawn = [api.client.completions.create(**{**HELLO, "temperature": 1, "seed": seed}).choices[0].text for seed in (1, 1, 2)]

    assert drawn[0] == drawn[1] != drawn[2]


def test_the_asynchronous_client_streams_several_texts_at_once(api: Api) -> None:
    expected = api.client.completions.create(**HELLO).choices[0].text

    async def one(client: openai.AsyncOpenAI) -> str:
        stream = await client.completions.create(**HELLO, stream=True)
        return "".join([chunk.choices[0].text async for chunk in stream])

    async def three() -> list[str]:
        async with api.asynchronous() as client:
            return await asyncio.gather(*(one(client) for _ in range(3)))

    assert asyncio.run(three()) == [expected] * 3


@pytest.mark.parametrize(
    ("kind", "call"),
    [
        (openai.BadRequestError, lambda client: client.completions.create(**HELLO, echo=True)),
        (openai.BadRequestError, lambda client: client.completions.create(**{**HELLO, "max_tokens": -1})),
        (openai.BadRequestError, lambda client: client.completions.create(**{**HELLO, "prompt": [[300]]})),
        (
            openai.BadRequestError,
            lambda client: client.chat.completions.create(**CHAT, tools=[TOOL]),
        ),
        (openai.BadRequestError, lambda client: client.completions.create(**HELLO, extra_body={"top_k": 4}, stream=True)),
        (openai.NotFoundError, lambda client: client.completions.create(**{**HELLO, "model": "gpt-6"})),
        (openai.NotFoundError, lambda client: client.models.retrieve("gpt-6")),
        (openai.NotFoundError, lambda client: client.embeddings.create(model=MODEL, input="a")),
    ],
)
def test_errors_are_the_clients_own(api: Api, kind: type[openai.APIStatusError], call: Callable[[openai.OpenAI], object]) -> None:
    with pytest.raises(kind) as caught:
        call(api.client)
    assert isinstance(caught.value.body, dict)
    assert caught.value.body["message"]
    assert caught.value.type == "invalid_request_error"


def test_a_refused_parameter_is_named(api: Api) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        api.client.chat.completions.create(**CHAT, logprobs=True)
    assert (caught.value.param, caught.value.code) == ("logprobs", "unsupported_parameter")


def test_a_wrong_key_is_an_authentication_error(model: TextModel) -> None:
    with api_of(LocalAnswers(model), key="wrong") as api, pytest.raises(openai.AuthenticationError) as caught:
        api.client.completions.create(**HELLO)
    assert caught.value.response.headers["www-authenticate"] == "Bearer"


def test_one_text_too_many_is_a_rate_limit_error(model: TextModel) -> None:
    with (
        api_of(LocalAnswers(model, at_once=1)) as api,
        api.client.completions.create(**ENDLESS, stream=True) as stream,
        pytest.raises(openai.RateLimitError) as caught,
    ):
        next(iter(stream))
        api.client.completions.create(**HELLO)
    assert caught.value.response.headers["retry-after"] == "1"


def test_a_client_that_asks_again_gets_its_turn(model: TextModel) -> None:
    with api_of(LocalAnswers(model, at_once=1)) as api:
        stream = api.client.completions.create(**ENDLESS, stream=True)
        patient = api.client.with_options(max_retries=20)
        next(iter(stream))
        stream.close()

        assert patient.completions.create(**HELLO).choices[0].text


def test_no_model_yet_is_the_servers_error(model: TextModel) -> None:
    with api_of(LocalAnswers(None)) as api, pytest.raises(openai.InternalServerError, match="wait for an export") as caught:
        api.client.completions.create(**HELLO)
    assert caught.value.status_code == 503


def test_a_stream_that_is_closed_ends_its_text(api: Api) -> None:
    with api.client.completions.create(**ENDLESS, stream=True) as stream:
        next(iter(stream))
        assert len(api.answers.writing) == 1

    wait_for(lambda: api.answers.writing == [], "the text to end")


def test_a_stream_whose_reader_is_cancelled_ends_its_text(api: Api) -> None:
    async def read(first: asyncio.Event) -> None:
        async with api.asynchronous() as client:
            async for _ in await client.completions.create(**ENDLESS, stream=True):
                first.set()

    async def cancel_after_the_first_chunk() -> None:
        first = asyncio.Event()
        reading = asyncio.create_task(read(first))
        await asyncio.wait_for(first.wait(), 10)
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)

    asyncio.run(cancel_after_the_first_chunk())
    wait_for(lambda: api.answers.writing == [], "the text to end")


def test_a_client_that_hangs_up_before_its_answer_ends_its_text(api: Api) -> None:
    with connect(api.door) as connection:
        connection.sendall(raw(api.door, json.dumps(ENDLESS).encode()))
        wait_for(lambda: len(api.answers.writing) == 1, "the text to begin")

    wait_for(lambda: api.answers.writing == [], "the text to end")


def test_a_door_that_closes_ends_its_texts(model: TextModel) -> None:
    answers = LocalAnswers(model)
    with api_of(answers) as api:
        stream = api.client.completions.create(**ENDLESS, stream=True)
        next(iter(stream))
        assert len(answers.writing) == 1

    assert answers.writing == []


def raw(door: Door, body: bytes, *lines: str, host: str | None = None) -> bytes:
    """Bytes of a request for a completion."""
    head = [
        "POST /v1/completions HTTP/1.1",
        f"Host: {host or door.gate.authority}",
        "Connection: close",
        f"Authorization: Bearer {TOKEN}",
        *(lines or (f"Content-Length: {len(body)}",)),
        "",
        "",
    ]
    return "\r\n".join(head).encode() + body


@pytest.mark.parametrize(
    ("status", "lines", "host"),
    [
        (421, (), "evil.example"),
        (421, (), "127.0.0.1:1"),
        (403, ("Origin: http://evil.example",), None),
        (403, ("Origin: null",), None),
        (403, ("Sec-Fetch-Site: cross-site",), None),
        (413, ("Content-Length: 5000000",), None),
        (400, ("Content-Length: 0",), None),
    ],
)
def test_abuse_is_refused_in_openais_shape(
    api: Api, status: int, lines: tuple[str, ...], host: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "LINGER_SECONDS", 0.1)
    head, _, body = ask_raw(api.door, raw(api.door, b"", *lines, host=host)).partition(b"\r\n\r\n")

    assert int(head.split()[1]) == status
    assert json.loads(body)["error"]["type"] == "invalid_request_error"


def test_what_it_did_is_measured(api: Api) -> None:
    api.client.completions.create(**HELLO)

    response = api.get("/metrics")

    assert response.headers["content-type"].startswith("text/plain; version=")
    assert 'petals_http_requests_total{path="/v1/completions",status="200"}' in response.text
    assert api.get("/status").json()["swarm"] == "none"
