"""How fast the embedded engine draws: by renderer, size and bodies, alone and while the trainer trains."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import product

from benchmarks._appliance import Running
from benchmarks._processes import ChildFailed
from benchmarks._results import Figures
from schemas import engine, train

UNBOUNDED_HZ = "1000"
TRAINS = {"BUS_TRAINER_RECIPE": "tiny", "BUS_TRAINER_STEPS": "1000000", "BUS_TRAINER_CHECKPOINT_EVERY": "100000"}
SETTLE = 2
"""Seconds of frames that do not count: bodies fall, drivers compile."""


@dataclass(frozen=True, slots=True)
class Case:
    """An engine to be started."""

    renderer: str
    width: int
    height: int
    bodies: int

    @property
    def settings(self) -> dict[str, str]:
        named = {"renderer": self.renderer, "width": self.width, "height": self.height, "bodies": self.bodies, "hz": UNBOUNDED_HZ}
        ports = {"http_port": 0, "websocket_port": 0}
        return {f"BUS_ENGINE_{name.upper()}": str(value) for name, value in (named | ports).items()}


@dataclass(frozen=True, slots=True)
class Drawn:
    """The seconds of one turn."""

    case: Case
    beside: bool
    frames: list[engine.Frame]


def cases(renderers: Sequence[str], sizes: Sequence[tuple[int, int]], bodies: Sequence[int]) -> list[Case]:
    return [Case(renderer, *size, count) for renderer, size, count in product(renderers, sizes, bodies)]


def draw_in_turns(running: Running, wanted: Sequence[Case], rounds: int, seconds: int) -> list[Drawn]:
    """Each case in each round, first alone, then beside the trainer. Raises ChildFailed, BusError."""
    drawn = []
    for _ in range(rounds):
        for beside in (False, True):
            with trainer(running) if beside else ExitStack():
                drawn += [Drawn(case, beside, frames_of(running, case, seconds)) for case in wanted]
    return drawn


def frames_of(running: Running, case: Case, seconds: int) -> list[engine.Frame]:
    """What an engine of this case says of so many seconds. Raises ChildFailed, BusError."""
    child = running.start("engine", **case.settings)
    try:
        events = running.client.events(engine.FRAME, timeout=20)
        frames = [event.data for _, event in zip(range(SETTLE + seconds), events, strict=False)]
        child.check()
        if len(frames) <= SETTLE:
            raise ChildFailed(f"the engine said {len(frames)} times how fast it draws {case}: want more than {SETTLE}")
        return frames[SETTLE:]
    finally:
        child.end()


@contextmanager
def trainer(running: Running) -> Iterator[None]:
    """The trainer, from its first step on."""
    child = running.start("trainer", **TRAINS)
    try:
        next(iter(running.client.events(train.STEP, timeout=120)))
        yield
    finally:
        child.end()


def rows(drawn: Sequence[Drawn]) -> list[Figures]:
    """A row for each case: medians over all seconds of the rounds, and what the trainer leaves of it."""
    table: list[Figures] = []
    for case in dict.fromkeys(each.case for each in drawn):
        alone, beside = (_rate(drawn, case, with_trainer) for with_trainer in (False, True))
        table.append(
            {
                "renderer": case.renderer,
                "size": f"{case.width}x{case.height}",
                "bodies": case.bodies,
                "frames/s": alone,
                "beside the trainer": beside,
                "ratio": beside / alone,
            }
        )
    return table


def _rate(drawn: Sequence[Drawn], case: Case, beside: bool) -> float:
    return statistics.median(frame.rate for each in drawn if each.case == case and each.beside == beside for frame in each.frames)
