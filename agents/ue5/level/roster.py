"""What the bridge knows of the engine's level: its actors by label, and as events of the bus."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import msgspec

from agents.parts.frames import Quaternion, Vector
from schemas import scene

PAGE_ACTORS = 100
PAGE_BYTES = 48 << 10
"""Of a page's actors: an event may have 64 KiB."""
_SAME = 1e-5
"""Difference of two numbers of one orientation or scale: an engine keeps 32 bits of them."""
_MADE_UNIQUE = re.compile(r"(?:\d+_)*[0-9A-F]+_DIAU_|(?:\d+_)*")
"""What makes a name unique in its level, `_UAID_…` and numbers, from its end: read backwards, no name takes long."""


@dataclass(slots=True)
class Known:
    """One actor, in the frame of the bus. `centre` and `extent` are the box around it, `field_of_view` is a camera's, in radians."""

    path: str
    label: str
    kind: str
    position: Vector
    orientation: Quaternion
    scale: Vector
    mesh: str | None = None
    field_of_view: float | None = None
    centre: Vector | None = None
    extent: Vector | None = None

    def place(self, position: Vector, orientation: Quaternion, scale: Vector) -> None:
        """Be there from now on. The box around it goes along; of what is turned or scaled, too, nobody knows it."""
        if not (_alike(orientation, self.orientation) and _alike(scale, self.scale)):
            self.centre = self.extent = None
        elif self.centre is not None:
            x, y, z = (middle + new - old for middle, new, old in zip(self.centre, position, self.position, strict=True))
            self.centre = (x, y, z)
        self.position, self.orientation, self.scale = position, orientation, scale

    @property
    def actor(self) -> scene.Actor:
        return scene.Actor(
            label=self.label,
            path=self.path,
            kind=self.kind,
            mesh=self.mesh,
            position=self.position,
            orientation=self.orientation,
            scale=self.scale,
        )


class Roster:
    """The actors of one level. Where two have the same label, the first is meant by it."""

    def __init__(self) -> None:
        self._by_path: dict[str, Known] = {}
        self._by_label: dict[str, Known] = {}
        self._changed = False

    def replace(self, actors: Iterable[Known]) -> None:
        """Know these, and no others."""
        self._by_path, self._by_label, self._changed = {}, {}, True
        for actor in actors:
            self.add(actor)

    def add(self, actor: Known) -> None:
        self._changed = True
        self._by_path[actor.path] = actor
        self._by_label.setdefault(actor.label, actor)

    def remove(self, actor: Known) -> None:
        """Forget it; another of the same label takes its place."""
        self._changed = True
        self._by_path.pop(actor.path, None)
        if self._by_label.get(actor.label) is actor:
            del self._by_label[actor.label]
            for other in self:
                if other.label == actor.label:
                    self._by_label.setdefault(other.label, other)

    def take_change(self) -> bool:
        """Whether actors came, went or were read again since this was last asked."""
        changed, self._changed = self._changed, False
        return changed

    def get(self, label: str) -> Known | None:
        return self._by_label.get(label)

    @property
    def labels(self) -> Mapping[str, Known]:
        """The actors that a label means."""
        return self._by_label

    def __iter__(self) -> Iterator[Known]:
        return iter(self._by_path.values())

    def __len__(self) -> int:
        return len(self._by_path)


def kind_of(path: str) -> str:
    """The class of an actor, as the engine makes names of it: `…:PersistentLevel.PointLight_3` is a PointLight.

    An actor that somebody named otherwise has its name for a class.
    """
    name = path.rpartition(".")[2]
    match = _MADE_UNIQUE.match(name[::-1])
    assert match is not None  # nothing is a match, too
    return name[: len(name) - match.end()] or name


def _alike(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return all(math.isclose(a, b, rel_tol=_SAME, abs_tol=_SAME) for a, b in zip(one, other, strict=True))


def pages(engine: str, actors: list[scene.Actor]) -> list[scene.Actors]:
    """The level as events, each small enough for one; one without actors where there are none."""
    cut = list(_cut(actors)) or [[]]
    return [scene.Actors(engine=engine, count=len(actors), page=number, pages=len(cut), actors=page) for number, page in enumerate(cut)]


def _cut(actors: list[scene.Actor]) -> Iterator[list[scene.Actor]]:
    page: list[scene.Actor] = []
    room = PAGE_BYTES
    for actor in actors:
        size = len(msgspec.msgpack.encode(actor))
        if page and (size > room or len(page) == PAGE_ACTORS):
            yield page
            page, room = [], PAGE_BYTES
        page.append(actor)
        room -= size
    if page:
        yield page
