"""Poses of a headset, or of another tracker behind the same topics, and the overlay of the scene on a camera's pictures.

Everything is in the frame of the bus, which is WebXR's: metres, right-handed, Y up, devices look along -Z. Angles are radians. A pose's
event has as its `time` when the device was there, by this machine's clock; the stamps in its data are by that clock too, in ns.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from bus.topic import LATEST, ArtifactPath, Command, Name, Nothing, Topic
from schemas.scene import Quaternion, Vector

Device = Literal["head", "hand.left", "hand.right", "controller.left", "controller.right"]
"""What is tracked: the last words of its pose's topic."""
Origin = Literal["webxr", "opentrackio", "trajectory"]
Kind = Literal["real", "simulated", "recorded"]
Tracking = Literal["tracked", "emulated"]
"""`emulated`: the orientation is tracked, the position is made up from it (WebXR's `emulatedPosition`)."""
Mode = Literal["inline", "immersive-vr", "immersive-ar"]

CAMERA, OVERLAY = "xr-camera", "xr-overlay"
"""Labels of the engine's two cameras: the stand-in for a camera that is not there, and the one whose picture is laid over the camera's."""


class Pose(Struct, frozen=True, kw_only=True):
    """Where a device was. `sequence` counts its source's frames; velocities are in metres and radians a second, null: not known yet.

    `uncertainty` is of the event's time, in seconds; null: nothing is known of it. Stamps: `sent` by the source (null: it does not say),
    `received` here, `published`.
    """

    origin: Origin
    kind: Kind
    sequence: int
    position: Vector
    orientation: Quaternion
    tracking: Tracking
    linear_velocity: Vector | None = None
    angular_velocity: Vector | None = None
    uncertainty: float | None = None
    sent: int | None = None
    received: int
    published: int


class Joint(Struct, frozen=True, kw_only=True):
    """A joint of a hand, and the radius there in metres."""

    position: Vector
    orientation: Quaternion
    radius: float


class Hand(Pose, frozen=True, kw_only=True):
    """A hand: its pose is the wrist's, `joints` are the 25 of WebXR's Hand Input, in its order, the wrist first."""

    joints: Annotated[list[Joint], Meta(max_length=25)]


class Button(Struct, frozen=True, kw_only=True):
    pressed: bool
    touched: bool
    value: float


class Controller(Pose, frozen=True, kw_only=True):
    """A controller: its pose is the grip's; buttons and axes are those of the WebXR Gamepads Module."""

    buttons: Annotated[list[Button], Meta(max_length=32)]
    axes: Annotated[list[float], Meta(max_length=16)]


class Started(Struct, frozen=True, kw_only=True):
    """Somebody sends poses from now on. `session` names it; `description` is what the source says of itself. `rate` is what it promises."""

    session: Name
    origin: Origin
    kind: Kind
    description: str
    mode: Mode | None = None
    rate: float | None = None


class Ended(Struct, frozen=True, kw_only=True):
    """`frames` were taken, `late` came out of order or twice and were not, in `seconds`."""

    session: Name
    reason: str
    frames: int
    late: int
    seconds: float


class Lost(Struct, frozen=True, kw_only=True):
    """Nothing is known of where a device is. The last pose that was known is `seconds` old (null: there was none)."""

    device: Device
    reason: str
    seconds: float | None


class Found(Struct, frozen=True, kw_only=True):
    """A device is tracked, after it was not for `seconds` (null: for the first time)."""

    device: Device
    seconds: float | None


StageName = Literal["sent", "received", "published", "applied", "drawn", "composed", "shown"]
"""A pose's way from where it was sampled: what happens to it, in this order. A stage that a source does not stamp is left out."""


class Stage(Struct, frozen=True, kw_only=True):
    """How long it took from the stage before, in seconds, `count` times."""

    stage: StageName
    count: int
    p50: float
    p95: float
    p99: float


class Span(Struct, frozen=True, kw_only=True):
    """Percentiles of a duration in seconds, of `count` of them."""

    count: int
    p50: float
    p95: float
    p99: float


class Clock(Struct, frozen=True, kw_only=True):
    """A page's clock against this machine's: `offset` in seconds, `drift` in seconds a second, how far off at most, from `rounds` trips.

    `delay` is the shortest round trip, in seconds.
    """

    offset: float
    drift: float
    uncertainty: float
    delay: float
    rounds: int


class Latency(Struct, frozen=True, kw_only=True):
    """The last seconds of a head's poses. `page_to_bus` is from sent to published, `motion_to_photon` from sampled to shown, as far as
    software sees it; null: nothing was shown. Poses for the overlay are predicted by `horizon` seconds.
    """

    origin: Origin
    stages: list[Stage]
    horizon: float
    page_to_bus: Span | None = None
    motion_to_photon: Span | None = None
    clock: Clock | None = None


class Recorded(Struct, frozen=True, kw_only=True):
    """A recording of a device's poses is over: `path` is a TUM trajectory below `artifacts/`, `plot` a picture of it."""

    device: Device
    poses: int
    seconds: float
    path: ArtifactPath | None = None
    plot: ArtifactPath | None = None
    reason: str | None = None


class Overlaid(Struct, frozen=True, kw_only=True):
    """A camera's picture with the scene over it: the event's one attachment, a JPEG.

    `sampled` is when the pose was taken that the scene was drawn by, `drawn` when the engine drew it, `composed` when this was ready.
    `error` is how far the corners of the board's drawn twin lie from those in the camera's picture, RMS over `corners` of them in pixels;
    null: not measured in this picture, or not both were seen.
    """

    sequence: int
    camera: str
    kind: Kind
    alpha: float
    width: int
    height: int
    sampled: int | None
    drawn: int
    composed: int
    error: float | None = None
    corners: int = 0
    attachments: tuple[str, ...] = ("image/jpeg",)


class Pair(Struct, frozen=True, kw_only=True):
    """Let one more browser in. `forget`: and no longer those that were paired before."""

    forget: bool = False


class Pairing(Struct, frozen=True, kw_only=True):
    """Open `url` in the headset's browser, once, before `expires` (ns). `fingerprint` is the SHA-256 that the browser shows of the
    certificate. `qr` is the URL as a QR code, line by line.
    """

    url: str
    expires: int
    fingerprint: str
    qr: list[str]


class Recentred(Struct, frozen=True, kw_only=True):
    """The head is at x = z = 0 and looks along -Z: what was at `position`, turned by `yaw` about Y, was moved there."""

    position: Vector
    yaw: float


class Record(Struct, frozen=True, kw_only=True):
    """Write a device's poses for so long."""

    device: Device = "head"
    seconds: Annotated[float, Meta(gt=0, le=3600)] = 10.0


class Recording(Struct, frozen=True, kw_only=True):
    device: Device
    seconds: float


class Replay(Struct, frozen=True, kw_only=True):
    """Play a trajectory as a device: `desk`, which comes with the agent, or a file in the format of TUM or EuRoC. Null: end the one that
    plays.

    `axes`: `bus`; `optical`, a world with Z up and a camera that looks along Z with Y down, as TUM's; `body`, a world with Z up and a body
    with X forward and Z up; null: what the file says, else what its format means. With `start` it is moved and turned about Y so that its
    first pose is there, and looks along -Z.
    """

    trajectory: Annotated[str, Meta(min_length=1, max_length=4096)] | None
    device: Device = "head"
    axes: Literal["bus", "optical", "body"] | None = None
    start: Vector | None = None
    speed: Annotated[float, Meta(ge=0.1, le=10)] = 1.0
    rate: Annotated[float, Meta(ge=1, le=200)] = 90.0
    loop: bool = False


class Replaying(Struct, frozen=True, kw_only=True):
    """What plays; null: nothing."""

    trajectory: str | None
    kind: Kind | None = None
    poses: int = 0
    seconds: float = 0.0


class SetOverlay(Struct, frozen=True, kw_only=True):
    """Lay the scene over a camera's picture. `device`: camera number of this machine; null: the engine's stand-in, `xr-camera`. `alpha` is
    how much the scene covers where it is, from 0 to 1. The camera is moved as `tracker` is. `rate`
    is in pictures a second; null: 30 while a page shows them, else 2, which cost little. What is not said is as by default.
    """

    on: bool = True
    device: Annotated[int, Meta(ge=0, le=63)] | None = None
    alpha: Annotated[float, Meta(ge=0, le=1)] = 0.6
    tracker: Device = "head"
    rate: Annotated[float, Meta(ge=1, le=90)] | None = None


class OverlayState(Struct, frozen=True, kw_only=True):
    """`url` is the page that shows it. `error` is of the newest picture that was measured, in pixels. `reason`: why there is no picture.

    `device`, `alpha` and `tracker` are as ordered, `calibration` is the file of the one that is used; null: the camera has none.
    """

    on: bool
    url: str | None
    device: int | None
    alpha: float
    tracker: Device
    calibration: ArtifactPath | None
    camera: str | None = None
    kind: Kind | None = None
    rate: float | None = None
    error: float | None = None
    reason: str | None = None


class Status(Struct, frozen=True, kw_only=True):
    """Where the page is, who sends poses, and how late they are. `lan` is null unless the setting opens it."""

    page: str | None
    lan: str | None
    fingerprint: str | None
    sessions: list[Started]
    tracked: dict[str, float]
    """Devices that are tracked, and the poses of each in the last second."""
    latency: Latency | None
    overlay: OverlayState
    opentrackio: str | None
    refused: dict[str, int]
    """How often messages were not taken, by reason."""


HEAD = Topic("xr.pose.head", Pose, delivery=LATEST)
HAND_LEFT = Topic("xr.pose.hand.left", Hand, delivery=LATEST)
HAND_RIGHT = Topic("xr.pose.hand.right", Hand, delivery=LATEST)
CONTROLLER_LEFT = Topic("xr.pose.controller.left", Controller, delivery=LATEST)
CONTROLLER_RIGHT = Topic("xr.pose.controller.right", Controller, delivery=LATEST)
STARTED = Topic("xr.session.started", Started)
ENDED = Topic("xr.session.ended", Ended)
LOST = Topic("xr.tracking.lost", Lost)
FOUND = Topic("xr.tracking.found", Found)
LATENCY = Topic("xr.latency", Latency)
RECORDED = Topic("xr.recorded", Recorded)
OVERLAID = Topic("xr.overlay", Overlaid, delivery=LATEST)

STATUS = Command("xr.status", Nothing, Status)
PAIR = Command("xr.pair", Pair, Pairing)
RECENTER = Command("xr.recenter", Nothing, Recentred)
RECORD = Command("xr.record", Record, Recording)
REPLAY = Command("xr.replay", Replay, Replaying)
OVERLAY_SET = Command("xr.overlay", SetOverlay, OverlayState)
