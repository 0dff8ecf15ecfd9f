"""`bus replay`: publish a recorded stretch again."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time as clock
from collections.abc import Callable, Iterator
from datetime import datetime
from types import FrameType
from typing import Annotated

import typer
from msgspec import Struct

from bus.cli.exits import FAILED, INTERRUPTED, Mistyped
from bus.cli.options import Json
from bus.cli.output import json_text, say, show, warn
from bus.cli.tables import duration, table
from bus.cli.tail import check_duration
from bus.cli.vocabulary import complete_topic, read_patterns
from bus.client import Client, connect
from bus.errors import BusError, BusFull, BusTimeout
from bus.history import since_time
from bus.home import find_home
from bus.log.errors import DamagedSegment
from bus.log.reader import read_folder
from bus.log.records import Entry
from bus.replay import Progress, Selection, Stretch, publish_again, survey
from bus.wire import CONTROL_PREFIXES

FLUSH_TIMEOUT = 30.0
"""Seconds that the last events may take until they are on disk."""
_FASTEST = 1_000_000.0
_SHOWN_EVERY = 0.2  # seconds


class Replayed(Struct, frozen=True, kw_only=True):
    """What was done. `dropped` counts LATEST events that found no room in the socket, `left_out` what could not be published.

    `complete`: the whole stretch was gone through, and what is durable of it is on disk.
    """

    source: str
    epoch: int
    events: int
    topics: dict[str, int]
    dropped: int
    left_out: int
    seconds: float
    complete: bool


def pace(typed: str) -> float:
    """A factor, where `max` is 0. Raises typer.BadParameter."""
    try:
        factor = 0.0 if typed == "max" else float(typed)
    except ValueError:
        factor = float("nan")
    if not 0 <= factor <= _FASTEST:
        raise typer.BadParameter(f"{typed!r}: want a factor, as 1, 10 or 0.5, or max")
    return factor


def replay(
    topic: Annotated[list[str] | None, typer.Option(metavar="TOPIC", autocompletion=complete_topic, help="May be given again.")] = None,
    since: Annotated[str | None, typer.Option(metavar="AGO", help="Recorded since: 30s, 10m, 2h, 1d.")] = None,
    until: Annotated[str | None, typer.Option(metavar="AGO", help="Recorded until then.")] = None,
    run: Annotated[str | None, typer.Option(metavar="RUN", help="Only events of this run.")] = None,
    speed: Annotated[float, typer.Option(metavar="N", parser=pace, help="Times the original pace; max: without pauses.")] = 1.0,
    replays: Annotated[bool, typer.Option("--replays", help="Also what was a replay already.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be published, and publish nothing.")] = False,
    json: Json = False,
) -> None:
    """Publish a recorded stretch again.

    Each event comes from the source replay-<pid>, says that it is a replay, and names the original's id as its cause; data, run and
    time are the original's. Agents ignore it but for handlers that ask for replays. Commands and replies are never published again;
    what agents said of themselves (agent.) only when asked for. Exit code 0: all of it is on disk.

    \b
    bus replay --run run-20261123-215644-ccbae1 --speed 10
    bus replay --topic power.sample --since 10m --speed max
    """
    check_duration(since, "--since")
    check_duration(until, "--until")
    selection = Selection(patterns=_patterns(topic or []), run=run, replays=replays)
    damages: list[DamagedSegment] = []
    stretch = survey(_read(selection, since_time(since) if since else 0, since_time(until) if until else None, damages), selection)
    for damage in damages:
        warn(f"events may be missing here: {damage.path.name} at byte {damage.offset}: {damage.why}")
    if not stretch.events:
        raise BusError("the log has no such event, so nothing is replayed: bus log info lists what there is")
    code = _show_stretch(stretch, json) if dry_run else _publish(stretch, selection, speed, json)
    if code or damages:
        raise typer.Exit(code or FAILED)


def _patterns(typed: list[str]) -> tuple[str, ...]:
    """Raises Mistyped for what is never replayed."""
    patterns, warnings = read_patterns(typed)
    for pattern in patterns:
        if pattern.startswith(CONTROL_PREFIXES):
            raise Mistyped(f"{pattern} is never replayed: agents would act on commands of the past")
    for warning in warnings:
        warn(warning)
    return tuple(patterns)


def _read(selection: Selection, after: int, until: int | None, damages: list[DamagedSegment]) -> Iterator[Entry]:
    return read_folder(find_home().log, topics=selection.patterns, after=after, until=until, on_damage=damages.append)


def _show_stretch(stretch: Stretch, json: bool) -> int:
    if json:
        say(json_text({"events": stretch.events, "first": stretch.first, "last": stretch.last, "topics": stretch.topics}))
    else:
        show(table(("topic", "events"), [(topic, str(count)) for topic, count in stretch.topics.items()], right=("events",)))
        say(_summary(stretch))
    return 0


def _summary(stretch: Stretch) -> str:
    first, last = (f"{datetime.fromtimestamp(time / 1e9):%Y-%m-%d %H:%M:%S}" for time in (stretch.first, stretch.last))
    span = duration((stretch.last - stretch.first) / 1e9)
    return f"{_counted(stretch.events, 'event')} of {_counted(len(stretch.topics), 'topic')}, recorded {first} to {last} ({span})"


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _publish(stretch: Stretch, selection: Selection, speed: float, json: bool) -> int:
    """Replay the stretch and say what came of it. Returns the exit code. Raises NoHub, BusFull, BusTimeout."""
    warn(f"{_summary(stretch)}, {f'at {speed:g} times the original pace' if speed else 'as fast as they are acknowledged'}")
    progress, began = Progress(), clock.monotonic()
    client = connect(f"replay-{os.getpid()}")
    try:
        with _stopped_by_signals(progress):
            entries = _read(selection, stretch.first - 1, stretch.last, [])
            publish_again(entries, selection, client.publisher, speed, progress, _meter(stretch, progress))
            client.flush(FLUSH_TIMEOUT)
    except (BusFull, BusTimeout) as error:
        raise type(error)(f"{progress.published} of {stretch.events} events published, not all of them on disk: {error}") from error
    finally:
        client.abandon()
    result = _result(client, stretch, progress, clock.monotonic() - began)
    _report(result, stretch, json)
    if result.complete:
        return FAILED if result.left_out else 0
    return INTERRUPTED if progress.stopped else FAILED


@contextlib.contextmanager
def _stopped_by_signals(progress: Progress) -> Iterator[None]:
    """SIGINT and SIGTERM end the replay between two events, so that what was published is flushed; a second one ends it at once."""

    def stop(number: int, frame: FrameType | None) -> None:
        if progress.stopped:
            raise KeyboardInterrupt
        progress.stopped = True

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _meter(stretch: Stretch, progress: Progress) -> Callable[[], None]:
    """Shows a person how far it is; called after each event."""
    if not sys.stderr.isatty():
        return lambda: None
    shown = 0.0

    def show_progress() -> None:
        nonlocal shown
        now, last = clock.monotonic(), progress.published == stretch.events
        if last or now - shown >= _SHOWN_EVERY:
            shown = now
            typer.echo(f"\r{progress.published} of {stretch.events} events" + ("\n" if last else ""), err=True, nl=False)

    return show_progress


def _result(client: Client, stretch: Stretch, progress: Progress, seconds: float) -> Replayed:
    return Replayed(
        source=client.source,
        epoch=client.publisher.epoch,
        events=progress.published,
        topics=dict(sorted(progress.topics.items())),
        dropped=client.publisher.dropped,
        left_out=progress.left_out,
        seconds=round(seconds, 3),
        complete=progress.published + progress.left_out >= stretch.events,
    )


def _report(result: Replayed, stretch: Stretch, json: bool) -> None:
    if result.left_out:
        warn(f"{_counted(result.left_out, 'event')} left out: no room in a frame for what a replay adds (64 KiB), or no event map")
    if result.dropped:
        warn(f"{_counted(result.dropped, 'LATEST event')} found no room in the socket: the newest wins there")
    if json:
        say(json_text(result))
        return
    of = "" if result.complete else f"{result.events} of "
    events = _counted(stretch.events if of else result.events, "event")
    say(f"{of}{events} replayed as {result.source} in {result.seconds:.1f} s; all that is durable of it is on disk")
