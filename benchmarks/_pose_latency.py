"""How late a headset's poses are on the bus and in the engine, alone and beside the trainer, in an appliance."""

from __future__ import annotations

import time
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from agents.parts.percentile import percentile
from benchmarks._appliance import Running
from benchmarks._bridge_frames import trainer
from benchmarks._headset import Headset, headset
from benchmarks._results import Figures
from bus.event import Event
from bus.topic import Topic
from schemas import scene, ue5, xr

PORTS = {
    "engine": {"BUS_ENGINE_HTTP_PORT": "0", "BUS_ENGINE_WEBSOCKET_PORT": "0"},
    "ue5": {},
    "xr": {"BUS_XR_PORT": "0"},
}
TOPICS: tuple[Topic[Any], ...] = (xr.HEAD, scene.CAMERA_POSE, ue5.APPLIED)  # Any: each has a struct of its own
FOLLOWED = 60.0
"""Seconds until the engine has carried out the first pose: it is started, read, and its drivers compile."""
PAGE_TO_BUS, TO_ENGINE, CLOCK = "page to bus", "bus to engine", "error of the page's clock"
ALONE, BESIDE = "alone", "beside the trainer"
_MS = 1e6


class NotFollowed(Exception):
    """The engine's camera did not follow the head."""


@dataclass(slots=True)
class Turn:
    """One turn's times in ns: `published` by sequence of the page, `wished` of the overlay's camera, and `applied` by what was wished.

    `stated` is how far off the time of each pose may be in seconds, and `sent` when it was sent by what the agent knows.
    """

    published: dict[int, int] = field(default_factory=dict)
    sent: dict[int, int] = field(default_factory=dict)
    stated: dict[int, float] = field(default_factory=dict)
    wished: list[int] = field(default_factory=list)
    applied: dict[int, int] = field(default_factory=dict)


@contextmanager
def followed(running: Running) -> Iterator[Headset]:
    """Engine, bridge and pose streamer, and a headset that the engine's camera follows. Raises ChildFailed, BusError, NotFollowed."""
    with ExitStack() as stack:
        for name, settings in PORTS.items():
            stack.callback(running.start(name, **settings).end)
        page = running.client.call(xr.STATUS, timeout=20).page
        if page is None:
            raise NotFollowed("the agent of poses serves no page: bus call xr.status")
        worn = stack.enter_context(headset(page))
        if next(running.client.events(ue5.APPLIED, timeout=FOLLOWED), None) is None:
            raise NotFollowed(f"the engine carried out no pose in {FOLLOWED:g} s: bus call ue5.status")
        yield worn


def rows(running: Running, seconds: float) -> list[Figures]:
    """A row for each figure, first alone, then beside the trainer. Raises ChildFailed, BusError, NotFollowed."""
    with followed(running) as worn:
        found = _rows(ALONE, worn, _watched(running, seconds))
        with trainer(running):
            return found + _rows(BESIDE, worn, _watched(running, seconds))


def _watched(running: Running, seconds: float) -> Turn:
    turn, end = Turn(), time.monotonic() + seconds
    for event in running.client.events(*TOPICS, timeout=5.0):
        _note(turn, event)
        if time.monotonic() > end:
            break
    return turn


def _note(turn: Turn, event: Event[Any]) -> None:  # Any: of each topic its own struct
    match event.data:
        case xr.Pose(sequence=sequence, published=published, sent=int(sent), uncertainty=float(uncertainty)):
            turn.published[sequence], turn.sent[sequence], turn.stated[sequence] = published, sent, uncertainty
        case scene.CameraPose(camera=xr.OVERLAY):
            turn.wished.append(event.time)
        case ue5.Applied(applied=applied, cameras=cameras) if xr.OVERLAY in cameras:
            turn.applied.setdefault(cameras[xr.OVERLAY], applied)


def _rows(load: str, worn: Headset, turn: Turn) -> list[Figures]:
    known = {sequence: worn.sent[sequence] for sequence in turn.published if sequence in worn.sent}
    clock = [abs(turn.sent[sequence] - sent) for sequence, sent in known.items()]
    stated = [turn.stated[sequence] * 1e9 for sequence in known]
    return [
        _row(PAGE_TO_BUS, load, [turn.published[sequence] - sent for sequence, sent in known.items()], None),
        _row(TO_ENGINE, load, _to_engine(turn), None),
        _row(CLOCK, load, clock, max(stated) / _MS),
    ]


def _to_engine(turn: Turn) -> list[int]:
    """From when a pose was published to when the engine's answer was here; of poses that were overtaken nothing is known."""
    published = sorted(turn.published.values())
    starts = {wished: bisect_right(published, wished) - 1 for wished in turn.wished}
    return [turn.applied[wished] - published[number] for wished, number in starts.items() if wished in turn.applied and number >= 0]


def _row(what: str, load: str, nanoseconds: Sequence[int], stated: float | None) -> Figures:
    ordered = sorted(each / _MS for each in nanoseconds)
    shares = {f"p{share * 100:g}, ms": percentile(ordered, share) for share in (0.5, 0.95, 0.99)}
    return {"what": what, "load": load, "poses": len(ordered), **shares, "stated at most, ms": stated}
