"""`bus log`: the recorded log, read from its files; neither hub nor recorder need to run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Group

from bus.cli.exits import FAILED
from bus.cli.options import Json
from bus.cli.output import json_text, say, show, warn
from bus.cli.tables import size, table
from bus.cli.tail import Reader, check_duration, is_wanted, printer
from bus.cli.vocabulary import complete_topic, read_patterns
from bus.client import connect
from bus.errors import BusError
from bus.history import since_time
from bus.home import Home, find_home
from bus.lock import is_held
from bus.log.errors import DamagedSegment
from bus.log.info import SegmentInfo, inspect
from bus.log.reader import read_folder
from bus.log.records import Entry
from schemas import system

PROJECT_TIMEOUT = 600.0
"""Seconds that the recorder may take to read a whole log again."""

log = typer.Typer(rich_markup_mode=None, help="Read the recorded log.")


@log.command()
def ls(json: Json = False) -> None:
    """List the log's segments.

    \b
    bus log ls
    """
    segments = inspect(find_home().log)
    if json:
        for segment in segments:
            say(json_text({**_row(segment), "streams": len(segment.streams)}))
        return
    rows = [
        (segment.path.name, segment.state, size(segment.bytes), str(sum(segment.messages.values())), *_span([segment]), segment.problem)
        for segment in segments
    ]
    show(table(("segment", "state", "size", "events", "first", "last", "problem"), rows, right=("size", "events")))


@log.command()
def info(json: Json = False) -> None:
    """Say what the log holds: events by topic, time span, size, and what is damaged.

    \b
    bus log info
    """
    home = find_home()
    segments = inspect(home.log)
    counts = sum((Counter(segment.messages) for segment in segments), Counter[str]())
    if json:
        say(json_text({"folder": str(home.log), "segments": [_row(segment) for segment in segments], "topics": dict(counts)}))
        return
    first, last = _span(segments)
    totals = [
        ("folder", str(home.log)),
        ("segments", str(len(segments))),
        ("size", size(sum(segment.bytes for segment in segments))),
        ("events", str(counts.total())),
        ("first", first),
        ("last", last),
        *(("problem", f"{segment.path.name}: {segment.problem}") for segment in segments if segment.problem),
    ]
    topics = table(("topic", "events"), [(topic, str(count)) for topic, count in _without_inboxes(counts)], right=("events",))
    show(Group(table(("log", ""), totals), topics))


@log.command()
def cat(
    topic: Annotated[list[str] | None, typer.Option(metavar="TOPIC", autocompletion=complete_topic, help="May be given again.")] = None,
    since: Annotated[str | None, typer.Option(metavar="AGO", help="Recorded since: 30s, 10m, 2h, 1d.")] = None,
    until: Annotated[str | None, typer.Option(metavar="AGO", help="Recorded until then.")] = None,
    json: Json = False,
) -> None:
    """Print recorded events as `bus tail` does.

    Without a topic: every fact but heartbeats. Where the log is damaged it says so, goes on behind it, and exits with 1.

    \b
    bus log cat --topic train.step --since 1h --json
    bus log cat --since 2h --until 1h
    """
    check_duration(since, "--since")
    check_duration(until, "--until")
    patterns, warnings = read_patterns(topic or [])
    for warning in warnings:
        warn(warning)
    show_event, reader, damages = printer(json), Reader(), Damages()
    entries = damages.pass_over(find_home().log, patterns, since_time(since) if since else 0, since_time(until) if until else None)
    for entry in entries:
        if is_wanted(entry.topic, patterns):
            for event in reader.read(entry.topic, entry.data):
                show_event(event)
    if damages.count:
        raise typer.Exit(FAILED)


@log.command()
def project(run: Annotated[str | None, typer.Argument(metavar="RUN", help="A run; without it, every run.")] = None) -> None:
    """Make the plain files of a run (JSON, CSV, JSONL under artifacts/) again from the log.

    \b
    bus log project
    bus log project 20260727-101500-tiny
    """
    home = find_home()
    folders = _by_recorder(run) if is_held(home.lock("recorder")) else _from_files(home, run)
    if not folders:
        warn("the log has no run, so there is nothing to write")
    for folder in folders:
        say(folder)


class Damages:
    """Reads a log past its damaged places, and counts them."""

    def __init__(self) -> None:
        self.count = 0

    def pass_over(self, folder: Path, topics: list[str], after: int, until: int | None) -> Iterator[Entry]:
        """As read_folder; what may be missing is said."""
        cursor: int | None = after
        while cursor is not None:
            try:
                yield from read_folder(folder, topics=topics, after=cursor, until=until)
                return
            except DamagedSegment as error:
                self.count += 1
                warn(f"events may be missing here: {error.path.name} at byte {error.offset}: {error.why}")
                cursor = error.resume_after if error.resume_after is not None and error.resume_after > cursor else None


def _by_recorder(run: str | None) -> list[str]:
    """The recorder writes the newest run's files: while it lives, it alone touches them."""
    with connect() as client:
        return client.call(system.PROJECT, system.Project(run=run), timeout=PROJECT_TIMEOUT).folders


def _from_files(home: Home, run: str | None) -> list[str]:
    from agents.recorder.projections import project as write_files

    try:
        return [str(folder.relative_to(home.artifacts)) for folder in write_files(home.artifacts, run)]
    except LookupError as error:
        raise BusError(str(error)) from error


def _without_inboxes(counts: Counter[str]) -> list[tuple[str, int]]:
    """Counts by topic; the inboxes, one for each client that ever called, as one."""
    totals: Counter[str] = Counter()
    for topic, count in counts.items():
        totals["reply." if topic.startswith("reply.") else topic] += count
    return sorted(totals.items())


def _row(segment: SegmentInfo) -> dict[str, object]:
    return {
        "segment": segment.path.name, "state": segment.state, "bytes": segment.bytes, "events": sum(segment.messages.values()),
        "first": segment.first, "last": segment.last, "ended": segment.ended, "problem": segment.problem,
    }  # fmt: skip


def _span(segments: list[SegmentInfo]) -> tuple[str, str]:
    """When the first and the last event were recorded, local time."""
    filled = [segment for segment in segments if segment.first]
    if not filled:
        return "", ""
    first, last = min(segment.first for segment in filled), max(segment.last for segment in filled)
    return f"{datetime.fromtimestamp(first / 1e9):%Y-%m-%d %H:%M:%S}", f"{datetime.fromtimestamp(last / 1e9):%Y-%m-%d %H:%M:%S}"
