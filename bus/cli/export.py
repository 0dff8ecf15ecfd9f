"""What `bus log export` writes: JSON Lines, or an MCAP file of JSON messages."""

from __future__ import annotations

import sys
import time as clock
from collections.abc import Iterable, Iterator
from pathlib import Path

from bus.cli.line import json_line
from bus.cli.output import say
from bus.cli.tail import Reader
from bus.cli.vocabulary import topics
from bus.log.export import JsonFile
from bus.log.records import Entry

PROGRESS_SECONDS = 0.5


def lines(entries: Iterable[Entry]) -> Iterator[tuple[Entry, str]]:
    """Each event that decodes with its line of JSON; what does not is said once a topic."""
    reader = Reader()
    for entry in entries:
        for event in reader.read(entry.topic, entry.data):
            yield entry, json_line(event)


def write_jsonl(entries: Iterable[Entry], output: Path | None) -> None:
    """One JSON object an event, with the keys of `bus tail --json`; without `output` on standard output. Raises OSError."""
    if output is None:
        for _, line in lines(entries):
            say(line)
        return
    with output.open("w", encoding="utf-8") as file:
        for _, line in lines(entries):
            file.write(line + "\n")


def write_mcap(entries: Iterable[Entry], output: Path) -> None:
    """An indexed MCAP file of JSON messages. Raises OSError."""
    with output.open("wb") as file:
        exported = JsonFile(file, {name: topic.type for name, topic in topics().items()})
        for entry, line in lines(entries):
            exported.add(entry, line.encode())
        exported.finish()


def with_progress(entries: Iterator[Entry]) -> Iterator[Entry]:
    """The same entries; a person at the terminal sees how many there were so far."""
    if not sys.stderr.isatty():
        yield from entries
        return
    due, count = clock.monotonic() + PROGRESS_SECONDS, 0
    for entry in entries:
        yield entry
        count += 1
        if clock.monotonic() >= due:
            sys.stderr.write(f"\rbus: {count} events")
            sys.stderr.flush()
            due = clock.monotonic() + PROGRESS_SECONDS
    sys.stderr.write(f"\rbus: {count} events\n")
