"""Check a log against what its publishers noted, with nothing but mcap and msgpack: none of the code under test takes part.

    check_log.py LOG NOTES

Every durable stream (source and epoch) of the publishers that left a file NOTES/SOURCE-EPOCH, and of the recorder, must be in the log as
seq 1, 2, 3… in that order, each once, and reach at least the last `acknowledged N` of that file; their events carry their seq as `n`.
Prints one JSON object; the problems go to standard error, and then the exit code is 1.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgpack
from mcap.exceptions import EndOfFile
from mcap.reader import make_reader
from mcap.records import Channel, Message, Metadata
from mcap.stream_reader import StreamReader

STATES = ("mcap", "done.mcap", "open.mcap")  # of two files with one number the first of these counts; a damaged one never
MOST_PROBLEMS = 20


class Recorded(NamedTuple):
    """One durable event as the log has it."""

    topic: str
    log_time: int
    event: dict[str, Any]


def segments(log: Path) -> list[Path]:
    """The files that count, oldest first."""
    found: dict[str, Path] = {}
    for path in log.glob("*.mcap"):
        number, _, state = path.name.partition(".")
        if state not in STATES:
            raise SystemExit(f"{path}: a segment of the state {state!r}")
        if number not in found or STATES.index(state) < STATES.index(found[number].name.partition(".")[2]):
            found[number] = path
    return [found[number] for number in sorted(found, key=int)]


def after(path: Path) -> int:
    """The log_time that everything in this segment is above, and nothing in those before it."""
    with path.open("rb") as file:
        for record in StreamReader(file).records:
            if isinstance(record, Metadata) and record.name == "zeropoint.segment":
                return int(record.metadata["after"])
    raise SystemExit(f"{path}: no zeropoint.segment")


def messages(path: Path) -> Iterator[tuple[Channel, Message]]:
    """A closed segment as every MCAP tool reads it; the open one up to where its file ends."""
    with path.open("rb") as file:
        if not path.name.endswith(".open.mcap"):
            for _, channel, message in make_reader(file, validate_crcs=True).iter_messages():
                yield channel, message
            return
        channels: dict[int, Channel] = {}
        try:
            for record in StreamReader(file).records:
                if isinstance(record, Channel):
                    channels[record.id] = record
                elif isinstance(record, Message):
                    yield channels[record.channel_id], record
        except EndOfFile:
            return


def decoded(data: bytes) -> dict[str, Any]:
    """An event map; empty for what strangers sent and no reader takes: where it was somebody else's, its place is a hole."""
    try:
        event = msgpack.unpackb(data)
    except (ValueError, msgpack.UnpackException):
        return {}
    return event if isinstance(event, dict) else {}


def durable(log: Path, sources: set[str]) -> Iterator[Recorded]:
    """Every event of these sources that is of the acknowledged kind, in the log's order."""
    paths = segments(log)
    limits: list[float] = [*(after(path) for path in paths[1:]), float("inf")]
    for path, limit in zip(paths, limits, strict=True):
        for channel, message in messages(path):
            if channel.metadata["delivery"] != "durable" or message.log_time > limit:
                continue
            event = decoded(message.data)
            if event.get("seq") and event.get("source") in sources:
                yield Recorded(channel.topic, message.log_time, event)


def acknowledged(notes: Path) -> dict[tuple[str, int], int]:
    """The last acknowledged seq that each publisher noted, by source and epoch."""
    found = {}
    for path in notes.iterdir():
        source, _, epoch = path.name.rpartition("-")
        lines = path.read_text().splitlines()
        found[source, int(epoch)] = max((int(line.split()[1]) for line in lines if line.startswith("acknowledged ")), default=0)
    return found


def check(log: Path, notes: Path) -> tuple[dict[str, int], list[str]]:
    """What was found, and what is wrong with it."""
    noted = acknowledged(notes)
    sources = {source for source, _ in noted}
    last: dict[tuple[str, int], int] = {}
    problems, events, before = [], 0, 0
    for recorded in durable(log, sources | {"recorder"}):
        events += 1
        stream = (recorded.event["source"], recorded.event["epoch"])
        expected = last.get(stream, 0) + 1
        problems += complaints(recorded, expected, before, sources)
        last[stream] = max(recorded.event["seq"], expected - 1)
        before = recorded.log_time
    for stream, number in noted.items():
        if last.get(stream, 0) < number:
            problems.append(f"{stream}: acknowledged up to {number}, recorded up to {last.get(stream, 0)}")
    found = {"events": events, "streams": len(last), "noted": len(noted), "acknowledged": sum(noted.values())}
    return found, problems


def complaints(recorded: Recorded, expected: int, before: int, sources: set[str]) -> Iterator[str]:
    """What is wrong with one event, where `expected` is the seq that belongs here and `before` the log time before it."""
    topic, log_time, event = recorded
    name = f"{topic} of {event['source']}/{event['epoch']} at log time {log_time}"
    if event["seq"] != expected:
        yield f"{name}: seq {event['seq']} where {expected} belongs"
    if topic.startswith("load.") and event["data"]["n"] != event["seq"]:
        yield f"{name}: seq {event['seq']} carries n {event['data']['n']}"
    if topic == "recorder.gap" and event["data"]["source"] in sources:
        yield f"{name}: the recorder gave up on {event['data']}"
    if log_time <= before:
        yield f"{name}: the log time before it is {before}"


def main() -> int:
    found, problems = check(Path(sys.argv[1]), Path(sys.argv[2]))
    sys.stdout.write(json.dumps({**found, "problems": len(problems)}) + "\n")
    sys.stderr.writelines(f"{problem}\n" for problem in problems[:MOST_PROBLEMS])
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
