"""One reading of log and store, and all that it shows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bus.cli.verify.finding import RESTORE, Finding
from bus.cli.verify.lineage import READS, Lineage, stored_files
from bus.cli.verify.segments import Layout, damage, layout, missing_segments, unsound
from bus.cli.verify.story import Story
from bus.cli.verify.streams import Streams
from bus.errors import CorruptFrame
from bus.log.errors import DamagedSegment
from bus.log.reader import read_folder
from bus.log.records import Entry
from bus.wire import Envelope, decode_data, decode_envelope
from schemas import system

RECORDER = "recorder"
"""The source whose gap events count: anybody could publish one."""


@dataclass(frozen=True, slots=True)
class Examination:
    """What was found in a log and its store."""

    layout: Layout
    story: Story
    streams: Streams
    lineage: Lineage
    findings: list[Finding]


def examine(artifacts: Path) -> Examination:
    """Read everything below `artifacts` once. Raises CorruptLog, OSError."""
    stored = stored_files(artifacts)
    reading = _Reading(layout(artifacts / "log"))
    damages: list[DamagedSegment] = []
    for entry in read_folder(artifacts / "log", on_damage=damages.append):
        reading.take(entry)
    found = layout(artifacts / "log")
    findings = [
        *missing_segments(artifacts / "log"),
        *map(damage, damages),
        *unsound(found.segments, known={error.path.name for error in damages}),
        *reading.findings,
        *reading.streams.findings(found),
        *reading.lineage.findings(artifacts, stored),
    ]
    return Examination(found, reading.story, reading.streams, reading.lineage, findings)


class _Reading:
    """Hands each event to who follows its kind."""

    def __init__(self, begun: Layout) -> None:
        self.story = Story()
        self.streams = Streams(begun)
        self.lineage = Lineage()
        self.findings: list[Finding] = []

    def take(self, entry: Entry) -> None:
        try:
            envelope = decode_envelope(entry.topic, entry.data)
            if entry.topic == system.GAP.name and envelope.source == RECORDER and not envelope.replay:
                self.streams.gaps.append(decode_data(entry.topic, envelope.data, system.Gap))
        except CorruptFrame as error:
            self.findings.append(Finding(kind="unreadable", where=f"log time {entry.log_time}", what=str(error), mend=RESTORE))
            return
        self._take(entry, envelope)

    def _take(self, entry: Entry, envelope: Envelope) -> None:
        self.story.take(entry, envelope)
        if entry.delivery == "durable" and envelope.seq:
            self.streams.take((envelope.source, envelope.epoch), envelope.seq, entry.log_time)
        if entry.topic in READS and not envelope.replay:
            self.lineage.take(entry.topic, envelope)
