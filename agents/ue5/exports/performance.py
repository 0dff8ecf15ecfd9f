"""How fast engine and bridge were while the session lasted: metrics.jsonl, performance.json, and the picture of both."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import median

import msgspec
from msgspec import Struct

from agents.ue5.exports.patience import Patience
from agents.ue5.exports.snapshot import MetricsRow, Snapshot

METRICS, SUMMARY, PICTURE = "metrics.jsonl", "performance.json", "performance.png"
EXIT_SECONDS = 5.0
"""For a process that was killed to be gone."""
LOOK_SECONDS = 0.02
"""Between two looks whether the picture is drawn, or its time is up."""
NO_TIME = "there was no time to draw it"


class Line(MetricsRow, frozen=True, kw_only=True):
    """A line of metrics.jsonl: a second, and which engine it was."""

    engine: str


class Spread(Struct, frozen=True, kw_only=True):
    """Of the seconds of which a figure is known."""

    least: float
    median: float
    most: float


class Performance(Struct, frozen=True, kw_only=True):
    """What performance.json says: of so many `seconds`, frames a second, and times in seconds; null: never known.

    `picture` null: there is none, for the `reason`.
    """

    engine: str
    seconds: int
    rate: Spread | None
    frame_time: Spread | None
    round_trip_p50: Spread | None
    round_trip_p99: Spread | None
    picture: str | None
    reason: str | None


def write(snapshot: Snapshot, folder: Path, patience: Patience) -> None:
    """Write the files into a folder. Without time for the picture there is none. Raises OSError."""
    lines = [Line(engine=snapshot.engine, **msgspec.structs.asdict(row)) for row in snapshot.metrics]
    (folder / METRICS).write_bytes(b"".join(msgspec.json.encode(line) + b"\n" for line in lines))
    reason = draw(folder / METRICS, folder / PICTURE, patience) if lines else "nothing has been measured yet"
    summary = msgspec.json.encode(summarise(snapshot.engine, snapshot.metrics, reason))
    (folder / SUMMARY).write_bytes(msgspec.json.format(summary, indent=1))


def summarise(engine: str, rows: Sequence[MetricsRow], reason: str | None) -> Performance:
    """The figures of a session. `reason` says why there is no picture."""
    return Performance(
        engine=engine,
        seconds=len(rows),
        rate=_spread(row.rate for row in rows),
        frame_time=_spread(row.frame_time for row in rows),
        round_trip_p50=_spread(row.round_trip_p50 for row in rows),
        round_trip_p99=_spread(row.round_trip_p99 for row in rows),
        picture=PICTURE if reason is None else None,
        reason=reason,
    )


def draw(metrics: Path, picture: Path, patience: Patience) -> str | None:
    """Have the picture drawn (plot.py) in a process of its own, so that no agent waits for matplotlib or dies of it.

    None, or why there is no picture.
    """
    if patience.drawing <= 0:
        return NO_TIME
    command = [sys.executable, "-m", "agents.ue5.exports.plot", str(metrics), str(picture)]
    # Its input is a pipe that says nothing: it ends when we do, even by kill -9.
    with tempfile.TemporaryFile() as output, subprocess.Popen(command, stdin=subprocess.PIPE, stdout=output, stderr=output) as child:
        code = _wait(child, patience)
        if code is None:
            child.kill()
            child.wait(EXIT_SECONDS)
            return f"drawing it took more than {patience.drawing:g} s" if patience.drawing else NO_TIME
        output.seek(0)
        said = output.read().decode(errors="replace").strip()
        return (said.splitlines() or [f"it was not drawn: exit code {code}"])[-1] if code else None


def _wait(child: subprocess.Popen[bytes], patience: Patience) -> int | None:
    """The exit code, None: it takes longer than it may, or than it may by now."""
    began = time.monotonic()
    while (code := child.poll()) is None and time.monotonic() - began < patience.drawing:
        time.sleep(LOOK_SECONDS)
    return code


def _spread(figures: Iterable[float | None]) -> Spread | None:
    known = [figure for figure in figures if figure is not None]
    return Spread(least=min(known), median=median(known), most=max(known)) if known else None
