"""What a log counts and lets go: segments that end by age, events known to be lost, and the oldest ones when it is too large."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mcap.reader import make_reader
from test_log_write import crash, datas, fill, put

from agents.recorder.agent import Recorder
from agents.recorder.compactor import LINEAGE, Compactor
from bus.cli import main
from bus.errors import CorruptLog
from bus.log import log as log_module
from bus.log.chunks import ChunkedFile
from bus.log.compaction import compact
from bus.log.errors import DamagedSegment
from bus.log.folder import State, list_segments
from bus.log.info import inspect
from bus.log.log import Log
from bus.log.reader import read_folder
from bus.log.retention import thin
from bus.topic import LATEST


def test_a_segment_ends_when_its_first_event_is_old_even_if_nothing_follows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [10**18]
    monkeypatch.setattr(log_module, "time_ns", lambda: now[0])
    log = Log.open(tmp_path, {}, segment_seconds=60)
    fill(log, groups=2)
    now[0] += 59 * 10**9
    assert log.commit().ended is None
    now[0] += 10**9
    assert log.commit().ended == tmp_path / "000001.done.mcap"
    assert log.commit().ended is None
    fill(log, groups=1, first=7)
    crash(log)
    now[0] += 60 * 10**9
    log = Log.open(tmp_path, {}, segment_seconds=60)
    assert log.commit().ended == tmp_path / "000002.done.mcap", "a start does not make a segment younger"


def test_losses_are_counted_by_topic_through_crash_close_and_rewrite(tmp_path: Path) -> None:
    log = Log.open(tmp_path, {}, segment_bytes=10**9)
    fill(log, groups=2)
    log.lose("xr.pose.head", 5)
    crash(log)  # not committed: not durable
    log = Log.open(tmp_path, {})
    log.lose("xr.pose.head", 3)
    log.lose("xr.pose.head", 4)
    log.commit()
    put(log, "xr.pose.head", 9, plane=LATEST)
    log.lose("train.step", 1)
    log.commit()
    lost = {"xr.pose.head": 7, "train.step": 1}
    for step in (lambda: None, lambda: crash(log), log._end_segment, lambda: compact(tmp_path)):
        step()
        (info,) = inspect(tmp_path)
        assert (info.lost, info.messages) == (lost, {"train.step": 6, "xr.pose.head": 1})
    assert len(datas(read_folder(tmp_path))) == 7
    with (tmp_path / "000001.mcap").open("rb") as file:
        metadata = {record.name: record.metadata for record in make_reader(file, validate_crcs=True).iter_metadata()}
    assert metadata["zeropoint.lost"] == {"xr.pose.head": "7", "train.step": "1"}
    assert metadata["zeropoint.counts"] == {"train.step": "6", "xr.pose.head": "1"}


def test_a_loss_in_the_first_group_is_where_the_index_says(tmp_path: Path) -> None:
    log = Log.open(tmp_path, {})
    log.lose("train.step", 2)
    put(log, "train.step", 3)
    log.commit()
    log._end_segment()
    with (tmp_path / "000001.done.mcap").open("rb") as file:
        reader = make_reader(file)
        assert {record.name: record.metadata for record in reader.iter_metadata()}["zeropoint.lost"] == {"train.step": "2"}


def mixed_log(folder: Path, segments: int) -> Log:
    """Closed segments of train.step, power.sample and artifact.created events, one group each, and one that is open."""
    log = Log.open(folder, {}, segment_bytes=1)
    for seq in range(1, 3 * segments + 2, 3):
        put(log, "train.step", seq)
        put(log, "power.sample", seq + 1, size=2000)
        put(log, "artifact.created", seq + 2)
        log.commit()
    compact(folder)
    return log


def test_the_oldest_segments_lose_what_lineage_does_not_need_and_say_how_much(tmp_path: Path) -> None:
    log = mixed_log(tmp_path, 6)
    before = inspect(tmp_path)
    total = sum(info.bytes for info in before)
    thinned = thin(tmp_path, total - 1, LINEAGE)
    assert [path.name for path in thinned.paths] == ["000001.mcap"] and thinned.over == 0
    info, *rest = inspect(tmp_path)
    assert (info.expired, info.messages) == ({"power.sample": 1}, {"train.step": 1, "artifact.created": 1})
    assert (info.recorded, info.streams) == (before[0].recorded, before[0].streams)
    assert rest == before[1:]
    assert [entry.topic for entry in log.read(limit=3)] == ["train.step", "artifact.created", "train.step"]


def test_lineage_alone_over_the_limit_is_said_and_nothing_more_is_removed(tmp_path: Path) -> None:
    log = mixed_log(tmp_path, 4)
    thinned = thin(tmp_path, 1, LINEAGE)
    assert len(thinned.paths) == 4 and thinned.over > 0
    again = thin(tmp_path, 1, LINEAGE)
    assert again.paths == [] and again.over == thinned.over
    assert [entry.topic for entry in log.read(topics=["train.", "artifact."])] == ["train.step", "artifact.created"] * 5
    assert [entry.topic for entry in log.read(topics=["power."])] == ["power.sample"], "the open segment was touched"


def test_a_thinned_segment_is_an_mcap_like_any_other_and_the_log_goes_on(tmp_path: Path) -> None:
    log = mixed_log(tmp_path, 3)
    thin(tmp_path, 1, ["artifact.created"])
    thin(tmp_path, 1, ["export."])
    with (tmp_path / "000001.mcap").open("rb") as file:
        reader = make_reader(file, validate_crcs=True)
        assert list(reader.iter_messages()) == []
        metadata = {record.name: record.metadata for record in reader.iter_metadata()}
    assert metadata["zeropoint.expired"] == {"train.step": "1", "power.sample": "1", "artifact.created": "1"}
    assert metadata["zeropoint.counts"] == metadata["zeropoint.expired"]
    log.close()
    log = Log.open(tmp_path, {})
    assert log.committed == {("trainer", 7): 12} and len(list(log.read())) == 3


def test_a_reader_goes_on_in_the_segment_that_is_thinned_underneath_it(tmp_path: Path) -> None:
    log = mixed_log(tmp_path, 3)
    whole = list(log.read())
    reading = read_folder(tmp_path)
    seen = [next(reading)]
    thin(tmp_path, 1, LINEAGE)
    seen += list(reading)
    assert seen[:3] == whole[:3] and [entry.topic for entry in seen[3:5]] == ["train.step", "artifact.created"]


def test_damage_in_the_oldest_segment_keeps_no_other_from_being_thinned(tmp_path: Path) -> None:
    mixed_log(tmp_path, 3)
    first = tmp_path / "000001.mcap"
    data = bytearray(first.read_bytes())
    data[data.index(b"\x28\xb5\x2f\xfd")] ^= 1
    first.write_bytes(data)
    thinned = thin(tmp_path, 1, LINEAGE)
    assert [error.path for error in thinned.damaged] == [first] and [path.name for path in thinned.paths] == ["000002.mcap", "000003.mcap"]
    assert first.read_bytes() == data and not list(tmp_path.glob("*.tmp"))


def test_damage_anywhere_in_a_segment_is_never_given_a_new_checksum(tmp_path: Path) -> None:
    mixed_log(tmp_path, 2)
    first = tmp_path / "000001.mcap"
    data = bytearray(first.read_bytes())
    data[data.rindex(b"trainer/7") + len(b"trainer/7") + 4] ^= 1  # the table of streams at its end: 3 becomes 2
    first.write_bytes(data)
    thinned = thin(tmp_path, 1, LINEAGE)
    assert [error.path for error in thinned.damaged] == [first] and [path.name for path in thinned.paths] == ["000002.mcap"]
    assert first.read_bytes() == data


def test_a_thinning_that_loses_a_kept_event_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mixed_log(tmp_path, 2)
    before = {segment.path: segment.path.read_bytes() for segment in list_segments(tmp_path)}
    add = ChunkedFile.add
    monkeypatch.setattr(ChunkedFile, "add", lambda self, body, heads: add(self, body, heads[:-1]))
    with pytest.raises(CorruptLog, match="1 messages instead of 2"):
        thin(tmp_path, 1, LINEAGE)
    assert {segment.path: segment.path.read_bytes() for segment in list_segments(tmp_path)} == before


def test_the_last_segment_is_never_thinned(tmp_path: Path) -> None:
    mixed_log(tmp_path, 2).close()
    assert {segment.state for segment in list_segments(tmp_path)} == {State.CLOSED}
    thin(tmp_path, 1, [])
    assert [bool(info.expired) for info in inspect(tmp_path)] == [True, True, False]


@settings(max_examples=30, deadline=None)
@given(
    topics=st.lists(st.sampled_from(["train.step", "power.sample", "xr.head", "export.done"]), min_size=4, max_size=40),
    limits=st.lists(st.integers(1, 30_000), min_size=1, max_size=3),
)
def test_whatever_is_thinned_counts_add_up_and_lineage_stays(
    tmp_path_factory: pytest.TempPathFactory, topics: list[str], limits: list[int]
) -> None:
    folder = tmp_path_factory.mktemp("thinned")
    log = Log.open(folder, {}, segment_bytes=1)
    for seq, topic in enumerate(topics, start=1):
        put(log, topic, seq, size=300)
        if seq % 3 == 0:
            log.commit()
    log.commit()
    compact(folder)
    whole, before = list(log.read()), [info.recorded for info in inspect(folder)]
    for limit in limits:
        thin(folder, limit, LINEAGE)
    assert [info.recorded for info in inspect(folder)] == before
    left = list(log.read())
    assert [entry for entry in left if entry.topic.startswith(LINEAGE)] == [entry for entry in whole if entry.topic.startswith(LINEAGE)]
    assert set(left) <= set(whole)
    crash(log)


class Working:
    """A compactor over a folder, and what it says: after each pass, what was in its way, and whether the log fits."""

    def __init__(self, folder: Path, is_busy: Callable[[], bool] = lambda: False) -> None:
        self.errors: list[Exception | None] = []
        self.damages: list[DamagedSegment] = []
        self.kept: list[bool] = []
        self.compactor = Compactor(folder, 1, is_busy, self.errors.append, self.damages.append, self.kept.append)

    def await_errors(self, wanted: int) -> None:
        for _ in range(100):
            if len(self.errors) >= wanted:
                return
            self.compactor._thread.join(0.1)


def test_the_compactor_thins_and_says_when_that_is_not_enough(tmp_path: Path) -> None:
    mixed_log(tmp_path, 3)
    working = Working(tmp_path)
    working.await_errors(1)
    assert working.compactor.close() and (working.errors, working.damages, working.kept) == ([None], [], [False])
    assert [bool(info.expired) for info in inspect(tmp_path)] == [True, True, True, False]


def test_a_disk_too_full_to_rewrite_a_segment_is_thinned_and_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = mixed_log(tmp_path, 3)
    log.commit()  # the fourth segment ends
    monkeypatch.setattr("agents.recorder.compactor.RETRY_SECONDS", 0.1)
    with monkeypatch.context() as patch:
        patch.setattr("bus.log.compaction.replace", _no_space)
        working = Working(tmp_path)
        working.await_errors(1)
        assert [bool(info.expired) for info in inspect(tmp_path)] == [True, True, True, False]
    working.await_errors(2)
    assert working.compactor.close() and working.damages == []
    assert [type(error) for error in working.errors] == [OSError, type(None)], "said once, and once that it works again"
    assert {segment.state for segment in list_segments(tmp_path)} == {State.CLOSED}


def _no_space(*_: object) -> None:
    raise OSError(28, "No space left on device")


def test_a_recorder_that_ends_while_a_rewrite_is_stuck_begins_no_second_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = mixed_log(tmp_path, 3)
    log.commit()  # the fourth segment ends, and is rewritten
    stuck, released = threading.Event(), threading.Event()

    def sync_slowly(fd: int) -> None:
        assert threading.current_thread().name == "compactor", "a second rewrite"
        stuck.set()
        released.wait(10)

    monkeypatch.setattr("bus.log.compaction.sync", sync_slowly)
    monkeypatch.setattr("agents.recorder.compactor.CLOSE_TIMEOUT", 0.05)
    working = Working(tmp_path)
    assert stuck.wait(10)
    parts = {"committer": Mute(), "intake": Mute(), "projector": Mute(), "drawer": Mute(), "compactor": working.compactor, "recording": log}
    publisher = SimpleNamespace(epoch=1)
    ending = SimpleNamespace(name="recorder", client=SimpleNamespace(publisher=publisher), **parts)
    asyncio.run(Recorder.close(cast(Recorder, ending)))
    assert list_segments(tmp_path)[-1].state is State.DONE
    released.set()
    working.compactor._thread.join(10)
    assert not list(tmp_path.glob("*.tmp"))


class Mute:
    """A part of the recorder that has nothing left to do."""

    def close(self) -> None: ...

    def end(self, stream: tuple[str, int]) -> None: ...


def test_the_command_line_names_thinned_segments_and_counts_lost_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BUS_HOME", str(tmp_path))
    log = mixed_log(tmp_path / "artifacts" / "log", 2)
    main.run(["log", "info"])
    assert "lost" not in capsys.readouterr().out
    log.lose("xr.pose.head", 3)
    log.commit()
    thin(tmp_path / "artifacts" / "log", 1, LINEAGE)
    main.run(["log", "ls"])
    assert capsys.readouterr().out.count("thinned") == 2
    main.run(["log", "info"])
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["topic", "recorded", "lost", "expired"] in rows and ["xr.pose.head", "3"] in rows and ["power.sample", "3", "2"] in rows
    main.run(["log", "info", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert (found["topics"]["power.sample"], found["recorded"]["power.sample"], found["lost"]) == (1, 3, {"xr.pose.head": 3})
    assert found["expired"] == {"power.sample": 2}
    crash(log)


def test_the_compactor_waits_while_the_recorder_is_busy(tmp_path: Path) -> None:
    mixed_log(tmp_path, 3)
    before = [segment.state for segment in list_segments(tmp_path)]
    busy = threading.Event()
    busy.set()
    working = Working(tmp_path, busy.is_set)
    working.compactor._thread.join(0.5)
    assert [segment.state for segment in list_segments(tmp_path)] == before and not working.errors
    busy.clear()
    working.await_errors(1)
    assert working.errors == [None] and working.kept and working.compactor.close()


def test_told_to_stop_while_the_recorder_is_busy_the_compactor_ends(tmp_path: Path) -> None:
    mixed_log(tmp_path, 3)

    assert Working(tmp_path, lambda: True).compactor.close()
