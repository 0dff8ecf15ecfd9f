"""The page's side of the binary layout, written by docs/xr-wire.md alone, and messages of every kind that a page may send."""

from __future__ import annotations

import struct

from hypothesis import strategies as st

from agents.xr.wire.messages import Binary, Echo, Frame, Ping, Pong, Sample, Shown
from schemas.xr import Button, Device, Joint

DEVICES: tuple[Device, ...] = ("head", "hand.left", "hand.right", "controller.left", "controller.right")
LARGEST_FRAME = 2352


def encode(message: Binary) -> bytes:
    """What a page sends."""
    match message:
        case Ping():
            return struct.pack("<BBHId", 2, 1, 0, message.number, message.asked)
        case Echo():
            times = (message.asked, message.received, message.sent, message.answered)
            return struct.pack("<BBHIdqqd", 4, 1, 0, message.number, *times)
        case Shown():
            return struct.pack("<BBHId", 5, 1, 0, message.sequence, message.shown)
        case Frame():
            head = struct.pack("<BBBBIdd", 1, 1, len(message.samples), 0, message.sequence, message.sampled, message.sent)
            return head + b"".join(map(encode_sample, message.samples))


def encode_sample(sample: Sample) -> bytes:
    present = (sample.tracking == "emulated", sample.linear_velocity, sample.angular_velocity, sample.joints)
    flags = sum(1 << bit for bit, there in enumerate(present) if there)
    numbers = (*sample.position, *sample.orientation, *(sample.linear_velocity or ()), *(sample.angular_velocity or ()))
    return b"".join(
        (
            bytes((DEVICES.index(sample.device), flags, len(sample.buttons), len(sample.axes))),
            _floats(numbers),
            *(_floats((*joint.position, *joint.orientation, joint.radius)) for joint in sample.joints),
            *(struct.pack("<Bf", button.pressed + 2 * button.touched, button.value) for button in sample.buttons),
            _floats(sample.axes),
        )
    )


def decode_pong(data: bytes) -> Pong:
    kind, version, spare, number, asked, received, sent = struct.unpack("<BBHIdqq", data)
    assert (kind, version, spare) == (3, 1, 0)
    return Pong(number=number, asked=asked, received=received, sent=sent)


def _floats(numbers: tuple[float, ...]) -> bytes:
    return struct.pack(f"<{len(numbers)}f", *numbers)


numbers = st.floats(-1000, 1000, width=32)
shares = st.floats(0, 1, width=32)
page_times = st.floats(0, 1e12)
host_times = st.integers(0, 2**63 - 1)
counts = st.integers(0, 2**32 - 1)
vectors = st.tuples(numbers, numbers, numbers)
turns = st.sampled_from(
    [(0.0, 0.0, 0.0, 1.0), (0.5, -0.5, 0.5, -0.5), (0.0, -1.0, 0.0, 0.0), (0.6000000238418579, 0.0, 0.800000011920929, 0.0)]
)
joints = st.builds(Joint, position=vectors, orientation=turns, radius=shares)
buttons = st.builds(Button, pressed=st.booleans(), touched=st.booleans(), value=shares)


def samples(device: Device) -> st.SearchStrategy[Sample]:
    """Any of a device, with what devices of its kind have."""
    held, hand = device.startswith("controller."), device.startswith("hand.")
    return st.builds(
        Sample,
        device=st.just(device),
        tracking=st.sampled_from(["tracked", "emulated"]),
        position=vectors,
        orientation=turns,
        linear_velocity=st.none() | vectors,
        angular_velocity=st.none() | vectors,
        joints=st.just(()) | st.lists(joints, min_size=25, max_size=25).map(tuple) if hand else st.just(()),
        buttons=st.lists(buttons, max_size=32).map(tuple) if held else st.just(()),
        axes=st.lists(numbers, max_size=16).map(tuple) if held else st.just(()),
    )


frames = st.builds(
    Frame,
    sequence=counts,
    sampled=page_times,
    sent=page_times,
    samples=st.lists(st.sampled_from(DEVICES), unique=True).flatmap(lambda devices: st.tuples(*map(samples, devices))),
)
pings = st.builds(Ping, number=counts, asked=page_times)
pongs = st.builds(Pong, number=counts, asked=page_times, received=host_times, sent=host_times)
echoes = st.builds(Echo, number=counts, asked=page_times, received=host_times, sent=host_times, answered=page_times)
pictures_shown = st.builds(Shown, sequence=counts, shown=page_times)
messages = st.one_of(frames, pings, echoes, pictures_shown)
