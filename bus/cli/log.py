"""`bus log`: the recorded log, read from its files; neither hub nor recorder need to run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Group
from rich.table import Table

from bus.cli.exits import FAILED, Mistyped
from bus.cli.export import with_progress, write_jsonl, write_mcap
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
        (segment.path.name, _state(segment), size(segment.bytes), str(sum(segment.messages.values())), *_span([segment]), segment.problem)
        for segment in segments
    ]
    show(table(("segment", "state", "size", "events", "first", "last", "problem"), rows, right=("size", "events")))


@log.command()
def info(json: Json = False) -> None:
    """Say what the log holds: events recorded by topic, and lost or expired ones, time span, size, and what is damaged.

    \b
    bus log info
    """
    home = find_home()
    segments = inspect(home.log)
    there, recorded = _total(segment.messages for segment in segments), _total(segment.recorded for segment in segments)
    lost, expired = _total(segment.lost for segment in segments), _total(segment.expired for segment in segments)
    if json:
        counts = {"topics": there, "recorded": recorded, "lost": lost, "expired": expired}
        say(json_text({"folder": str(home.log), "segments": [_row(segment) for segment in segments], **counts}))
        return
    first, last = _span(segments)
    totals = [
        ("folder", str(home.log)),
        ("segments", str(len(segments))),
        ("size", size(sum(segment.bytes for segment in segments))),
        ("events", str(there.total())),
        ("first", first),
        ("last", last),
        *(("problem", f"{segment.path.name}: {segment.problem}") for segment in segments if segment.problem),
    ]
    show(Group(table(("log", ""), totals), _by_topic({"recorded": recorded, "lost": lost, "expired": expired})))


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
    show_event, reader, damages = printer(json), Reader(), Damages()
    for entry in _wanted(damages, topic, since, until):
        for event in reader.read(entry.topic, entry.data):
            show_event(event)
    if damages.count:
        raise typer.Exit(FAILED)


@log.command()
def export(
    jsonl: Annotated[bool, typer.Option("--jsonl", help="One JSON object a line, as bus tail --json prints them.")] = False,
    mcap_json: Annotated[bool, typer.Option("--mcap-json", help="An MCAP file of JSON messages, for Foxglove.")] = False,
    topic: Annotated[list[str] | None, typer.Option(metavar="TOPIC", autocompletion=complete_topic, help="May be given again.")] = None,
    since: Annotated[str | None, typer.Option(metavar="AGO", help="Recorded since: 30s, 10m, 2h, 1d.")] = None,
    until: Annotated[str | None, typer.Option(metavar="AGO", help="Recorded until then.")] = None,
    output: Annotated[Path | None, typer.Option(metavar="FILE", dir_okay=False, help="Without it, JSON goes to standard output.")] = None,
) -> None:
    """Write recorded events for other tools, the ones that `bus log cat` would print.

    Where some cannot be written, for the log is damaged or they do not decode, it says so, writes the others, and exits with 1.

    \b
    bus log export --jsonl --topic train.step --since 1h | jq .data.loss
    bus log export --mcap-json --output run.mcap
    """
    if jsonl == mcap_json:
        raise Mistyped("say which: --jsonl or --mcap-json")
    if mcap_json and output is None:
        raise Mistyped("--mcap-json needs --output FILE: an MCAP file is not for a terminal")
    damages, reader = Damages(), Reader()
    entries = with_progress(_wanted(damages, topic, since, until))
    if mcap_json and output is not None:
        write_mcap(entries, reader, output)
    else:
        write_jsonl(entries, reader, output)
    if reader.undecodable:
        warn(f"left out: {reader.undecodable} events that do not decode")
    if damages.count or reader.undecodable:
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
    """Says which places of a log are damaged, and counts them."""

    def __init__(self) -> None:
        self.count = 0

    def report(self, error: DamagedSegment) -> None:
        self.count += 1
        warn(f"events may be missing here: {error.path.name} at byte {error.offset}: {error.why}")


def _wanted(damages: Damages, topic: list[str] | None, since: str | None, until: str | None) -> Iterator[Entry]:
    """What the options of `cat` and `export` ask for. Raises Mistyped at once."""
    check_duration(since, "--since")
    check_duration(until, "--until")
    patterns, warnings = read_patterns(topic or [])
    for warning in warnings:
        warn(warning)
    after, end = since_time(since) if since else 0, since_time(until) if until else None
    found = read_folder(find_home().log, topics=patterns, after=after, until=end, on_damage=damages.report)
    return (entry for entry in found if is_wanted(entry.topic, patterns))


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


def _total(counts: Iterable[dict[str, int]]) -> Counter[str]:
    total: Counter[str] = Counter()
    for each in counts:
        total.update(each)
    return total


def _by_topic(counts: dict[str, Counter[str]]) -> Table:
    """A row for each topic, with what was recorded and, where there was any, lost and expired."""
    columns = {name: _without_inboxes(each) for name, each in counts.items() if each or name == "recorded"}
    rows = [
        (topic, *(str(column[topic]) if column[topic] else "" for column in columns.values()))
        for topic in sorted(set().union(*columns.values()))
    ]
    return table(("topic", *columns), rows, right=tuple(columns))


def _without_inboxes(counts: Counter[str]) -> Counter[str]:
    """Counts by topic; the inboxes, one for each client that ever called, as one."""
    totals: Counter[str] = Counter()
    for topic, count in counts.items():
        totals["reply." if topic.startswith("reply.") else topic] += count
    return totals


def _state(segment: SegmentInfo) -> str:
    return "thinned" if segment.expired else segment.state


def _row(segment: SegmentInfo) -> dict[str, object]:
    return {
        "segment": segment.path.name, "state": segment.state, "bytes": segment.bytes, "events": sum(segment.messages.values()),
        "first": segment.first, "last": segment.last, "ended": segment.ended, "problem": segment.problem,
        "lost": segment.lost, "expired": segment.expired,
    }  # fmt: skip


def _span(segments: list[SegmentInfo]) -> tuple[str, str]:
    """When the first and the last event were recorded, local time."""
    filled = [segment for segment in segments if segment.first]
    if not filled:
        return "", ""
    first, last = min(segment.first for segment in filled), max(segment.last for segment in filled)
    return f"{datetime.fromtimestamp(first / 1e9):%Y-%m-%d %H:%M:%S}", f"{datetime.fromtimestamp(last / 1e9):%Y-%m-%d %H:%M:%S}"
