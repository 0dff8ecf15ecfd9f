"""What a page sends is read as it was meant, and what is none of its messages is refused as that and nothing else."""

from __future__ import annotations

import struct
from contextlib import suppress
from math import inf, nan

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from xr_page import LARGEST_FRAME, decode_pong, encode, messages, pongs

from agents.xr.wire.codec import FRAME_BYTES, BadMessage, decode, decode_text, encode_pong
from agents.xr.wire.messages import Begin, Binary, Echo, End, Frame, Hello, Ping, Pong, Rest, Sample, Text
from schemas.xr import Button, Device, Joint

JOINT = Joint(position=(0.0, 1.0, 0.0), orientation=(0.0, 0.0, 0.0, 1.0), radius=0.01)
BUTTON = Button(pressed=True, touched=True, value=1.0)
HEAD = Sample(device="head", tracking="tracked", position=(0.0, 1.5, 0.0), orientation=(0.0, 0.0, 0.0, 1.0))
HAND = replace(HEAD, device="hand.left", joints=(JOINT,) * 25)
CONTROLLER = replace(HEAD, device="controller.right", buttons=(BUTTON,) * 7, axes=(0.5,) * 4)
HELLO = Hello(page="p", kind="poses", user_agent="a browser")
BEGIN = Begin(session="s", mode="immersive-vr", native=True, space="local-floor", rate=90.0, profiles=["generic"])


def frame(*samples: Sample) -> bytes:
    return encode(Frame(sequence=1, sampled=1.0, sent=2.0, samples=samples))


def changed(data: bytes, at: int, layout: str, value: float) -> bytes:
    """With another value at a place of a frame that has one sample, which begins at 24."""
    written = bytearray(data)
    struct.pack_into(layout, written, at, value)
    return bytes(written)


def full(device: Device) -> Sample:
    """All that a device can have."""
    moving = replace(HEAD, device=device, linear_velocity=(1.0, 0.0, 0.0), angular_velocity=(0.0, 1.0, 0.0))
    if device.startswith("hand."):
        return replace(moving, joints=(JOINT,) * 25)
    return replace(moving, buttons=(BUTTON,) * 32, axes=(1.0,) * 16) if device.startswith("controller.") else moving


@given(messages)
def test_what_a_page_sends_is_read_as_it_was_meant(message: Binary) -> None:
    assert decode(encode(message)) == message


@given(pongs)
def test_an_answer_is_read_as_it_was_meant(pong: Pong) -> None:
    assert decode_pong(encode_pong(pong)) == pong


@pytest.mark.parametrize("text", [HELLO, BEGIN, End(session="s", reason="over"), Rest(session="s", visibility="hidden")])
def test_text_is_read_as_it_was_meant(text: Text) -> None:
    assert decode_text(msgspec.json.encode(text).decode()) == text


def test_a_frame_with_everything_is_the_largest_that_is_read() -> None:
    whole = frame(*map(full, ("head", "hand.left", "hand.right", "controller.left", "controller.right")))

    assert len(whole) == FRAME_BYTES == LARGEST_FRAME
    assert isinstance(decode(whole), Frame)


@settings(max_examples=300)
@given(st.binary(max_size=LARGEST_FRAME + 1) | st.builds(bytes.__add__, st.binary(min_size=1, max_size=1), st.binary().map(b"\1".__add__)))
def test_bytes_that_nobody_meant_are_a_message_or_refused(data: bytes) -> None:
    with suppress(BadMessage):
        decode(data)


@given(messages, st.data())
def test_a_message_with_a_byte_too_few_or_too_many_is_refused(message: Binary, data: st.DataObject) -> None:
    whole = encode(message)
    cut = data.draw(st.integers(0, len(whole) - 1))

    for spoilt in (whole[:cut], whole + b"\0"):
        with pytest.raises(BadMessage):
            decode(spoilt)


@given(messages, st.data())
def test_a_message_with_a_spoilt_byte_is_a_message_or_refused(message: Binary, data: st.DataObject) -> None:
    whole = bytearray(encode(message))
    whole[data.draw(st.integers(0, len(whole) - 1))] ^= data.draw(st.integers(1, 255))

    with suppress(BadMessage):
        decode(bytes(whole))


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "0 bytes"),
        (b"\1", "1 bytes"),
        (bytes(LARGEST_FRAME + 1), "2353 bytes"),
        (b"\1\2" + bytes(22), "version 2"),
        (b"\3\1" + bytes(30), "kind 3"),
        (b"\0\1", "kind 0"),
        (changed(frame(HEAD), 2, "<B", 6), "6 devices"),
        (changed(frame(HEAD), 3, "<B", 1), "0x1 where"),
        (changed(frame(HEAD), 8, "<d", nan), "nan ms"),
        (changed(frame(HEAD), 16, "<d", -1.0), "-1.0 ms"),
        (changed(frame(HEAD), 24, "<B", 5), "device 5"),
        (changed(frame(HEAD), 25, "<B", 16), "flags 0x10"),
        (changed(frame(HEAD), 25, "<B", 8), "joints of head"),
        (changed(frame(HEAD), 26, "<B", 1), "buttons or axes of head"),
        (changed(frame(CONTROLLER), 26, "<B", 33), "33 buttons"),
        (changed(frame(CONTROLLER), 27, "<B", 17), "17 axes"),
        (changed(frame(CONTROLLER), 26, "<B", 8), "by what they say"),
        (changed(frame(HEAD), 28, "<f", nan), "nan: numbers"),
        (changed(frame(HEAD), 28, "<f", inf), "inf: numbers"),
        (changed(frame(HEAD), 28, "<f", -1001.0), r"-1001\.0: numbers"),
        (changed(frame(HEAD), 52, "<f", 1.01), "length is not one"),
        (changed(frame(HEAD), 52, "<f", 0.0), "length is not one"),
        (changed(frame(HAND), 84, "<f", -0.01), "a joint's radius"),
        (changed(frame(HAND), 80, "<f", 0.9), "length is not one"),
        (changed(frame(CONTROLLER), 56, "<B", 4), "a button with flags 0x4"),
        (changed(frame(CONTROLLER), 57, "<f", 1.5), "value 1.5"),
        (changed(frame(CONTROLLER), 57, "<f", nan), "value nan"),
        (frame(HEAD, HEAD), "twice in a frame: head, head"),
        (encode(Ping(number=1, asked=inf)), "inf ms"),
        (changed(encode(Ping(number=1, asked=1.0)), 2, "<H", 256), "0x100 where"),
        (encode(Echo(number=1, asked=1.0, received=-1, sent=1, answered=1.0)), "before 1970"),
    ],
)
def test_a_malformed_message_is_refused_with_what_is_wrong(data: bytes, told: str) -> None:
    with pytest.raises(BadMessage, match=told):
        decode(data)


@given(st.text() | st.text(st.characters(categories=["Cs", "Nd"])))
def test_text_that_nobody_meant_is_refused(text: str) -> None:
    with pytest.raises(BadMessage):
        decode_text(text)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "truncated"),
        ("[" * 4000, "Expected `object`"),
        ('{"type":' * 500, "no JSON"),
        ('"' + "x" * 4095 + '"', "4097 bytes"),
        ('"' + "é" * 2048 + '"', "4098 bytes"),
        ('{"type":"frame"}', "frame"),
        ('{"type":"hello","page":"p","kind":"poses"}', "user_agent"),
        ('{"type":"hello","page":"../p","kind":"poses","user_agent":""}', "page"),
        ('{"type":"hello","page":"p","kind":"films","user_agent":""}', "films"),
        ('{"type":"end","session":"s","reason":"over","extra":1}', "none of the messages in JSON.*extra"),
        ('{"type":"end","session":"s","reason":"%s"}' % ("x" * 201), "reason"),
        ('{"type":"rest","session":"s","visibility":"\\ud800"}', "no JSON"),
        ('{"type":"begin","session":"s","mode":"inline","native":true,"space":"viewer","rate":1e999}', "JSON"),
        ('{"type":"begin","session":"s","mode":"inline","native":true,"space":"viewer","rate":0}', "rate"),
        ('{"type":"begin","session":"s","mode":"inline","native":1,"space":"viewer"}', "native"),
    ],
)
def test_malformed_text_is_refused_with_what_is_wrong(text: str, told: str) -> None:
    with pytest.raises(BadMessage, match=told):
        decode_text(text)
