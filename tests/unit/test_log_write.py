"""The log as it is written: what comes back, in which order, and what other MCAP readers see of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import msgspec
import pytest
from mcap.exceptions import EndOfFile
from mcap.reader import make_reader
from mcap.records import Channel, Message, Metadata, Schema
from mcap.stream_reader import StreamReader

from bus.errors import LockHeld
from bus.log import log as log_module
from bus.log.compaction import compact
from bus.log.errors import LogWriteError
from bus.log.folder import State, list_segments
from bus.log.info import inspect
from bus.log.log import Log
from bus.log.reader import read_folder
from bus.topic import DURABLE, LATEST, Delivery
from bus.wire import Envelope


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """A training step; `loss` in nats."""

    step: int
    loss: float = 0.0


def put(log: Log, topic: str, seq: int, *, source: str = "trainer", epoch: int = 7, plane: Delivery = DURABLE, size: int = 10) -> bytes:
    """Appends an event and returns its map."""
    data = msgspec.Raw(msgspec.msgpack.encode({"step": seq, "pad": "x" * size}))
    envelope = Envelope(source=source, time=1000 + seq, epoch=epoch, seq=seq, data=data)
    event_map = msgspec.msgpack.encode(envelope)
    log.append(topic, plane, event_map, envelope)
    return event_map


def fill(log: Log, groups: int, per_group: int = 3, first: int = 1, **more: object) -> list[bytes]:
    """Commits groups of events of one stream and returns their maps."""
    maps = []
    for group in range(groups):
        maps += [put(log, "train.step", first + group * per_group + place, **more) for place in range(per_group)]  # type: ignore[arg-type]
        log.commit()
    return maps


def crash(log: Log) -> None:
    """What the system does when the process dies: its lock falls, nothing is flushed."""
    log._held.close()


def datas(entries: Iterator[log_module.Entry]) -> list[bytes]:
    return [entry.data for entry in entries]


def test_what_was_committed_reads_back_byte_for_byte_in_order(tmp_path: Path) -> None:
    log = Log.open(tmp_path, {})
    maps = fill(log, groups=4)
    put(log, "train.step", 13)
    assert datas(log.read()) == maps
    log.commit()
    assert len(list(log.read())) == 13


def test_log_time_rises_strictly_while_the_clock_jumps_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([50, 50, 10, 9, 60, 1, 1, 1])
    monkeypatch.setattr(log_module, "time_ns", lambda: next(clock, 1))
    log = Log.open(tmp_path, {})
    fill(log, groups=1, per_group=5)
    crash(log)
    log = Log.open(tmp_path, {})
    fill(log, groups=1, per_group=3, first=6)
    assert [entry.log_time for entry in log.read()] == [50, 51, 52, 53, 60, 61, 62, 63]


def test_sequence_wraps_at_32_bits_while_the_table_does_not(tmp_path: Path) -> None:
    log = Log.open(tmp_path, {})
    for seq in (2**32 - 1, 2**32, 2**32 + 1):
        put(log, "train.step", seq)
    moved = log.commit().streams
    assert [entry.sequence for entry in log.read()] == [2**32 - 1, 0, 1]
    assert moved == log.committed == {("trainer", 7): 2**32 + 1}
    crash(log)
    assert Log.open(tmp_path, {}).committed == moved


def test_topics_are_picked_by_name_or_by_prefix(tmp_path: Path) -> None:
    log = Log.open(tmp_path, {}, segment_bytes=600)
    for seq, topic in enumerate(("train.step", "train.steps", "power.sample", "train.eval"), start=1):
        put(log, topic, seq)
        log.commit()

    def picked(*topics: str) -> list[str]:
        return [entry.topic for entry in log.read(topics=topics)]

    for _ in range(2):
        assert picked("train.step") == ["train.step"]
        assert picked("train.") == ["train.step", "train.steps", "train.eval"]
        assert picked("power.", "train.eval") == ["power.sample", "train.eval"]
        assert picked("train") == []
        compact(tmp_path)


def test_pages_by_after_and_limit_hold_everything_once(tmp_path: Path) -> None:
    log = Log.open(tmp_path, {}, segment_bytes=3000)
    maps = fill(log, groups=20)
    compact(tmp_path)
    maps += fill(log, groups=20, first=61)
    assert {segment.state for segment in list_segments(tmp_path)} == {State.OPEN, State.DONE, State.CLOSED}
    for read in (log.read, lambda **query: read_folder(tmp_path, **query)):
        pages, after = [], 0
        while page := list(read(after=after, limit=7)):
            pages += [entry.data for entry in page]
            after = page[-1].log_time
        assert pages == maps


def test_until_bounds_a_read_inclusively(tmp_path: Path) -> None:
    log = Log.open(tmp_path, {}, segment_bytes=1500)
    fill(log, groups=10)
    times = [entry.log_time for entry in log.read()]
    for place, until in enumerate(times):
        assert [entry.log_time for entry in log.read(after=times[3], until=until)] == times[4 : place + 1]


def test_reading_after_a_time_opens_no_earlier_segment(tmp_path: Path) -> None:
    log = Log.open(tmp_path, {}, segment_bytes=1500)
    fill(log, groups=20)
    compact(tmp_path)
    times = [entry.log_time for entry in log.read()]
    first = list_segments(tmp_path)[0].path
    first.write_bytes(first.read_bytes()[:400])  # unreadable, had it been opened whole
    assert [entry.log_time for entry in log.read(after=times[40])] == times[41:]


def test_the_last_event_of_a_topic_is_found_wherever_it_lies(tmp_path: Path) -> None:
    log = Log.open(tmp_path, {}, segment_bytes=1500)
    rare = put(log, "run.started", 1)
    fill(log, groups=10, first=2)
    for reopened in range(3):
        if reopened:
            log.close()
            log = Log.open(tmp_path, {}, segment_bytes=1500)
        found, newest, missing = log.last("run.started"), log.last("train.step"), log.last("run.completed")
        assert found is not None and found.data == rare
        assert newest is not None and newest.sequence == 31
        assert missing is None
    completed = put(log, "run.completed", 32)
    assert log.last("run.completed") is None
    log.commit()
    assert log.last("run.completed").data == completed  # type: ignore[union-attr]


def test_a_goodbye_leaves_the_table_with_its_commit_and_for_good(tmp_path: Path) -> None:
    log = Log.open(tmp_path, {})
    put(log, "train.step", 1, source="trainer")
    put(log, "power.sample", 1, source="power")
    log.end_stream("trainer", 7)
    assert ("trainer", 7) in log.streams
    log.commit()
    assert log.streams == log.committed == {("power", 7): 1}
    crash(log)
    log = Log.open(tmp_path, {})
    assert log.committed == {("power", 7): 1}
    log.end_stream("power", 7)
    log.close()
    assert Log.open(tmp_path, {}).committed == {}


def test_a_stream_that_goes_on_after_its_goodbye_stays(tmp_path: Path) -> None:
    log = Log.open(tmp_path, {})
    put(log, "train.step", 1)
    log.end_stream("trainer", 7)
    put(log, "train.step", 2)
    log.commit()
    assert log.committed == log.streams == {("trainer", 7): 2}


def test_only_durable_events_with_a_seq_move_the_table(tmp_path: Path) -> None:
    log = Log.open(tmp_path, {})
    put(log, "xr.pose.head", 5, plane=LATEST)
    put(log, "command.trainer.start", 3)
    put(log, "train.step", 0)
    log.commit()
    assert log.committed == {}
    assert [entry.delivery for entry in log.read()] == ["latest", "control", "durable"]
    crash(log)
    assert Log.open(tmp_path, {}).committed == {}


def test_every_segment_begins_with_the_whole_table(tmp_path: Path) -> None:
    log = Log.open(tmp_path, {}, segment_bytes=1000)
    put(log, "power.sample", 9, source="power")
    fill(log, groups=12)
    compact(tmp_path)
    segments = list_segments(tmp_path)
    assert len(segments) > 3
    for segment in segments[1:]:
        with segment.path.open("rb") as file:
            tables = [r for r in _records(StreamReader(file)) if isinstance(r, Metadata) and r.name == "zeropoint.streams"]
        assert tables[0].metadata["power/7"] == "9"


def test_a_second_log_in_the_folder_is_refused(tmp_path: Path) -> None:
    log = Log.open(tmp_path, {})
    with pytest.raises(LockHeld):
        Log.open(tmp_path, {})
    log.close()
    Log.open(tmp_path, {}).close()


def _records(reader: StreamReader) -> Iterator[object]:
    """Records until the bytes end, as those of a file that is still being written do."""
    try:
        yield from reader.records
    except EndOfFile:
        return


def test_the_official_stream_reader_reads_the_open_segment_while_it_grows(tmp_path: Path) -> None:
    log = Log.open(tmp_path, {})
    maps: list[bytes] = []
    for first in (1, 7, 13):
        maps += fill(log, groups=2, first=first)
        with (tmp_path / "000001.open.mcap").open("rb") as file:
            assert [record.data for record in _records(StreamReader(file)) if isinstance(record, Message)] == maps


def test_the_official_reader_opens_done_and_closed_segments_alike(tmp_path: Path) -> None:
    log = Log.open(tmp_path, {"train.step": Step}, segment_bytes=3000)
    maps = fill(log, groups=30)
    log._end_segment()
    for _ in range(2):
        seen = []
        for segment in list_segments(tmp_path):
            with segment.path.open("rb") as file:
                reader = make_reader(file, validate_crcs=True)
                summary = reader.get_summary()
                found = list(reader.iter_messages())
                seen += [message for _, _, message in found]
                assert summary is not None and summary.statistics is not None
                assert summary.statistics.message_count == len(found)
                assert {record.name for record in reader.iter_metadata()} >= {"zeropoint.segment", "zeropoint.streams"}
        assert [message.data for message in seen] == maps
        assert [message.log_time for message in seen] == [entry.log_time for entry in log.read()]
        compact(tmp_path)
    assert {segment.state for segment in list_segments(tmp_path)} == {State.CLOSED}


def test_channels_say_encoding_delivery_and_a_schema_of_the_map(tmp_path: Path) -> None:
    log = Log.open(tmp_path, {"train.step": Step})
    put(log, "train.step", 1)
    put(log, "xr.pose.head", 1, plane=LATEST)
    log.commit()
    with (tmp_path / "000001.open.mcap").open("rb") as file:
        records = list(_records(StreamReader(file)))
    schemas = {record.id: record for record in records if isinstance(record, Schema)}
    step, head = [record for record in records if isinstance(record, Channel)]
    assert (step.message_encoding, step.metadata, head.metadata) == ("msgpack", {"delivery": "durable"}, {"delivery": "latest"})
    schema = json.loads(schemas[step.schema_id].data)
    assert schemas[step.schema_id].encoding == "jsonschema"
    assert schema["required"] == ["source", "time", "data"]
    assert schema["$defs"][schema["properties"]["data"]["$ref"].removeprefix("#/$defs/")]["properties"]["step"] == {"type": "integer"}
    assert json.loads(schemas[head.schema_id].data)["properties"]["data"] == {}


def test_a_full_segment_gives_way_to_a_new_one_and_says_so(tmp_path: Path) -> None:
    log = Log.open(tmp_path, {}, segment_bytes=2000)
    ended = []
    for seq in count(1):
        put(log, "train.step", seq, size=500)
        ended.append(log.commit().ended)
        if ended[-1]:
            break
    assert ended[:-1] == [None] * (len(ended) - 1) and ended[-1] == tmp_path / "000001.done.mcap"
    assert [segment.path.name for segment in list_segments(tmp_path)] == ["000001.done.mcap", "000002.open.mcap"]


def test_inspect_tells_each_segment(tmp_path: Path) -> None:
    log = Log.open(tmp_path, {}, segment_bytes=1500)
    fill(log, groups=15)
    compact(tmp_path)
    infos = inspect(tmp_path)
    times = [entry.log_time for entry in log.read()]
    assert sum(info.messages["train.step"] for info in infos) == 45
    assert (infos[0].first, infos[-1].last, infos[-1].streams) == (times[0], times[-1], {("trainer", 7): 45})
    assert [info.ended for info in infos] == [True] * (len(infos) - 1) + [False]


def test_a_failing_sync_loses_nothing_and_the_next_commit_takes_a_new_segment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = Log.open(tmp_path, {})
    maps = fill(log, groups=2)
    good = (tmp_path / "000001.open.mcap").read_bytes()
    maps.append(put(log, "train.step", 7))
    with monkeypatch.context() as patch:
        patch.setattr("bus.log.segment.sync", _fail)
        for _ in range(3):
            with pytest.raises(LogWriteError):
                log.commit()
            assert datas(log.read()) == maps[:6] and log.committed == {("trainer", 7): 6}
    assert [segment.path.read_bytes() for segment in list_segments(tmp_path)] == [good]
    maps.append(put(log, "train.step", 8))
    assert log.commit().streams == {("trainer", 7): 8}
    assert datas(log.read()) == datas(read_folder(tmp_path)) == maps
    assert [segment.path.name for segment in list_segments(tmp_path)] == ["000001.open.mcap", "000002.open.mcap"]
    log.close()
    assert [segment.path.name for segment in list_segments(tmp_path)] == ["000001.mcap", "000002.mcap"]
    assert datas(read_folder(tmp_path)) == maps


def _fail(*_: object) -> None:
    raise OSError(5, "Input/output error")


def test_a_group_that_stays_in_the_failed_segment_is_seen_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that fails a sync may fail the cut as well, and the group that was written stands there whole."""
    log = Log.open(tmp_path, {})
    maps = fill(log, groups=2)
    maps.append(put(log, "train.step", 7))
    with monkeypatch.context() as patch:
        patch.setattr("bus.log.segment.sync", _fail)
        patch.setattr(os, "ftruncate", _fail)
        with pytest.raises(LogWriteError):
            log.commit()
    log.commit()
    assert datas(log.read()) == datas(read_folder(tmp_path)) == maps
    log.close()
    assert datas(read_folder(tmp_path)) == maps


def test_what_stays_behind_the_cut_counts_for_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Events, losses and goodbyes alike, also where no event says by its time that it was written again."""
    log = Log.open(tmp_path, {})
    fill(log, groups=1)
    log.lose("xr.pose.head", 1)
    log.commit()
    log.end_stream("trainer", 7)
    log.lose("xr.pose.head", 3)
    with monkeypatch.context() as patch:
        patch.setattr("bus.log.segment.sync", _fail)
        patch.setattr(os, "ftruncate", _fail)
        for _ in range(2):
            with pytest.raises(LogWriteError):
                log.commit()
    log.commit()
    for step in (lambda: None, log.close):
        step()
        first, second = inspect(tmp_path)
        assert [info.lost for info in (first, second)] == [{"xr.pose.head": 1}, {"xr.pose.head": 3}]
        assert (first.messages, first.streams, second.streams) == ({"train.step": 3}, {("trainer", 7): 3}, {})


@pytest.mark.parametrize("call", ["rename", "sync_folder"])
def test_a_segment_that_cannot_be_ended_keeps_its_events(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    log = Log.open(tmp_path, {}, segment_bytes=500)
    maps = fill(log, groups=2)
    maps.append(put(log, "train.step", 7))
    with monkeypatch.context() as patch:
        patch.setattr(*(("bus.log.segment.sync_folder", _fail) if call == "sync_folder" else (Path, "rename", _fail)))  # type: ignore[misc]
        with pytest.raises(LogWriteError):
            log.commit()
    log.commit()
    assert datas(log.read()) == maps
    log.close()
    assert datas(read_folder(tmp_path)) == maps
    assert {segment.state for segment in list_segments(tmp_path)} == {State.CLOSED}


FILE_LIMIT = """
import resource, signal, sys
sys.path[:0] = sys.argv[2:]
from pathlib import Path
from bus.log.errors import LogWriteError
from bus.log.log import Log
from test_log_write import fill, put
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
log, refused = Log.open(Path(sys.argv[1]), {}), 0
for seq in range(1, 101):
    put(log, "train.step", seq, size=900)
    try:
        log.commit()
    except LogWriteError:
        refused += 1
        log.commit()
    assert [entry.sequence for entry in log.read()] == list(range(1, seq + 1))
print(refused)
"""


def test_a_file_that_may_not_grow_is_left_for_a_new_segment(tmp_path: Path) -> None:
    """EFBIG from the system itself, in the middle of a write."""
    here = Path(__file__).parent
    command = [sys.executable, "-c", FILE_LIMIT, str(tmp_path), str(here), str(here.parents[1])]
    refused = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout
    assert int(refused) >= 4
    assert [entry.sequence for entry in read_folder(tmp_path)] == list(range(1, 101))
    log = Log.open(tmp_path, {})
    assert log.committed == {("trainer", 7): 100}
    compact(tmp_path)
    assert [entry.sequence for entry in log.read()] == list(range(1, 101))


def test_more_than_a_group_holds_is_committed_in_order_by_one_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_module, "MAX_EVENTS", 3)
    log = Log.open(tmp_path, {})
    maps = [put(log, "train.step", seq) for seq in range(1, 11)]
    log.end_stream("trainer", 7)
    assert log.commit().streams == {("trainer", 7): 10}
    assert datas(log.read()) == datas(read_folder(tmp_path)) == maps
    assert log.committed == {}
    maps.append(put(log, "train.step", 11))
    log.commit()
    assert datas(log.read()) == maps


def test_a_group_is_not_read_before_it_is_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = Log.open(tmp_path, {})
    seen: list[list[bytes]] = []
    monkeypatch.setattr("bus.log.segment.sync", lambda fd: seen.append(datas(log.read())))
    maps = [put(log, "train.step", 1)]
    log.commit()
    maps.append(put(log, "train.step", 2))
    log.commit()
    log._end_segment()
    maps.append(put(log, "train.step", 3))
    log.commit()
    assert seen == [[], maps[:1], maps[:2], maps[:2]]
    assert datas(log.read()) == maps


def test_a_new_segment_counts_only_once_its_name_is_durable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = Log.open(tmp_path, {})
    maps = [put(log, "train.step", 1)]
    with monkeypatch.context() as patch:
        patch.setattr("bus.log.segment.sync_folder", _fail)
        with pytest.raises(LogWriteError):
            log.commit()
        assert log.committed == {} and datas(log.read()) == []
    log.commit()
    assert datas(log.read()) == datas(read_folder(tmp_path)) == maps


def test_the_log_s_own_folder_is_durable_before_anything_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[Path] = []
    monkeypatch.setattr("bus.log.disk.sync_folder", synced.append)
    folder = tmp_path / "artifacts" / "log"
    crash(Log.open(folder, {}))
    assert synced == [tmp_path, tmp_path / "artifacts"]
    crash(Log.open(folder, {}))
    assert synced[2:] == [tmp_path / "artifacts"], "who made it may have died before it was synced"


def test_more_topics_than_a_file_has_channels_for_take_several_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bus.log.pending.MAX_CHANNELS", 3)
    log = Log.open(tmp_path, {})
    maps = []
    for seq in range(1, 21):
        maps.append(put(log, f"reply.client{seq % 7}", 0))
        maps.append(put(log, "train.step", seq))
        if seq % 4 == 0:
            log.commit()
    assert datas(log.read()) == datas(read_folder(tmp_path)) == maps
    assert log.committed == {("trainer", 7): 20}
    crash(log)
    log = Log.open(tmp_path, {})
    maps.append(put(log, "power.sample", 21))
    log.close()
    assert datas(read_folder(tmp_path)) == maps
    assert {segment.state for segment in list_segments(tmp_path)} == {State.CLOSED}
