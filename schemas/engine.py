"""The embedded engine: where it answers, how it runs, what its cameras see.

It is never Unreal, and everything that it makes says so by the name that `ENGINE` gives it.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from bus.topic import LATEST, ArtifactPath, Command, Nothing, Sha256, Topic
from schemas.scene import Label, Quaternion, Vector

ENGINE = "embedded-panda3d"

Renderer = Literal["gl", "software"]
"""OpenGL without a screen (`p3headlessgl`), or Panda3D's own rasterizer (`p3tinydisplay`)."""


class Serving(Struct, frozen=True, kw_only=True):
    """Where Remote Control is answered: `http` and `websocket` are its addresses. `version` is Panda3D's, `driver` what draws."""

    engine: str
    version: str
    renderer: Renderer
    driver: str
    http: str
    websocket: str


class Frame(Struct, frozen=True, kw_only=True):
    """The last second: `rate` frames a second, of `frame_time` seconds on average and `frame_time_p99`, of which drawing took `draw_time`.

    `draw_calls` and `bodies` are of the last frame, `awake` those bodies that move. `moves` were asked for.
    """

    engine: str
    scene: str
    count: int
    rate: float
    frame_time: float
    frame_time_p99: float
    draw_time: float
    draw_calls: int
    bodies: int
    awake: int
    actors: int
    moves: int


class Intrinsics(Struct, frozen=True, kw_only=True):
    """A pinhole camera in pixels, as OpenCV has it: the centre of the first pixel is (0, 0)."""

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float


class Picture(Struct, frozen=True, kw_only=True):
    """What a camera saw in frame `frame`, whose actors were put in place at `placed` (ns), and the camera that it was. The picture is the
    event's attachment of the same number: a JPEG, or of a layer a PNG with alpha.
    """

    engine: str
    camera: Label
    frame: int
    position: Vector
    orientation: Quaternion
    intrinsics: Intrinsics
    placed: int | None = None
    layer: bool = False
    attachments: tuple[str, ...] = ("image/jpeg",)


class Seen(Struct, frozen=True, kw_only=True):
    """What somebody wants to see (`scene.view`): pictures of one frame, whose files are the event's attachments, in the same order."""

    pictures: list[Picture]
    attachments: tuple[str, ...]


class Load(Struct, frozen=True, kw_only=True):
    """Show another scene: a .gltf, .glb or .json file of this machine. Null: the one made by code, with `bodies` bodies."""

    path: str | None = None
    bodies: Annotated[int, Meta(ge=0, le=5000)] = 100


class Scene(Struct, frozen=True, kw_only=True):
    """What is shown; a cube in place of each of the `unknown_meshes`, which the engine does not have."""

    scene: str
    actors: int
    bodies: int
    unknown_meshes: list[str] = []


class Step(Struct, frozen=True, kw_only=True):
    """Stop the clock of the physics, and let it go on by so many frames of 1/60 s."""

    frames: Annotated[int, Meta(ge=1, le=100_000)] = 1


class Stepped(Struct, frozen=True, kw_only=True):
    """`time` is the time of the scene in seconds: what physics has computed since it was loaded."""

    frame: int
    time: float


class Record(Struct, frozen=True, kw_only=True):
    """Write what a camera sees for so long, as a video and a file with the camera's pose for each frame of it."""

    camera: Label = "main"
    seconds: Annotated[float, Meta(gt=0, le=600)] = 5.0


class Recording(Struct, frozen=True, kw_only=True):
    """A recording has begun: `artifact.created` says where it lies when it is over."""

    camera: str
    seconds: float


class Recorded(Struct, frozen=True, kw_only=True):
    """A recording is over, or could not be (`reason`)."""

    engine: str
    camera: str
    frames: int
    seconds: float
    video: Sha256 | None = None
    poses: Sha256 | None = None
    path: ArtifactPath | None = None
    reason: str | None = None


class Status(Struct, frozen=True, kw_only=True):
    """How the engine is. `frame` null: it has drawn for less than a second. `note` says why it is not drawn by OpenGL."""

    serving: Serving
    scene: Scene
    paused: bool
    frame: Frame | None = None
    note: str | None = None


SERVING = Topic("engine.serving", Serving)
LOADED = Topic("engine.loaded", Scene)
FRAME = Topic("engine.frame", Frame, rate_hz=1)
PICTURE = Topic("engine.picture", Picture, delivery=LATEST)
SEEN = Topic("engine.seen", Seen, delivery=LATEST)
RECORDED = Topic("engine.recorded", Recorded)

STATUS = Command("engine.status", Nothing, Status)
LOAD = Command("engine.load", Load, Scene)
RESET = Command("engine.reset", Nothing, Scene)
STEP = Command("engine.step", Step, Stepped)
RESUME = Command("engine.resume", Nothing, Stepped)
RECORD = Command("engine.record", Record, Recording)
