"""The page's own JavaScript, run by Node.js: what it writes is what the agent reads, and the other way round."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from xr_page import messages, pongs

from agents.xr.wire.codec import decode, encode_pong
from agents.xr.wire.messages import Binary, Echo, Frame, Ping, Pong, Shown

PAGE = Path(__file__).parents[2] / "agents" / "xr" / "page"
SCRIPT = Path(__file__).parents[1] / "judge" / "page.mjs"
TIMEOUT = 60.0
WRITERS = {Frame: "encodeFrame", Ping: "encodePing", Echo: "encodeEcho", Shown: "encodeShown"}
VECTORS = ("position", "orientation", "linear_velocity", "angular_velocity")

Task = tuple[str, Any]  # Any: JSON
Page = Callable[[Sequence[Task]], list[Any]]  # the same


@pytest.fixture(scope="module")
def page() -> Page:
    """What the page's modules make of some tasks. Skips the test where there is no Node.js."""
    if shutil.which("node") is None:
        pytest.skip("node not found: the page's modules run in Node.js")
    return run


def run(tasks: Sequence[Task]) -> list[Any]:
    command = ["node", str(SCRIPT), str(PAGE)]
    asked = "".join(f"{json.dumps(task)}\n" for task in tasks)
    ran = subprocess.run(command, input=asked, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    assert ran.returncode == 0, ran.stderr
    return [json.loads(line) for line in ran.stdout.splitlines()]


def writing(message: Binary) -> Task:
    """Have a message written; host times are text, because JavaScript's JSON knows no whole numbers of 64 bits."""
    told = msgspec.to_builtins(message)
    if isinstance(message, Frame):
        told["samples"] = [spelled(sample) for sample in told["samples"]]
    if isinstance(message, Echo):
        told |= {"received": str(message.received), "sent": str(message.sent)}
    return WRITERS[type(message)], told


def spelled(sample: dict[str, Any]) -> dict[str, Any]:
    """As WebXR names it: vectors have names for their axes."""
    named = {name: axes(sample[name]) for name in VECTORS if sample[name] is not None}
    joints = [{**joint, "position": axes(joint["position"]), "orientation": axes(joint["orientation"])} for joint in sample["joints"]]
    kept = {name: value for name, value in sample.items() if name not in VECTORS}
    return {**kept, "joints": joints} | {camel(name): value for name, value in named.items()}


def axes(vector: Sequence[float]) -> dict[str, float]:
    return dict(zip("xyzw", vector, strict=False))


def camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(other.title() for other in others)


@settings(max_examples=10, deadline=None)
@given(st.lists(messages, min_size=1, max_size=30))
def test_the_agent_reads_what_the_page_writes(page: Page, told: list[Binary]) -> None:
    written = page([writing(message) for message in told])

    assert [decode(bytes.fromhex(data)) for data in written] == told


@settings(max_examples=5, deadline=None)
@given(st.lists(pongs, min_size=1, max_size=30))
def test_the_page_reads_what_the_agent_answers(page: Page, told: list[Pong]) -> None:
    read = page([("decodePong", encode_pong(pong).hex()) for pong in told])

    assert [Pong(**{**each, "received": int(each["received"]), "sent": int(each["sent"])}) for each in read] == told


def test_the_page_takes_nothing_else_for_an_answer(page: Page) -> None:
    pong = encode_pong(Pong(number=1, asked=1.0, received=1, sent=2))

    assert (
        page([("decodePong", data.hex()) for data in (pong[:-1], pong + b"\0", b"\2" + pong[1:], pong[:1] + b"\2" + pong[2:])])
        == [None] * 4
    )


def part(sequence: int, jpeg: bytes) -> bytes:
    return b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\nX-Sequence: %d\r\n\r\n%b\r\n" % (len(jpeg), sequence, jpeg)


@settings(max_examples=10, deadline=None)
@given(st.lists(st.binary(max_size=300), max_size=10), st.integers(1, 200))
def test_pictures_are_taken_out_of_their_stream_however_it_is_cut(page: Page, jpegs: list[bytes], size: int) -> None:
    stream = b"".join(part(number, jpeg) for number, jpeg in enumerate(jpegs))
    chunks = [stream[begin : begin + size].hex() for begin in range(0, len(stream), size)]

    assert page([("pictures", chunks)]) == [[[number, jpeg.hex()] for number, jpeg in enumerate(jpegs)]]


@pytest.mark.parametrize(
    ("stream", "told"),
    [
        (b"--frame\r\nContent-Type: image/jpeg\r\n\r\n", "a picture without content-length"),
        (b"--frame\r\nContent-Length: 5\r\n\r\n", "a picture without x-sequence"),
        (part(1, b"abcde")[:-4], "the stream ended within a picture"),
        (b"--frame\r\nContent-Length: 99999999\r\nX-Sequence: 1\r\n\r\n", "a picture of 99999999 bytes: 16777216 are read at most"),
        (b"x" * 5000, "no headers of a picture in 4096 bytes"),
    ],
)
def test_a_stream_of_something_else_is_an_error_that_says_so(page: Page, stream: bytes, told: str) -> None:
    assert page([("pictures", [stream.hex()])]) == [told]
