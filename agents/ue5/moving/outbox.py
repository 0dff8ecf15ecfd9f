"""The outbox: what the bus wants of actors, cameras and lights, the newest of it by label, and when it may go to the engine.

Nothing here waits or sends. A pose that was overtaken is never sent; what was seen is kept, so that an engine that comes back, or an actor
that comes late, is put where it belongs.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from agents.parts import frames
from agents.parts.remote_control import BATCH_LIMIT
from agents.ue5.level.roster import Known
from agents.ue5.remote import requests
from agents.ue5.remote.requests import Ask
from agents.ue5.remote.wire import Answer
from schemas.scene import CameraPose, Light, Placed, Quaternion, Vector

MOST_SEEN = 20_000
"""Labels of which the newest is kept; beyond them, the one that was quiet longest is forgotten."""
MOST_UNKNOWN = 1000
"""Labels without an actor that are counted; more are put in their places all the same when their actors come."""
ASKS_PER_WISH = 4
IN_FLIGHT = 2
"""Batches without an answer at most: one in the engine, and one on its way."""


class Wish(Struct, frozen=True):
    """What is wanted of one label, in the frame of the bus; None: as it is.

    `time` is that of the newest event, in ns; None: it is sent again, and its answer says nothing of how long that event took. `camera`:
    that event was a camera's pose.
    """

    time: int | None
    position: Vector | None = None
    orientation: Quaternion | None = None
    scale: Vector | None = None
    field_of_view: float | None = None
    intensity: float | None = None
    colour: Vector | None = None
    camera: bool = False

    @property
    def moves(self) -> bool:
        return self.position is not None or self.orientation is not None

    @property
    def finite(self) -> bool:
        """Whether all numbers are numbers: JSON has no others."""
        vectors = (self.position, self.orientation, self.scale, self.colour, (self.field_of_view or 0.0, self.intensity or 0.0))
        return all(math.isfinite(sum(each)) for each in vectors if each is not None)


class Batch(Struct, frozen=True):
    """What goes to the engine as one request: `wishes` by label, and what they are made of; `owners` says of each of `asks` whose it is."""

    asks: list[Ask]
    owners: list[str]
    wishes: dict[str, Wish]

    @property
    def moves(self) -> int:
        """Its transforms."""
        return sum(wish.moves for wish in self.wishes.values())

    @property
    def times(self) -> set[int]:
        """Those of the events that it answers."""
        return {wish.time for wish in self.wishes.values() if wish.time is not None}

    @property
    def cameras(self) -> dict[str, int]:
        """The times of its cameras' poses, by label."""
        return {label: wish.time for label, wish in self.wishes.items() if wish.camera and wish.time is not None}

    def refused(self, said: Sequence[Answer]) -> set[str]:
        """The labels of which not all was done, by the answers to `asks`."""
        return {owner for owner, answer in zip(self.owners, said, strict=True) if answer.code != 200}

    def add(self, label: str, wish: Wish, asks: Sequence[Ask]) -> None:
        self.wishes[label] = wish
        self.asks.extend(asks)
        self.owners.extend([label] * len(asks))


def placed(wanted: Placed, time: int) -> Wish:
    return Wish(time, wanted.position, wanted.orientation, wanted.scale)


def filmed(wanted: CameraPose, time: int) -> Wish:
    return Wish(time, wanted.position, wanted.orientation, field_of_view=wanted.field_of_view, camera=True)


def lit(wanted: Light, time: int) -> Wish:
    return Wish(time, wanted.position, wanted.orientation, intensity=wanted.intensity, colour=wanted.colour)


class Outbox:
    """The newest wishes. `pending` are those that the engine has not been sent, `unknown` counts those of labels that it does not have."""

    def __init__(self) -> None:
        self.pending: dict[str, Wish] = {}
        self.unknown: Counter[str] = Counter()
        self.not_finite = 0
        self._seen: dict[str, Wish] = {}
        self._unmet: set[str] = set()
        self._strangers: list[str] = []

    def put(self, label: str, wish: Wish) -> None:
        """Want something of a label from now on. What is not finite is counted, and not passed on."""
        if not wish.finite:
            self.not_finite += 1
            return
        self.pending[label] = merged(self.pending.get(label), wish)
        self._seen[label] = merged(self._seen.pop(label, None), wish)
        if len(self._seen) > MOST_SEEN:
            self._forget(next(iter(self._seen)))

    def take(self, known: Mapping[str, Known]) -> Batch:
        """What is pending, as much as one batch takes. Its actors are known to be there from now on."""
        batch = Batch([], [], {})
        for label in list(self.pending):
            if len(batch.asks) > BATCH_LIMIT - ASKS_PER_WISH:
                break
            wish, actor = self.pending.pop(label), known.get(label)
            if actor is None:
                self._miss(label)
            else:
                batch.add(label, wish, asks_of(actor, wish))
        return batch

    def send_again(self) -> None:
        """Want again all that was seen: the engine, or its level, is another."""
        self.pending.clear()
        self.take_back(self._seen)

    def take_back(self, labels: Iterable[str]) -> None:
        """Want of these again what was wanted last: nobody knows whether it was done."""
        for label in labels:
            if label in self._seen:
                newer = self.pending.get(label)
                self.pending[label] = replace(self._seen[label], time=None if newer is None else newer.time)

    def refused(self, labels: Iterable[str]) -> None:
        """Of these not all was done: they are sent again once the level was read again."""
        self._unmet |= self._seen.keys() & set(labels)

    def strangers(self) -> list[str]:
        """The labels that were missed for the first time since this was last asked."""
        new, self._strangers = self._strangers, []
        return new

    def welcome(self, known: Mapping[str, Known]) -> None:
        """Labels that were missed or refused, and that the engine has now, are put where they were wanted."""
        met = self._unmet & known.keys()
        self._unmet -= met
        for label in met:
            self.unknown.pop(label, None)
        self.take_back(met)

    def _miss(self, label: str) -> None:
        self.refused([label])
        if label in self.unknown or len(self.unknown) < MOST_UNKNOWN:
            if label not in self.unknown:
                self._strangers.append(label)
            self.unknown[label] += 1

    def _forget(self, label: str) -> None:
        del self._seen[label]
        self._unmet.discard(label)
        self.unknown.pop(label, None)
        self.pending.pop(label, None)


class Pace:
    """When a batch may go: at once if none is out, else at the next tick, and never while `IN_FLIGHT` of them have no answer.

    An engine that answers once a frame so gets at most two batches a frame, not one for each event.
    """

    def __init__(self, hz: float) -> None:
        self.period = 1 / hz
        self.out = 0
        self._last = -math.inf

    def wait(self, now: float) -> float | None:
        """Seconds until a batch may go, None: when one was answered."""
        if self.out == 0:
            return 0.0
        if self.out >= IN_FLIGHT:
            return None
        return max(self._last + self.period - now, 0.0)

    def sent(self, now: float) -> None:
        self.out += 1
        self._last = now

    def answered(self) -> None:
        """By an answer, or by none that will come."""
        self.out -= 1


def merged(old: Wish | None, new: Wish) -> Wish:
    """All that was wanted, the newer where both want something."""
    if old is None:
        return new
    return Wish(
        new.time,
        old.position if new.position is None else new.position,
        old.orientation if new.orientation is None else new.orientation,
        old.scale if new.scale is None else new.scale,
        old.field_of_view if new.field_of_view is None else new.field_of_view,
        old.intensity if new.intensity is None else new.intensity,
        old.colour if new.colour is None else new.colour,
        new.camera,
    )


def asks_of(actor: Known, wish: Wish) -> list[Ask]:
    """The requests that a wish is made of. What it leaves open of a transform is as the actor has it."""
    asks = []
    if wish.moves:
        actor.place(wish.position or actor.position, wish.orientation or actor.orientation, wish.scale or actor.scale)
        asks.append(_transform(actor))
    if wish.field_of_view is not None:
        actor.field_of_view = wish.field_of_view
        asks.append(requests.set_field_of_view(actor.path, math.degrees(wish.field_of_view)))
    if wish.intensity is not None:
        asks.append(requests.set_intensity(actor.path, wish.intensity))
    if wish.colour is not None:
        asks.append(requests.set_colour(actor.path, wish.colour))
    return asks


def _transform(actor: Known) -> Ask:
    return requests.set_transform(
        actor.path,
        frames.to_unreal(actor.position),
        frames.rotation_to_unreal(actor.orientation),
        frames.scale_to_unreal(actor.scale),
    )
