"""Any order of appends, commits, failures, crashes, rolls and rewrites against a plain list."""

from __future__ import annotations

import os
import shutil
import tempfile
from itertools import pairwise
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from test_log_write import crash, datas, put

from bus.log import segment as segment_module
from bus.log.compaction import compact
from bus.log.disk import sync
from bus.log.errors import LogWriteError
from bus.log.info import inspect
from bus.log.log import Log
from bus.log.reader import read_folder

SOURCES = ("trainer", "power", "xr")
TOPICS = ("train.step", "train.eval", "power.sample")


class LogMachine(RuleBasedStateMachine):
    """`events` and `streams` are what is committed; `waiting` and `moved` what the next commit adds."""

    @initialize()
    def start(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.events: list[tuple[str, bytes]] = []
        self.streams: dict[tuple[str, int], int] = {}
        self.waiting: list[tuple[str, bytes]] = []
        self.moved: dict[tuple[str, int], int | None] = {}
        self.seqs = dict.fromkeys(SOURCES, 0)
        self.lost, self.losing = 0, 0
        self.log = Log.open(self.folder, {}, segment_bytes=1200)

    @rule(source=st.sampled_from(SOURCES), topic=st.sampled_from(TOPICS), size=st.integers(0, 300))
    def append(self, source: str, topic: str, size: int) -> None:
        self.seqs[source] += 1
        self.waiting.append((topic, put(self.log, topic, self.seqs[source], source=source, size=size)))
        self.moved[source, 7] = self.seqs[source]

    @rule(source=st.sampled_from(SOURCES))
    def say_goodbye(self, source: str) -> None:
        self.log.end_stream(source, 7)
        self.moved[source, 7] = None

    @rule(count=st.integers(1, 9))
    def lose(self, count: int) -> None:
        self.log.lose("xr.pose.head", count)
        self.losing += count

    @rule()
    def commit(self) -> None:
        self.log.commit()
        self._is_committed()

    @rule()
    def fail_to_sync(self) -> None:
        if not (self.moved or self.losing):
            return
        segment_module.sync = _fail
        try:
            self.log.commit()
        except LogWriteError:
            pass
        else:
            raise AssertionError("a commit succeeded without a sync")
        finally:
            segment_module.sync = sync

    @rule(torn=st.binary(max_size=40), part=st.floats(0, 1))
    def crash_and_start_again(self, torn: bytes, part: float) -> None:
        """The unsynced group is on disk in part: a prefix of noise, or of what the commit would have written."""
        path, end = self._open_file()
        if path is not None and self.moved and part > 0.5:
            self._write_part_of_the_next_group(path, end, part)
        elif path is not None:
            with path.open("ab") as file:
                file.write(torn)
        crash(self.log)
        self.waiting, self.moved, self.losing = [], {}, 0
        self.log = Log.open(self.folder, {}, segment_bytes=1200)
        self._forget_what_was_lost()

    @rule()
    def stop_and_start_again(self) -> None:
        self.log.close()
        self._is_committed()
        self.log = Log.open(self.folder, {}, segment_bytes=1200)
        self._forget_what_was_lost()

    @rule()
    def rewrite(self) -> None:
        compact(self.folder)

    @invariant()
    def the_log_is_the_list(self) -> None:
        entries = list(self.log.read())
        assert [(entry.topic, entry.data) for entry in entries] == self.events
        assert datas(read_folder(self.folder)) == [data for _, data in self.events]
        assert all(a.log_time < b.log_time for a, b in pairwise(entries))
        assert self.log.committed == self.streams
        assert sum(info.lost.get("xr.pose.head", 0) for info in inspect(self.folder)) == self.lost
        for topic in TOPICS:
            found, newest = self.log.last(topic), [data for name, data in self.events if name == topic]
            assert (found.data if found else None) == (newest[-1] if newest else None)

    def teardown(self) -> None:
        if hasattr(self, "log"):
            crash(self.log)
            shutil.rmtree(self.folder)

    def _is_committed(self) -> None:
        self.events += self.waiting
        for stream, last in self.moved.items():
            if last is None:
                self.streams.pop(stream, None)
            else:
                self.streams[stream] = last
        self.lost += self.losing
        self.waiting, self.moved, self.losing = [], {}, 0

    def _forget_what_was_lost(self) -> None:
        assert self.log.streams == self.streams
        for source in SOURCES:
            self.seqs[source] = max(self.streams.get((source, 7), 0), 0)

    def _open_file(self) -> tuple[Path | None, int]:
        segment = self.log._segment
        return (None, 0) if segment is None else (segment.path, segment.contents.end)

    def _write_part_of_the_next_group(self, path: Path, end: int, part: float) -> None:
        segment = self.log._segment
        assert segment is not None
        segment.write([self.log._pending[0]])
        os.truncate(path, end + int((path.stat().st_size - end) * (part - 0.5)))


def _fail(fd: int) -> None:
    raise OSError(28, "No space left on device")


LogMachine.TestCase.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
TestLog = LogMachine.TestCase
