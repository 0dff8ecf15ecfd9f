"""What the page and this agent say to each other over one WebSocket. `codec.py` has the bytes; docs/xr-wire.md describes them.

Times of the page are milliseconds of its own clock, `performance.now()`; times of this machine are ns since the Unix epoch.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from agents.parts.frames import Quaternion, Vector
from bus.topic import Name
from schemas.xr import Button, Device, Joint, Mode, Tracking

Told = Annotated[str, Meta(max_length=200)]
"""Something a browser says of itself."""


class Sample(Struct, frozen=True, kw_only=True):
    """One device in a frame of the headset. A device that a frame does not have is not tracked."""

    device: Device
    tracking: Tracking
    position: Vector
    orientation: Quaternion
    linear_velocity: Vector | None = None
    angular_velocity: Vector | None = None
    joints: tuple[Joint, ...] = ()
    buttons: tuple[Button, ...] = ()
    axes: tuple[float, ...] = ()


class Frame(Struct, frozen=True, kw_only=True):
    """A frame of the headset, as it was at `sampled`; it was sent at `sent`. `sequence` rises by one with each, over reconnects too."""

    sequence: int
    sampled: float
    sent: float
    samples: tuple[Sample, ...]


class Ping(Struct, frozen=True, kw_only=True):
    """The page asks for the time, at its own `asked`."""

    number: int
    asked: float


class Pong(Struct, frozen=True, kw_only=True):
    """The answer: when the ping was here, and when this goes."""

    number: int
    asked: float
    received: int
    sent: int


class Echo(Struct, frozen=True, kw_only=True):
    """What the page says back: the four times of a round trip."""

    number: int
    asked: float
    received: int
    sent: int
    answered: float


class Shown(Struct, frozen=True, kw_only=True):
    """The overlay's page has shown a picture: `sequence` is that of its `xr.overlay` event."""

    sequence: int
    shown: float


class Hello(Struct, frozen=True, kw_only=True, tag="hello", forbid_unknown_fields=True):
    """The first message of a page: `page` is a random name that it keeps over reconnects, until it is loaded anew."""

    page: Name
    kind: Literal["poses", "overlay"]
    user_agent: Annotated[str, Meta(max_length=500)]


class Begin(Struct, frozen=True, kw_only=True, tag="begin", forbid_unknown_fields=True):
    """A session of WebXR has begun, or goes on after a reconnect. `native` is false where a script stands in for the browser's WebXR."""

    session: Name
    mode: Mode
    native: bool
    space: Told
    rate: Annotated[float, Meta(gt=0, le=1000)] | None = None
    profiles: Annotated[list[Told], Meta(max_length=16)] = []


class End(Struct, frozen=True, kw_only=True, tag="end", forbid_unknown_fields=True):
    """It has ended, by the user's will or the browser's."""

    session: Name
    reason: Told


class Rest(Struct, frozen=True, kw_only=True, tag="rest", forbid_unknown_fields=True):
    """The headset is not worn, asleep, or shows something else (`visibilityState`): nothing is tracked until a frame comes."""

    session: Name
    visibility: Told


Binary = Frame | Ping | Echo | Shown
Text = Hello | Begin | End | Rest
Message = Binary | Text
