"""A small world behind Remote Control, without an engine that draws it, and how a client asks for what is in it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from agents.engine.remote.answer import Answer
from agents.engine.remote.context import Context, NoShot
from agents.engine.remote.paths import actor_path
from agents.engine.remote.remote import Remote
from agents.engine.world import Actor, Box, Looks, Optics, Shine, Transform, World
from agents.parts.remote_control import SHAPES

VERSION = "embedded-panda3d 1.10.16"
CUBE = f"{SHAPES}/Cube.Cube"
CHAIR = "/Game/Wondercraft/Chair.Chair"


@dataclass
class Photographer:
    """Writes down which pictures are asked for, and takes none once it is tired."""

    version: str = VERSION
    shots: list[tuple[str | None, int, int, Path]] = field(default_factory=list)
    tired: bool = False

    def shoot(self, camera: str | None, width: int, height: int, file: Path) -> None:
        if self.tired:
            raise NoShot("there are enough")
        self.shots.append((camera, width, height, file))

    def bounds(self, mesh: str) -> Box | None:
        return ((0.0, 0.0, 40.0), (20.0, 30.0, 40.0)) if mesh == CHAIR else None


class Set:
    """A level with a cube, a chair, a camera and a lamp, and what answers for it."""

    def __init__(self, shots: Path = Path("/nowhere")) -> None:
        self.world, self.renderer = World(), Photographer()
        self.remote = Remote(Context(self.world, self.renderer, shots))
        self.cube = self.world.spawn("StaticMeshActor", Transform((100.0, 0.0, 50.0)), Looks(mesh=CUBE), "cube")
        self.chair = self.world.spawn("StaticMeshActor", Transform(), Looks(mesh=CHAIR), "chair")
        self.camera = self.world.spawn("CameraActor", Transform(), Looks(optics=Optics(60.0)), "main")
        self.lamp = self.world.spawn("PointLight", Transform(), Looks(shine=Shine()), "lamp")

    def ask(self, route: str, **body: Any) -> Answer:  # Any: JSON
        """`PUT /remote/…`."""
        return self.remote.dispatch("PUT", f"/remote/{route}", msgspec.json.encode(body))

    def call(self, it: Actor | str, function: str, **parameters: Any) -> Answer:  # as above
        return self.ask("object/call", objectPath=path_of(it), functionName=function, parameters=parameters)

    def read(self, it: Actor | str, name: str) -> Any:  # as above
        told = self.ask("object/property", objectPath=path_of(it), access="READ_ACCESS", propertyName=name)
        return value(told)[name]

    def write(self, it: Actor | str, name: str, told: Any) -> Answer:  # as above
        return self.ask("object/property", objectPath=path_of(it), access="WRITE_ACCESS", propertyName=name, propertyValue={name: told})


def path_of(it: Actor | str) -> str:
    return it if isinstance(it, str) else actor_path(it)


def part_of(actor: Actor, component: str) -> str:
    return f"{actor_path(actor)}.{component}"


def value(answer: Answer) -> Any:  # as above
    """What was answered, where it was not refused."""
    assert answer.code == 200, answer
    return msgspec.json.decode(answer.body)


def refusal(answer: Answer) -> tuple[int, str]:
    """A status and what was wrong, where a request was refused in Unreal's shape."""
    return answer.code, msgspec.json.decode(answer.body)["errorMessage"]
