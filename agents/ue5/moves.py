"""The outbox: what the bus wants of actors, cameras and lights, the newest of it by label, and when it may go to the engine.

Nothing here waits or sends. A pose that was overtaken is never sent; what was seen is kept, so that an engine that comes back, or an actor
that comes late, is put where it belongs.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping

from msgspec import Struct

from agents.parts import frames
from agents.parts.remote_control import BATCH_LIMIT
from agents.ue5.remote import requests
from agents.ue5.remote.requests import Ask
from agents.ue5.roster import Known
from schemas.scene import CameraPose, Light, Placed, Quaternion, Vector

MOST_SEEN = 20_000
"""Labels of which the newest is kept; beyond them, the one that was quiet longest is forgotten."""
MOST_UNKNOWN = 1000
"""Labels without an actor that are told apart."""
ASKS_PER_WISH = 4
IN_FLIGHT = 4
"""Batches without an answer at most."""


class Wish(Struct, frozen=True):
    """What is wanted of one label, in the frame of the bus; None: as it is. `time` is that of the newest event, in ns."""

    time: int
    position: Vector | None = None
    orientation: Quaternion | None = None
    scale: Vector | None = None
    field_of_view: float | None = None
    intensity: float | None = None
    colour: Vector | None = None

    @property
    def moves(self) -> bool:
        return self.position is not None or self.orientation is not None

    @property
    def finite(self) -> bool:
        """Whether all numbers are numbers: JSON has no others."""
        vectors = (self.position, self.orientation, self.scale, self.colour, (self.field_of_view or 0.0, self.intensity or 0.0))
        return all(math.isfinite(sum(each)) for each in vectors if each is not None)


class Batch(Struct, frozen=True):
    """What goes to the engine as one request. `moves` counts its transforms, `times` are those of the events that it answers."""

    asks: list[Ask]
    moves: int
    times: set[int]


def placed(wanted: Placed, time: int) -> Wish:
    return Wish(time, wanted.position, wanted.orientation, wanted.scale)


def filmed(wanted: CameraPose, time: int) -> Wish:
    return Wish(time, wanted.position, wanted.orientation, field_of_view=wanted.field_of_view)


def lit(wanted: Light, time: int) -> Wish:
    return Wish(time, wanted.position, wanted.orientation, intensity=wanted.intensity, colour=wanted.colour)


class Outbox:
    """The newest wishes. `pending` are those that the engine has not been sent, `unknown` counts those of labels that it does not have."""

    def __init__(self) -> None:
        self.pending: dict[str, Wish] = {}
        self.unknown: Counter[str] = Counter()
        self.not_finite = 0
        self._seen: dict[str, Wish] = {}
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
        asks: list[Ask] = []
        times: set[int] = set()
        moves = 0
        for label in list(self.pending):
            if len(asks) > BATCH_LIMIT - ASKS_PER_WISH:
                break
            wish, actor = self.pending.pop(label), known.get(label)
            if actor is None:
                self._miss(label)
                continue
            asks += asks_of(actor, wish)
            times.add(wish.time)
            moves += wish.moves
        return Batch(asks, moves, times)

    def send_again(self) -> None:
        """Want again all that was seen: the engine, or its level, is another."""
        self.pending = dict(self._seen)

    def strangers(self) -> list[str]:
        """The labels that were missed for the first time since this was last asked."""
        new, self._strangers = self._strangers, []
        return new

    def welcome(self, known: Mapping[str, Known]) -> None:
        """Labels that were missed, and that the engine has now, are where they were wanted."""
        for label in [each for each in self.unknown if each in known]:
            del self.unknown[label]
            if label in self._seen:
                self.pending[label] = self._seen[label]

    def _miss(self, label: str) -> None:
        if label in self.unknown or len(self.unknown) < MOST_UNKNOWN:
            if label not in self.unknown:
                self._strangers.append(label)
            self.unknown[label] += 1

    def _forget(self, label: str) -> None:
        del self._seen[label]
        self.pending.pop(label, None)


class Pace:
    """When a batch may go: at once if none is out, else at the next tick, and never while `IN_FLIGHT` of them have no answer.

    An engine that answers once a frame so gets one batch a frame, not one for each event.
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
    )


def asks_of(actor: Known, wish: Wish) -> list[Ask]:
    """The requests that a wish is made of. What it leaves open of a transform is as the actor has it."""
    asks = []
    if wish.moves:
        actor.position = wish.position or actor.position
        actor.orientation = wish.orientation or actor.orientation
        actor.scale = wish.scale or actor.scale
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
