"""What `bus log export` writes: JSON Lines, or an MCAP file of JSON messages."""

from __future__ import annotations

import sys
import time as clock
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from bus.cli.line import json_line
from bus.cli.output import say
from bus.cli.tail import Reader
from bus.cli.vocabulary import topics
from bus.log.export import JsonFile
from bus.log.records import Entry

PROGRESS_SECONDS = 0.5


def write_jsonl(entries: Iterable[Entry], reader: Reader, output: Path | None) -> None:
    """One JSON object an event, with the keys of `bus tail --json`; without `output` on standard output. Raises OSError."""
    if output is None:
        for _, line in _lines(entries, reader):
            say(line)
        return
    with _replacing(output) as file:
        for _, line in _lines(entries, reader):
            file.write(line.encode() + b"\n")


def write_mcap(entries: Iterable[Entry], reader: Reader, output: Path) -> None:
    """An indexed MCAP file of JSON messages. Raises OSError."""
    with _replacing(output) as file:
        exported = JsonFile(file, {name: topic.type for name, topic in topics().items()})
        for entry, line in _lines(entries, reader):
            exported.add(entry, line.encode())
        exported.finish()


def _lines(entries: Iterable[Entry], reader: Reader) -> Iterator[tuple[Entry, str]]:
    """Each event that decodes with its line of JSON."""
    for entry in entries:
        for event in reader.read(entry.topic, entry.data):
            yield entry, json_line(event)


@contextmanager
def _replacing(output: Path) -> Iterator[BinaryIO]:
    """A file beside `output` that takes its place when it is whole, so that nobody finds half an export there."""
    if output.exists() and not output.is_file():  # a pipe or a device has no place to be taken
        with output.open("wb") as file:
            yield file
        return
    target = output.resolve()  # a link goes on leading to it
    temporary = target.with_name(f".{target.name}.new")
    try:
        with temporary.open("wb") as file:
            yield file
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


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
