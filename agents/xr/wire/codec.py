"""The bytes that page and agent send each other: docs/xr-wire.md has the layout, page/layout.js is its other side.

Sizes and numbers are checked before anything is made of them, and every byte has its place: what is left over is an error.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import msgspec

from agents.parts.frames import Quaternion, Vector, is_unit
from agents.xr.wire.messages import Binary, Echo, Frame, Ping, Pong, Sample, Shown, Text
from schemas.xr import Button, Device, Joint

VERSION = 1
DEVICES: tuple[Device, ...] = ("head", "hand.left", "hand.right", "controller.left", "controller.right")
"""By their numbers in a frame."""
JOINTS, BUTTONS, AXES = 25, 32, 16
"""Of a hand exactly; of a controller at most."""
TEXT_BYTES = 4096
"""Of a message in JSON, at most."""

_FRAME, _PING, _PONG, _ECHO, _SHOWN = range(1, 6)
_EMULATED, _LINEAR, _ANGULAR, _JOINTED = (1 << bit for bit in range(4))
_ALL_FLAGS = _EMULATED | _LINEAR | _ANGULAR | _JOINTED
_PRESSED, _TOUCHED = 1, 2
_REACH = 1000.0
"""No number of a frame is larger: metres, metres and radians a second."""
_PAGE_MS = 1e12
"""A page's clock begins when it is loaded, and does not show thirty years."""

_HEAD = struct.Struct("<BB")
_FRAME_HEAD = struct.Struct("<BBBBIdd")
_TIMED = struct.Struct("<BBHId")
_TRIP = struct.Struct("<BBHIdqq")
_ECHOED = struct.Struct("<BBHIdqqd")
_SAMPLE_HEAD = struct.Struct("<BBBB")
_BUTTON = struct.Struct("<Bf")
_FLOATS = {count: struct.Struct(f"<{count}f") for count in (*range(AXES + 1), 8 * JOINTS)}

FRAME_BYTES = (
    _FRAME_HEAD.size
    + len(DEVICES) * (_SAMPLE_HEAD.size + 4 * (3 + 4 + 3 + 3))
    + 2 * _FLOATS[8 * JOINTS].size
    + 2 * (BUTTONS * _BUTTON.size + 4 * AXES)
)
"""Of a frame that has everything."""

_texts: msgspec.json.Decoder[Text] = msgspec.json.Decoder(Text)


class BadMessage(ValueError):
    """What a page sent is none of its messages; the message says where it is wrong."""


def decode(data: bytes) -> Binary:
    """A binary message of a page. Raises BadMessage."""
    if not _HEAD.size <= len(data) <= FRAME_BYTES:
        raise BadMessage(f"{len(data)} bytes: a message has {_HEAD.size} to {FRAME_BYTES}")
    kind, version = _HEAD.unpack_from(data)
    if version != VERSION:
        raise BadMessage(f"version {version} of the layout: this is version {VERSION}, so load the page anew")
    if kind not in _KINDS:
        raise BadMessage(f"a message of kind {kind}: a page sends {', '.join(map(str, _KINDS))}")
    return _KINDS[kind](data)


def decode_text(text: str) -> Text:
    """A message of a page in JSON. Raises BadMessage."""
    size = len(text.encode(errors="surrogatepass"))
    if size > TEXT_BYTES:
        raise BadMessage(f"{size} bytes: a message in JSON has {TEXT_BYTES} at most")
    try:
        return _texts.decode(text)
    except msgspec.ValidationError as error:
        raise BadMessage(f"none of the messages in JSON: {str(error)[:200]}") from None
    except (ValueError, RecursionError) as error:  # msgspec's errors are the former; the latter is of JSON that is nested too deeply
        raise BadMessage(f"no JSON: {str(error)[:200]}") from None


def encode_pong(pong: Pong) -> bytes:
    """The answer to a ping."""
    return _TRIP.pack(_PONG, VERSION, 0, pong.number, pong.asked, pong.received, pong.sent)


class _Reader:
    """Takes a message apart from its beginning to its end."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def take(self, layout: struct.Struct) -> tuple[Any, ...]:  # Any: what the layout says
        """The next part. Raises BadMessage where the message ends before."""
        begin, self._at = self._at, self._at + layout.size
        if self._at > len(self._data):
            raise BadMessage(f"{len(self._data)} bytes: by what they say there are {self._at} or more")
        return layout.unpack_from(self._data, begin)

    def numbers(self, count: int) -> tuple[float, ...]:
        """The next numbers of 32 bits. Raises BadMessage for one that is none, or is out of reach."""
        taken = self.take(_FLOATS[count])
        for number in taken:
            if not -_REACH <= number <= _REACH:  # so is NaN
                raise BadMessage(f"{number}: numbers lie between {-_REACH:g} and {_REACH:g}")
        return taken

    def finish(self) -> None:
        """Raises BadMessage where something is left."""
        if self._at != len(self._data):
            raise BadMessage(f"{len(self._data)} bytes: the message ends after {self._at}")


def _read_frame(data: bytes) -> Frame:
    reader = _Reader(data)
    _, _, count, spare, sequence, sampled, sent = reader.take(_FRAME_HEAD)
    _check_spare(spare)
    if count > len(DEVICES):
        raise BadMessage(f"{count} devices in a frame: there are {len(DEVICES)}")
    samples = tuple(_read_sample(reader) for _ in range(count))
    reader.finish()
    if len({sample.device for sample in samples}) < count:
        raise BadMessage(f"a device is twice in a frame: {', '.join(sample.device for sample in samples)}")
    return Frame(sequence=sequence, sampled=_page_time(sampled), sent=_page_time(sent), samples=samples)


def _read_sample(reader: _Reader) -> Sample:
    number, flags, buttons, axes = reader.take(_SAMPLE_HEAD)
    device = _device(number)
    _check_parts(device, flags, buttons, axes)
    x, y, z = reader.numbers(3)
    return Sample(
        device=device,
        tracking="emulated" if flags & _EMULATED else "tracked",
        position=(x, y, z),
        orientation=_turn(reader.numbers(4)),
        linear_velocity=_velocity(reader) if flags & _LINEAR else None,
        angular_velocity=_velocity(reader) if flags & _ANGULAR else None,
        joints=_joints(reader.numbers(8 * JOINTS)) if flags & _JOINTED else (),
        buttons=tuple(_button(reader) for _ in range(buttons)),
        axes=reader.numbers(axes),
    )


def _device(number: int) -> Device:
    if number >= len(DEVICES):
        raise BadMessage(f"device {number}: they are 0 to {len(DEVICES) - 1}")
    return DEVICES[number]


def _check_parts(device: Device, flags: int, buttons: int, axes: int) -> None:
    """Raises BadMessage for parts that there are none of, or that a device of its kind does not have."""
    if flags > _ALL_FLAGS:
        raise BadMessage(f"flags {flags:#x} of {device}: none is above {_ALL_FLAGS:#x}")
    if flags & _JOINTED and not device.startswith("hand."):
        raise BadMessage(f"joints of {device}: only hands have some")
    if (buttons or axes) and not device.startswith("controller."):
        raise BadMessage(f"buttons or axes of {device}: only controllers have some")
    if buttons > BUTTONS or axes > AXES:
        raise BadMessage(f"{buttons} buttons and {axes} axes of {device}: {BUTTONS} and {AXES} at most")


def _turn(numbers: tuple[float, ...]) -> Quaternion:
    x, y, z, w = numbers
    if not is_unit((x, y, z, w)):
        raise BadMessage(f"an orientation {numbers}: its length is not one")
    return (x, y, z, w)


def _velocity(reader: _Reader) -> Vector:
    x, y, z = reader.numbers(3)
    return (x, y, z)


def _joints(numbers: tuple[float, ...]) -> tuple[Joint, ...]:
    """Eight numbers each: position, orientation, radius."""
    return tuple(_joint(numbers[begin : begin + 8]) for begin in range(0, len(numbers), 8))


def _joint(numbers: tuple[float, ...]) -> Joint:
    x, y, z = numbers[:3]
    if numbers[7] < 0:
        raise BadMessage(f"a joint's radius of {numbers[7]} m")
    return Joint(position=(x, y, z), orientation=_turn(numbers[3:7]), radius=numbers[7])


def _button(reader: _Reader) -> Button:
    flags, value = reader.take(_BUTTON)
    if flags > _PRESSED | _TOUCHED or not 0 <= value <= 1:
        raise BadMessage(f"a button with flags {flags:#x} and value {value}: flags are 0 to 3, values 0 to 1")
    return Button(pressed=bool(flags & _PRESSED), touched=bool(flags & _TOUCHED), value=value)


def _read_ping(data: bytes) -> Ping:
    number, asked = _whole(_TIMED, data)
    return Ping(number=number, asked=_page_time(asked))


def _read_shown(data: bytes) -> Shown:
    sequence, shown = _whole(_TIMED, data)
    return Shown(sequence=sequence, shown=_page_time(shown))


def _read_echo(data: bytes) -> Echo:
    number, asked, received, sent, answered = _whole(_ECHOED, data)
    if received < 0 or sent < 0:
        raise BadMessage(f"an echo of times before 1970: {received} ns, {sent} ns")
    return Echo(number=number, asked=_page_time(asked), received=received, sent=sent, answered=_page_time(answered))


def _whole(layout: struct.Struct, data: bytes) -> tuple[Any, ...]:  # Any: what the layout says
    """What follows the head of a message that has one size. Raises BadMessage where it has another."""
    reader = _Reader(data)
    _, _, spare, *values = reader.take(layout)
    reader.finish()
    _check_spare(spare)
    return tuple(values)


def _check_spare(spare: int) -> None:
    if spare:
        raise BadMessage(f"{spare:#x} where a message is zero")


def _page_time(milliseconds: float) -> float:
    if not 0 <= milliseconds <= _PAGE_MS:  # so is NaN
        raise BadMessage(f"a page's time of {milliseconds} ms: its clock begins at 0, and is not for decades")
    return milliseconds


_KINDS: dict[int, Callable[[bytes], Binary]] = {_FRAME: _read_frame, _PING: _read_ping, _ECHO: _read_echo, _SHOWN: _read_shown}
