"""The bridge to an engine that speaks Unreal's Remote Control: Unreal Engine 5, or the embedded one."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from bus.topic import LATEST, ArtifactPath, Command, Nothing, Sha256, Topic
from schemas.scene import Label, Quaternion, Vector

Transport = Literal["websocket", "http"]


class Connected(Struct, frozen=True, kw_only=True):
    """An engine answers. `engine` is what it says of itself (`embedded-panda3d …`, `Unreal Engine 5.6.1-…`), `embedded` whether it is ours.

    `pid` is the process that listens there, where this user may see it.
    """

    engine: str
    embedded: bool
    http: str
    websocket: str | None
    transport: Transport
    pid: int | None = None


class Disconnected(Struct, frozen=True, kw_only=True):
    """The engine answers no more, after `seconds`."""

    engine: str
    reason: str
    seconds: float


class Latency(Struct, frozen=True, kw_only=True):
    """The last second's requests: `requests` were answered, `moves` asked for in them. Times are in seconds, null where there were none.

    `round_trip` is from sending to the answer. Unreal answers in its next frame, after a wait of none to one of them, and `beyond_frame` is
    the round trip without a whole one (never below 0): what bridge and network cost at least. It is null of an embedded engine, which
    answers between its frames. `event` is from a pose's time to the answer to its move, where that was not sent again.
    """

    engine: str
    transport: Transport
    requests: int
    moves: int
    failed: int
    round_trip_p50: float | None = None
    round_trip_p99: float | None = None
    beyond_frame_p50: float | None = None
    beyond_frame_p99: float | None = None
    event_p50: float | None = None
    event_p99: float | None = None


class Applied(Struct, frozen=True, kw_only=True):
    """The engine has carried out what was wanted of these cameras: by label, the time of the newest such event, in ns. Its answer was here
    at `applied`.
    """

    applied: int
    cameras: dict[str, int]


class Load(Struct, frozen=True, kw_only=True):
    """What the engine's process takes: `cpu` of one core (0 to n), `memory` and `video_memory` in bytes. `process` is what it is called.

    `gpu` is the busy share (0 to 1) of the whole device. What cannot be read is null, and `reasons` says why, by name.
    """

    engine: str
    pid: int | None
    process: str | None = None
    cpu: float | None = None
    memory: int | None = None
    gpu: float | None = None
    video_memory: int | None = None
    reasons: dict[str, str] = {}


class Called(Struct, frozen=True, kw_only=True):
    """The bridge asked the engine for something that is no move, and had this answer after `seconds`."""

    engine: str
    verb: str
    url: str
    object: str | None
    what: str | None
    code: int
    seconds: float
    error: str | None = None


class Finding(Struct, frozen=True, kw_only=True):
    """One thing that was looked at. `mend` says what to do where it is not `ok`."""

    name: str
    ok: bool
    detail: str
    mend: str | None = None


class Preflight(Struct, frozen=True, kw_only=True):
    """Whether an engine is ready for the bridge. `address` is where it was looked for."""

    address: str
    engine: str | None
    ok: bool
    findings: list[Finding]


class Exported(Struct, frozen=True, kw_only=True):
    """The scene as files. `files` are relative to `artifacts/`, each announced as `artifact.created`, too."""

    engine: str
    actors: int
    files: list[ArtifactPath]
    reason: str | None = None


class Connect(Struct, frozen=True, kw_only=True):
    """Use the engine at this address (`127.0.0.1:30010`) from now on; null: find one again."""

    address: str | None = None


class Spawn(Struct, frozen=True, kw_only=True):
    """Put an actor into the level: `asset` is a mesh (`/Engine/BasicShapes/Cube.Cube`) or a class (`/Script/Engine.PointLight`)."""

    label: Label
    asset: str = "/Engine/BasicShapes/Cube.Cube"
    position: Vector = (0.0, 0.0, 0.0)
    orientation: Quaternion = (0.0, 0.0, 0.0, 1.0)
    scale: Vector = (1.0, 1.0, 1.0)


class Spawned(Struct, frozen=True, kw_only=True):
    label: str
    path: str


class Remove(Struct, frozen=True, kw_only=True):
    label: Label


class Screenshot(Struct, frozen=True, kw_only=True):
    """A picture of `width` by `height` pixels, from the camera of this label; null: the one that the engine's viewport has."""

    width: Annotated[int, Meta(ge=16, le=7680)] = 1280
    height: Annotated[int, Meta(ge=16, le=4320)] = 720
    camera: Label | None = None


class Shot(Struct, frozen=True, kw_only=True):
    """The picture, in the store."""

    engine: str
    path: ArtifactPath
    hash: Sha256
    width: int
    height: int


class Project(Struct, frozen=True, kw_only=True):
    """The Unreal project was written to this folder, relative to `artifacts/`."""

    folder: ArtifactPath
    files: list[str]


class Status(Struct, frozen=True, kw_only=True):
    """Which engine the bridge uses, and how well. Null: there is none, and `reason` says why."""

    connected: Connected | None = None
    reason: str | None = None
    rate: float | None = None
    actors: int | None = None
    latency: Latency | None = None
    load: Load | None = None
    tracking: dict[str, str] = {}
    """By protocol, where live poses are sent."""
    unknown: dict[str, int] = {}
    """How often labels were moved that the engine has no actor of: those most often, if there are many."""
    not_finite: int = 0
    """Poses with numbers that are none: they go nowhere."""


CONNECTED = Topic("ue5.connected", Connected)
DISCONNECTED = Topic("ue5.disconnected", Disconnected)
LATENCY = Topic("ue5.latency", Latency, rate_hz=1)
APPLIED = Topic("ue5.applied", Applied, delivery=LATEST)
LOAD = Topic("ue5.load", Load)
CALLED = Topic("ue5.called", Called)
PREFLIGHT_DONE = Topic("ue5.preflight", Preflight)
EXPORTED = Topic("ue5.exported", Exported)

CONNECT = Command("ue5.connect", Connect, Status)
STATUS = Command("ue5.status", Nothing, Status)
PREFLIGHT = Command("ue5.preflight", Nothing, Preflight)
SPAWN = Command("ue5.spawn", Spawn, Spawned)
REMOVE = Command("ue5.remove", Remove, Spawned)
SCREENSHOT = Command("ue5.screenshot", Screenshot, Shot)
EXPORT = Command("ue5.export", Nothing, Exported)
PROJECT = Command("ue5.project", Nothing, Project)
