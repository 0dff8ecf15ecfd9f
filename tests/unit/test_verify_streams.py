"""What verify makes of the streams: holes, gaps, repeats, what retention explains, and what segments say that they hold."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Struct
from recorded import power_data, received, step_data
from test_log_write import crash

from agents.recorder.compactor import LINEAGE
from bus.cli.verify import examine as examine_module
from bus.cli.verify import streams as streams_module
from bus.cli.verify.examine import examine
from bus.cli.verify.finding import Finding
from bus.cli.verify.segments import Layout
from bus.cli.verify.streams import Streams
from bus.lifecycle import MANIFEST, Manifest
from bus.log.chunks import ChunkedFile
from bus.log.closed import open_chunk, read_metadata, read_summary
from bus.log.compaction import compact, go_on, replace
from bus.log.info import SegmentInfo
from bus.log.log import Log
from bus.log.readback import Messages
from bus.log.records import MESSAGE, MESSAGE_FIELDS, Entry, walk
from bus.log.retention import thin
from bus.topic import DURABLE, LATEST, Delivery, Topic
from bus.wire import stream_of
from schemas import power, system, train

STREAM = ("trainer", 1)
read_folder = examine_module.read_folder
POSE = Topic("agent.heartbeat", power.Sample, delivery=LATEST)


def segment(place: int, expired: dict[str, int] | None = None, ends: int = 0) -> SegmentInfo:
    """A segment at whose end the stream has come to `ends`."""
    return SegmentInfo(
        path=Path(f"{place + 1:06}.mcap"), state="closed", bytes=1, expired=expired or {}, streams={STREAM: ends} if ends else {}
    )


def layout(*segments: SegmentInfo) -> Layout:
    """Segments of ten log times each, from 0."""
    found = list(segments or [segment(0)])
    return Layout(segments=found, starts=[place * 10 for place in range(len(found))])


def followed(*seqs: int, begun: Layout | None = None) -> Streams:
    """A stream whose event number n has the log time 2n."""
    streams = Streams(begun or layout())
    for place, seq in enumerate(seqs, 1):
        streams.take(STREAM, seq, 2 * place)
    return streams


def found(streams: Streams, where: Layout | None = None) -> list[tuple[str, str]]:
    return [(finding.kind, finding.what) for finding in streams.findings(where or layout())]


def test_a_stream_without_holes_holds() -> None:
    assert found(followed(1, 2, 3)) == []


def test_a_hole_a_late_beginning_and_a_repeat_are_found() -> None:
    kinds = found(followed(2, 3, 7, 5))

    assert [kind for kind, _ in kinds] == ["missing", "missing", "repeated"]
    assert kinds[0][1].startswith("seq 1 to 1 are")
    assert kinds[1][1].startswith("seq 4 to 6 are")
    assert kinds[2][1].startswith("1 events")


def test_a_stream_that_ends_before_the_table_says_is_found() -> None:
    before = layout(segment(0, ends=3), segment(1, ends=5))

    assert [what[:13] for _, what in found(followed(1, 2, 3, begun=before), before)] == ["seq 4 to 5 ar"]
    assert found(followed(1, 2, 3, 4, 5, 6, begun=before), before) == []


def test_a_stream_of_which_nothing_is_left_is_found_segment_by_segment() -> None:
    before = layout(segment(0, ends=3), segment(1, ends=5))

    assert [what[:11] for _, what in found(followed(begun=before), before)] == ["seq 1 to 3 ", "seq 4 to 5 "]


def test_a_gap_that_the_recorder_names_is_lost_and_only_the_rest_is_unexplained() -> None:
    streams = followed(1, 10)
    streams.gaps.append(system.Gap(source="trainer", epoch=1, first=3, last=5))
    streams.gaps.append(system.Gap(source="power", epoch=1, first=2, last=9))

    kinds = [(kind, what.split(" ", 4)[:4]) for kind, what in found(streams)]
    assert kinds == [
        ("lost", ["seq", "3", "to", "5"]),
        ("lost", ["seq", "2", "to", "9"]),
        ("missing", ["seq", "2", "to", "2"]),
        ("missing", ["seq", "6", "to", "9"]),
    ]


def test_what_retention_took_is_no_failure_where_it_took_something() -> None:
    streams = followed(1, 2, 3, 4, 100, 101, 200)  # 5 to 99 would lie in the first segment, 102 to 199 in the second
    first = segment(0, {"power.sample": 95})

    assert found(streams, layout(first, segment(1, {"power.sample": 98}))) == []
    assert [what[:13] for _, what in found(streams, layout(first, segment(1)))] == ["seq 102 to 19"]
    assert [what[:29] for _, what in found(streams, layout(first, segment(1, {"power.sample": 97})))] == ["98 events of durable streams "]


def test_a_hole_is_explained_only_as_far_as_it_lies_in_thinned_segments() -> None:
    streams = followed(1, 2, 3, 4, 100)  # its end lies in the first segment, by its log time
    streams.take(STREAM, 200, 12)
    first = segment(0, {"power.sample": 145}, ends=150)

    assert [what[:15] for _, what in found(streams, layout(first, segment(1)))] == ["seq 151 to 199 "]


def test_events_of_latest_topics_explain_no_hole() -> None:
    streams = followed(1, 2, 5)
    taken = {"agent.heartbeat": 900, "reply.cli-1": 5, "power.sample": 1}

    assert [kind for kind, _ in found(streams, layout(segment(0, taken)))] == ["missing"]
    assert found(streams, layout(segment(0, {**taken, "somebody.s": 1}))) == []


@pytest.fixture
def few_holes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams_module, "MOST_HOLES", 2)


@pytest.mark.usefixtures("few_holes")
def test_however_many_holes_retention_leaves_it_explains_them() -> None:
    thinned = [segment(place, {"power.sample": 5}) for place in range(4)]
    streams = followed(*range(1, 41, 2), begun=layout(*thinned))  # without 2, 4, … 38

    assert found(streams, layout(*thinned)) == []
    thinned[3] = segment(3, {"power.sample": 3})
    assert [what[:9] for _, what in found(streams, layout(*thinned))] == ["5 events "]


@pytest.mark.usefixtures("few_holes")
def test_too_many_holes_are_told_as_one_without_what_a_gap_event_explains() -> None:
    begun = Layout(segments=[segment(0), segment(1)], starts=[0, 100])
    streams = followed(*range(1, 10), 11, 13, 15, 18, 20, begun=begun)  # without 10, 12, 14, 16, 17, 19
    streams.gaps.append(system.Gap(source="trainer", epoch=1, first=16, last=17))

    told = [what.partition(" are")[0] for kind, what in found(streams) if kind == "missing"]
    assert told == ["seq 10 to 10", "seq 12 to 12", "2 events from seq 14 to 19"]


class Closed:
    """A log of segments of one commit each, whose events are numbered as they come."""

    def __init__(self, artifacts: Path) -> None:
        self.artifacts = artifacts
        self.folder = artifacts / "log"
        self.log = Log.open(self.folder, {}, segment_bytes=1)
        self.seq = 0

    def add(self, topic: Topic[Any], data: Struct, seq: int | None = None, plane: Delivery = Delivery.DURABLE, **fields: Any) -> None:
        self.seq = self.seq + 1 if seq is None else seq
        event = received(topic.name, data, self.seq, **fields)
        self.log.append(event.topic, plane, bytes(event.event_map), event.envelope)

    def steps(self, count: int) -> None:
        """As many events of a topic that lineage needs and of one that it does not, by turns."""
        for _ in range(count):
            self.add(train.STEP, step_data(1), run="r1")
            self.add(power.SAMPLE, power_data(1.0))

    def close(self) -> None:
        self.log.commit()
        self.log.close()

    def thinned(self) -> Path:
        """Close the segment, begin another, and take from the first what lineage does not need."""
        self.log.commit()
        self.add(train.STEP, step_data(2), run="r1")
        self.log.commit()
        compact(self.folder)
        (path,) = thin(self.folder, 1, LINEAGE).paths
        return path

    def findings(self) -> list[Finding]:
        return examine(self.artifacts).findings


def rewritten(path: Path, keeps: Callable[[int], bool]) -> None:
    """Make the closed segment again with those messages whose sequence `keeps` says, and with the tables that it had."""

    def write(file: BinaryIO) -> Messages:
        seen, chunked = Messages(), ChunkedFile(file, summary.schemas, summary.channels)
        for name in summary.metadata:
            chunked.metadata(name, read_metadata(fd, summary, name))
        for chunk in summary.chunks:
            data = open_chunk(fd, chunk)
            heads = [head for head in walk(data, 0) if head[0] == MESSAGE and keeps(MESSAGE_FIELDS.unpack_from(data, head[1])[1])]
            chunked.add(data, heads)
            seen.add(data, heads)
        chunked.finish()
        return seen

    fd = os.open(path, os.O_RDONLY)
    try:
        summary = read_summary(fd)
        replace(path, int(path.name[:6]), write, go_on)
    finally:
        os.close(fd)


@pytest.fixture
def closed(tmp_path: Path) -> Closed:
    return Closed(tmp_path)


def test_a_segment_that_lost_the_last_events_of_a_stream_is_found(closed: Closed) -> None:
    closed.steps(20)
    closed.close()
    assert closed.findings() == []
    rewritten(closed.folder / "000001.mcap", lambda seq: seq <= 30)

    assert [(each.kind, each.where, each.what[:30]) for each in closed.findings()] == [
        ("missing", "000001.mcap", "it has 15 events of power.samp"),
        ("missing", "000001.mcap", "it has 15 events of train.step"),
        ("missing", "trainer/1", "seq 31 to 40 are not in the lo"),
    ]


def test_a_thinned_log_holds_and_events_that_it_lost_after_that_are_found(closed: Closed) -> None:
    closed.steps(20)
    for seq in range(1, 500):
        closed.add(POSE, power_data(1.0), seq, LATEST, source="poses")
    closed.seq = 40
    path = closed.thinned()
    crash(closed.log)
    assert closed.findings() == []
    assert examine(closed.artifacts).layout.expired == 20 + 499
    rewritten(path, lambda seq: seq < 10 or seq > 20)

    assert [(each.kind, each.where, each.what[:30]) for each in closed.findings()] == [
        ("missing", "000001.mcap", "it has 15 events of train.step"),
        ("missing", "000001.mcap", "25 events of durable streams a"),
    ]


def test_a_stream_whose_events_all_expired_holds(closed: Closed) -> None:
    for seq in range(1, 21):
        closed.add(power.SAMPLE, power_data(1.0), seq, source="power")
    closed.seq = 0
    closed.thinned()
    crash(closed.log)

    assert closed.findings() == []


def test_what_is_recorded_while_verify_reads_is_no_finding(closed: Closed, monkeypatch: pytest.MonkeyPatch) -> None:
    closed.steps(3)
    closed.log.commit()

    def meanwhile(*arguments: Any, **options: Any) -> Iterator[Entry]:
        yield from list(read_folder(*arguments, **options))
        for _ in range(2):
            closed.steps(3)
            closed.log.commit()
        compact(closed.folder)
        thin(closed.folder, 1, LINEAGE)

    monkeypatch.setattr(examine_module, "read_folder", meanwhile)
    assert closed.findings() == []
    crash(closed.log)


def test_a_gap_event_explains_its_hole_however_old_it_is(closed: Closed) -> None:
    closed.steps(2)
    closed.add(system.GAP, system.Gap(source="trainer", epoch=1, first=5, last=50), seq=1, source="recorder")
    closed.seq = 50
    closed.steps(2)
    closed.thinned()
    crash(closed.log)

    assert [(finding.kind, finding.what[:18]) for finding in closed.findings()] == [("lost", "seq 5 to 50 were l")]


def test_what_agents_were_made_of_is_known_however_old_it_is(closed: Closed) -> None:
    closed.add(
        MANIFEST, Manifest(publishes=[], reads=[], answers=[], versions={"numpy": "2"}, parts=[], settings={}, pid=1, state="running")
    )
    closed.steps(2)
    closed.thinned()
    crash(closed.log)

    assert [agent.versions for agent in examine(closed.artifacts).story.agents] == [(("numpy", "2"),)]


class Life:
    """A log in which anything happens that happens to a sound one, by a seed."""

    TOPICS = ("train.step", "power.sample", "agent.heartbeat", "lab.value", "reply.cli-1")

    def __init__(self, folder: Path, seed: int) -> None:
        self.lost: list[tuple[int, int]] = []
        self._random = random.Random(seed)
        self._folder = folder
        self._log = self._open()
        self._epoch = 0
        self._seqs: dict[tuple[str, int], int] = {}

    def live(self, moments: int) -> None:
        for _ in range(moments):
            self._random.choice((self._publish,) * 5 + (self._begin, self._lose, self._leave, self._commit, self._thin, self._restart))()
        self._commit()

    def read(self, folder: Path, *arguments: Any, **options: Any) -> Iterator[Entry]:
        """As `read_folder`; the log lives on meanwhile."""
        for place, entry in enumerate(read_folder(folder, *arguments, **options)):
            yield entry
            if place % 7 == 0 and place < 500:
                self.live(1)
        self.live(9)

    def end(self) -> None:
        crash(self._log)

    def _open(self) -> Log:
        return Log.open(self._folder / "log", {}, segment_bytes=3000)

    def _add(self, topic: str, data: Struct, source: str, epoch: int, **fields: Any) -> None:
        stream, plane = (source, epoch), LATEST if topic == POSE.name else DURABLE
        numbered = stream_of(topic, plane) == DURABLE
        seq = self._seqs.get(stream, 0) + 1 if numbered else 1
        event = received(topic, data, seq, source=source, epoch=epoch, **fields)
        self._log.append(topic, plane, bytes(event.event_map), event.envelope)
        if numbered:
            self._seqs[stream] = seq

    def _begin(self) -> None:
        self._epoch += 1
        self._seqs["agent", self._epoch] = 0

    def _stream(self) -> int:
        if not any(source == "agent" for source, _ in self._seqs):
            self._begin()
        return self._random.choice([epoch for source, epoch in self._seqs if source == "agent"])

    def _publish(self) -> None:
        topic, epoch = self._random.choice(self.TOPICS), self._stream()
        for _ in range(self._random.randint(1, 9)):
            self._add(topic, power_data(1.0), "agent", epoch, replay=self._random.random() < 0.2)

    def _lose(self) -> None:
        epoch, count = self._stream(), self._random.randint(1, 9)
        first = self._seqs["agent", epoch] + 1
        self._seqs["agent", epoch] += count
        gap = system.Gap(source="agent", epoch=epoch, first=first, last=first + count - 1)
        self.lost.append((gap.first, gap.last))
        if self._random.random() < 0.5:  # the event behind the gap may be recorded before the gap event
            self._add("power.sample", power_data(1.0), "agent", epoch)
        self._add("recorder.gap", gap, "recorder", 1)

    def _leave(self) -> None:
        epoch = self._stream()
        self._log.end_stream("agent", epoch)
        del self._seqs["agent", epoch]

    def _commit(self) -> None:
        self._log.commit()

    def _thin(self) -> None:
        compact(self._folder / "log")
        thin(self._folder / "log", self._random.randint(1, 20_000), LINEAGE)

    def _restart(self) -> None:
        self._commit()
        crash(self._log) if self._random.random() < 0.5 else self._log.close()
        self._log = self._open()


SEEDS, MOMENTS, MOST = st.integers(0, 10**9), st.integers(1, 120), st.sampled_from([0, 3, 10_000])


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS, moments=MOMENTS, most=MOST)
def test_a_sound_log_holds_whatever_happened_to_it(tmp_path_factory: pytest.TempPathFactory, seed: int, moments: int, most: int) -> None:
    folder = tmp_path_factory.mktemp("life")
    life = Life(folder, seed)
    life.live(moments)
    life.end()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(streams_module, "MOST_HOLES", most)
        findings = examine(folder).findings

    assert [finding.kind for finding in findings] == ["lost"] * len(life.lost)


@settings(max_examples=20, deadline=None)
@given(seed=SEEDS, moments=MOMENTS, most=MOST)
def test_a_sound_log_holds_while_it_lives_on(tmp_path_factory: pytest.TempPathFactory, seed: int, moments: int, most: int) -> None:
    folder = tmp_path_factory.mktemp("life")
    life = Life(folder, seed)
    life.live(moments)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(streams_module, "MOST_HOLES", most)
        patched.setattr(examine_module, "read_folder", life.read)
        findings = examine(folder).findings
    life.end()

    assert {finding.kind for finding in findings} <= {"lost"}
