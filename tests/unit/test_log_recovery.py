"""The log after a crash, a power cut, an interrupted rewrite, and damage: what was committed is there, or missed aloud."""

from __future__ import annotations

import os
import resource
import shutil
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from test_log_write import crash, datas, fill, put

from bus.errors import CorruptLog
from bus.log import log as log_module
from bus.log.chunks import CHUNK_BYTES, ChunkedFile
from bus.log.compaction import compact, waiting_bytes
from bus.log.errors import DamagedSegment
from bus.log.folder import Segment, State, list_files, list_segments
from bus.log.info import inspect
from bus.log.log import Log
from bus.log.reader import read_folder
from bus.log.records import Entry
from bus.log.retention import thin


def small_log(folder: Path) -> tuple[list[bytes], list[int]]:
    """Three committed groups, the last with a goodbye; their maps, and the file's length after each."""
    log = Log.open(folder, {})
    maps, ends = [], []
    for group in range(3):
        maps += [put(log, "train.step", 2 * group + 1, size=3), put(log, "train.step", 2 * group + 2, size=3)]
        if group == 2:
            put(log, "power.sample", 1, source="power", size=3)
            log.end_stream("power", 7)
        log.commit()
        ends.append((folder / "000001.open.mcap").stat().st_size)
    crash(log)
    return datas(read_folder(folder)), ends


def test_a_file_cut_anywhere_recovers_exactly_the_groups_before_the_cut(tmp_path: Path) -> None:
    maps, ends = small_log(tmp_path / "whole")
    whole = (tmp_path / "whole" / "000001.open.mcap").read_bytes()
    folder = tmp_path / "cut"
    folder.mkdir()
    for length in range(len(whole) + 1):
        (folder / "000001.open.mcap").write_bytes(whole[:length])
        groups = sum(end <= length for end in ends)
        committed = maps[: 2 * groups] if groups < 3 else maps
        log = Log.open(folder, {})
        assert datas(log.read()) == committed
        assert log.committed == ({("trainer", 7): 2 * groups} if groups else {})
        assert bool(log.repairs) == (length not in (*ends,))
        crash(log)
        assert sum(path.stat().st_size for path in folder.glob("*.mcap")) == max([0, *(end for end in ends if end <= length)])


def test_a_torn_log_goes_on_where_it_was_cut(tmp_path: Path) -> None:
    maps, ends = small_log(tmp_path)
    os.truncate(tmp_path / "000001.open.mcap", ends[1] + 20)
    log = Log.open(tmp_path, {})
    maps[4:] = fill(log, groups=2, first=5)
    assert datas(log.read()) == maps
    log.close()
    assert datas(read_folder(tmp_path)) == maps


def test_a_tail_of_zeros_or_noise_is_cut(tmp_path: Path) -> None:
    maps, ends = small_log(tmp_path)
    for noise in (bytes(5000), os.urandom(5000), b"ZPGROUP1" * 600):
        with (tmp_path / "000001.open.mcap").open("ab") as file:
            file.write(noise)
        log = Log.open(tmp_path, {})
        assert datas(log.read()) == maps and "cut a torn tail of" in log.repairs[0].what
        assert (tmp_path / "000001.open.mcap").stat().st_size == ends[-1]
        crash(log)


def test_a_power_cut_in_a_commit_of_several_groups_costs_no_more_than_what_was_not_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pages reach the medium in any order: one of what was not synced yet may be missing though all behind it are there."""
    monkeypatch.setattr(log_module, "MAX_EVENTS", 3)
    log = Log.open(tmp_path / "whole", {})
    path = tmp_path / "whole" / "000001.open.mcap"
    maps = fill(log, groups=1)
    images = [path.read_bytes()]
    monkeypatch.setattr("bus.log.segment.sync", lambda fd: images.append(path.read_bytes()))
    maps += [put(log, "train.step", seq) for seq in range(4, 13)]
    log.commit()
    folder = tmp_path / "found"
    folder.mkdir()
    for group, (synced, written) in enumerate(pairwise(images), start=1):
        for hole in range(len(synced), len(written), 16):
            (folder / path.name).write_bytes(written[:hole] + bytes(len(written[hole : hole + 16])) + written[hole + 16 :])
            found = Log.open(folder, {})
            assert (datas(found.read()), found.committed) == (maps[: 3 * group], {("trainer", 7): 3 * group})
            crash(found)


def test_every_flipped_byte_in_the_last_group_costs_that_group_alone(tmp_path: Path) -> None:
    maps, ends = small_log(tmp_path / "whole")
    whole = bytearray((tmp_path / "whole" / "000001.open.mcap").read_bytes())
    folder = tmp_path / "flipped"
    folder.mkdir()
    for offset in range(ends[1], ends[2]):
        flipped = bytearray(whole)
        flipped[offset] ^= 0x10
        (folder / "000001.open.mcap").write_bytes(flipped)
        log = Log.open(folder, {})
        assert datas(log.read()) == maps[:4] and len(log.repairs) == 1
        crash(log)


def test_damage_with_good_groups_behind_it_is_set_aside_never_cut(tmp_path: Path) -> None:
    maps, ends = small_log(tmp_path / "whole")
    whole = bytearray((tmp_path / "whole" / "000001.open.mcap").read_bytes())
    for offset in range(ends[0], ends[1], 7):
        folder = tmp_path / str(offset)
        folder.mkdir()
        flipped = bytearray(whole)
        flipped[offset] ^= 0x10
        (folder / "000001.open.mcap").write_bytes(flipped)
        log = Log.open(folder, {})
        aside = folder / "000001.damaged.mcap"
        assert aside.read_bytes() == flipped and log.repairs[0].path == aside
        assert log.committed == {("trainer", 7): 6}  # from the group behind the damage: what was acknowledged is not asked for again
        more = fill(log, groups=1, first=7)
        seen, resume = _read_to_damage(log)
        assert seen == maps[:2] and resume is not None
        assert datas(log.read(after=resume)) == maps[4:] + more
        crash(log)


def _read_to_damage(log: Log, after: int = 0) -> tuple[list[bytes], int | None]:
    seen: list[bytes] = []
    with pytest.raises(DamagedSegment) as raised:
        for entry in log.read(after=after):
            seen.append(entry.data)
    return seen, raised.value.resume_after


def test_a_damaged_beginning_keeps_the_table_of_the_segment_before(tmp_path: Path) -> None:
    log = Log.open(tmp_path, {})
    maps = [put(log, "power.sample", 4, source="power"), *fill(log, groups=2)]
    log._end_segment()
    behind = fill(log, groups=2, first=7)[3:]
    crash(log)
    path = list_segments(tmp_path)[-1].path
    flipped = bytearray(path.read_bytes())
    flipped[60] ^= 1
    path.write_bytes(flipped)
    log = Log.open(tmp_path, {})
    assert log.committed == {("power", 7): 4, ("trainer", 7): 12}  # of the group behind it, which declares its channels itself
    assert inspect(tmp_path)[-1].problem == "damaged at byte 0"
    maps += fill(log, groups=1, first=13)
    seen, resume = _read_to_damage(log)
    assert seen == maps[:7] and datas(log.read(after=resume or 0)) == behind + maps[7:]


def test_a_damaged_chunk_is_reported_and_reading_goes_on_behind_it(tmp_path: Path) -> None:
    log = Log.open(tmp_path, {})
    maps = fill(log, groups=40, size=30_000)
    log.close()
    path = tmp_path / "000001.mcap"
    data = bytearray(path.read_bytes())
    frame = b"\x28\xb5\x2f\xfd"  # zstd's magic: the second chunk's data
    data[data.index(frame, data.index(frame) + 1)] ^= 1
    path.write_bytes(data)
    seen: list[Entry] = []
    with pytest.raises(DamagedSegment) as raised:
        for entry in read_folder(tmp_path):
            seen.append(entry)
    assert datas(iter(seen)) == maps[: len(seen)] and 0 < len(seen) < len(maps)
    rest = datas(read_folder(tmp_path, after=raised.value.resume_after or 0))
    assert rest and rest == maps[-len(rest) :]


def test_reading_goes_on_behind_two_damaged_segments_that_are_neighbours(tmp_path: Path) -> None:
    log = Log.open(tmp_path, {}, segment_bytes=1)
    maps = [fill(log, groups=1, first=first) for first in (1, 4, 7, 10)]
    log.close()
    for number, offset in ((2, -20), (3, 60)):  # a summary, and the beginning of the next
        _flip(tmp_path / f"00000{number}.mcap", offset)
    seen, resume = _read_to_damage(Log.open(tmp_path, {}))
    assert seen == maps[0] and resume is not None
    assert datas(read_folder(tmp_path, after=resume)) == maps[3]


def test_reading_goes_on_behind_every_damage_where_it_is_told_to(tmp_path: Path) -> None:
    log = Log.open(tmp_path, {}, segment_bytes=1)
    maps = [fill(log, groups=1, first=first) for first in (1, 4, 7, 10, 13)]
    log.close()
    _flip(tmp_path / "000002.mcap", -20)
    _flip(tmp_path / "000004.mcap", (tmp_path / "000004.mcap").read_bytes().index(b"\x28\xb5\x2f\xfd"))
    log = Log.open(tmp_path, {})
    for read in (log.read, lambda **query: read_folder(tmp_path, **query)):
        damages: list[DamagedSegment] = []
        assert datas(read(on_damage=damages.append)) == maps[0] + maps[2] + maps[4]
        assert [damage.path.name for damage in damages] == ["000002.mcap", "000004.mcap"]
        assert datas(read(on_damage=damages.append, limit=4)) == maps[0] + maps[2][:1]


@pytest.mark.parametrize("is_closed", [False, True])
def test_the_last_of_a_topic_that_can_be_read_is_found_behind_damage(tmp_path: Path, is_closed: bool) -> None:
    log = Log.open(tmp_path, {})
    maps = [put(log, "run.started", 1), put(log, "run.started", 2)]
    fill(log, groups=1, per_group=1, first=3, size=CHUNK_BYTES)
    damaged = put(log, "run.started", 4, size=CHUNK_BYTES)
    fill(log, groups=2, first=5)
    if is_closed:
        log.close()
        log = Log.open(tmp_path, {})
        path = tmp_path / "000001.mcap"
        data = path.read_bytes()
        _flip(path, data.index(b"\x28\xb5\x2f\xfd", data.index(b"\x28\xb5\x2f\xfd") + 1))
    else:
        crash(log)
        path = tmp_path / "000001.open.mcap"
        _flip(path, path.read_bytes().index(damaged) + 50)
        log = Log.open(tmp_path, {})
    with pytest.raises(DamagedSegment):
        log.last("run.started")
    damages: list[DamagedSegment] = []
    found = log.last("run.started", damages.append)
    assert found is not None and found.data == maps[1] and len(damages) == 1


def _flip(path: Path, offset: int) -> None:
    data = bytearray(path.read_bytes())
    data[offset] ^= 1
    path.write_bytes(data)


def test_a_last_closed_segment_that_is_damaged_stops_the_start_aloud(tmp_path: Path) -> None:
    log = Log.open(tmp_path, {})
    fill(log, groups=3)
    log.close()
    path = tmp_path / "000001.mcap"
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 1
    path.write_bytes(data)
    with pytest.raises(DamagedSegment, match="restore it or move it aside"):
        Log.open(tmp_path, {})


def test_a_done_segment_with_damage_is_set_aside_by_its_rewrite(tmp_path: Path) -> None:
    log = Log.open(tmp_path, {})
    maps = fill(log, groups=5)
    log._end_segment()
    maps += fill(log, groups=1, first=16)
    path = tmp_path / "000001.done.mcap"
    data = bytearray(path.read_bytes())
    data[data.index(maps[4])] ^= 1
    path.write_bytes(data)
    with pytest.raises(DamagedSegment):
        compact(tmp_path)
    assert [segment.path.name for segment in list_segments(tmp_path)] == ["000001.damaged.mcap", "000002.open.mcap"]
    assert compact(tmp_path) == [] and not list(tmp_path.glob("*.tmp"))
    seen, resume = _read_to_damage(log)
    assert seen == maps[:3] and datas(log.read(after=resume or 0)) == maps[6:]


def test_a_missing_end_of_an_abandoned_segment_is_reported(tmp_path: Path) -> None:
    maps, ends = small_log(tmp_path)
    shutil.copy(tmp_path / "000001.open.mcap", tmp_path / "kept")
    log = Log.open(tmp_path, {})
    assert log._abandon() == tmp_path / "000001.open.mcap"
    maps_behind = fill(log, groups=1, first=7)
    os.truncate(tmp_path / "000001.open.mcap", ends[1])
    seen, resume = _read_to_damage(log)
    assert seen == maps[:4] and datas(log.read(after=resume or 0)) == maps_behind
    shutil.copy(tmp_path / "kept", tmp_path / "000001.open.mcap")
    assert datas(log.read()) == maps + maps_behind


class TestAnInterruptedEndingOfASegment:
    """Each state that a crash can leave on disk, made by hand, must read the same before and after the next start."""

    @pytest.fixture
    def maps(self, tmp_path: Path) -> list[bytes]:
        log = Log.open(tmp_path, {})
        maps = fill(log, groups=4)
        self.open_bytes = (tmp_path / "000001.open.mcap").read_bytes()
        log._end_segment()
        crash(log)
        return maps

    def check(self, folder: Path, maps: list[bytes]) -> None:
        assert datas(read_folder(folder)) == maps
        log = Log.open(folder, {}, segment_bytes=1500)
        assert log.committed == {("trainer", 7): 12}
        assert list_files(folder) == list_segments(folder), "a leftover outlived the start"
        maps = maps + fill(log, groups=1, first=13)
        assert datas(log.read()) == maps
        compact(folder)
        assert datas(log.read()) == maps
        log.close()
        assert datas(read_folder(folder)) == maps
        assert {segment.state for segment in list_segments(folder)} == {State.CLOSED}
        assert not list(folder.glob("*.tmp"))

    def test_footer_half_written(self, tmp_path: Path, maps: list[bytes]) -> None:
        done = (tmp_path / "000001.done.mcap").read_bytes()
        (tmp_path / "000001.done.mcap").unlink()
        for length in range(len(self.open_bytes), len(done), 11):
            (tmp_path / "000001.open.mcap").write_bytes(done[:length])
            assert datas(read_folder(tmp_path)) == maps
            log = Log.open(tmp_path, {})
            assert datas(log.read()) == maps and log.committed == {("trainer", 7): 12}
            crash(log)
        self.check(tmp_path, maps)

    def test_footer_written_not_renamed(self, tmp_path: Path, maps: list[bytes]) -> None:
        (tmp_path / "000001.done.mcap").rename(tmp_path / "000001.open.mcap")
        self.check(tmp_path, maps)

    def test_renamed_and_no_new_segment(self, tmp_path: Path, maps: list[bytes]) -> None:
        self.check(tmp_path, maps)

    @pytest.mark.parametrize("length", [0, 5, 60, 200])
    def test_new_segment_half_made(self, tmp_path: Path, maps: list[bytes], length: int) -> None:
        (tmp_path / "000002.open.mcap").write_bytes(self.open_bytes[:length])
        self.check(tmp_path, maps)

    def test_rewrite_half_written(self, tmp_path: Path, maps: list[bytes]) -> None:
        (tmp_path / "000001.tmp").write_bytes(self.open_bytes[:500])
        self.check(tmp_path, maps)

    def test_rewrite_whole_not_renamed(self, tmp_path: Path, maps: list[bytes]) -> None:
        done = (tmp_path / "000001.done.mcap").read_bytes()
        compact(tmp_path)
        (tmp_path / "000001.mcap").rename(tmp_path / "000001.tmp")
        (tmp_path / "000001.done.mcap").write_bytes(done)
        self.check(tmp_path, maps)

    def test_rewrite_renamed_source_not_removed(self, tmp_path: Path, maps: list[bytes]) -> None:
        done = (tmp_path / "000001.done.mcap").read_bytes()
        compact(tmp_path)
        (tmp_path / "000001.done.mcap").write_bytes(done)
        self.check(tmp_path, maps)

    def test_abandoned_source_not_removed(self, tmp_path: Path, maps: list[bytes]) -> None:
        compact(tmp_path)
        (tmp_path / "000001.open.mcap").write_bytes(self.open_bytes)
        self.check(tmp_path, maps)


def test_a_reader_follows_segments_that_are_closed_underneath_it(tmp_path: Path) -> None:
    log = Log.open(tmp_path, {}, segment_bytes=1500)
    maps = fill(log, groups=30)
    for read in (log.read, lambda: read_folder(tmp_path)):
        reading = read()
        seen = [next(reading).data]
        compact(tmp_path)
        maps += fill(log, groups=15, first=len(maps) + 1)
        seen += datas(reading)
        assert seen == maps[: len(seen)] and len(seen) >= len(maps) - 45


@pytest.mark.parametrize(
    ("module", "look"),
    [
        ("info", lambda folder: sum(info.messages["train.step"] for info in inspect(folder)) == 12),
        ("compaction", lambda folder: len(compact(folder)) == 3),
        ("compaction", lambda folder: waiting_bytes(folder) > 0),
        ("retention", lambda folder: thin(folder, 1, []).over > 0),
    ],
    ids=["inspect", "compact", "waiting_bytes", "thin"],
)
def test_a_segment_that_is_renamed_between_two_looks_is_nobody_s_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str, look: Callable[[Path], bool]
) -> None:
    log = Log.open(tmp_path, {}, segment_bytes=1)
    fill(log, groups=4)
    name = f"bus.log.{module}.list_segments"

    def listed(folder: Path) -> list[Segment]:
        """The recorder ends the open segment right behind the listing."""
        monkeypatch.setattr(name, list_segments)
        found = list_segments(folder)
        log._end_segment()
        return found

    monkeypatch.setattr(name, listed)
    assert look(tmp_path)
    log.close()


def test_a_reader_gives_up_on_segments_that_keep_vanishing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = Log.open(tmp_path, {})
    fill(log, groups=1)
    segments = list_segments(tmp_path)
    monkeypatch.setattr("bus.log.reader.list_segments", lambda folder: segments)
    segments[0].path.unlink()
    with pytest.raises(CorruptLog, match="vanished"):
        list(read_folder(tmp_path))


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[bytes, list[bytes]]]:
    """The same events as an open, a done and a closed file."""
    folder = tmp_path_factory.mktemp("samples")
    log = Log.open(folder, {})
    maps = fill(log, groups=6)
    found = {"000001.open.mcap": ((folder / "000001.open.mcap").read_bytes(), maps)}
    log._end_segment()
    found["000001.done.mcap"] = ((folder / "000001.done.mcap").read_bytes(), maps)
    log.close()
    found["000001.mcap"] = ((folder / "000001.mcap").read_bytes(), maps)
    return found


EDIT = st.tuples(
    st.sampled_from(["set", "cut", "insert", "huge", "swap", "repeat"]), st.integers(0, 2**20), st.binary(min_size=1, max_size=9)
)


@settings(max_examples=400, deadline=None)
@given(name=st.sampled_from(["000001.open.mcap", "000001.done.mcap", "000001.mcap"]), edits=st.lists(EDIT, min_size=1, max_size=3))
def test_mutated_files_yield_what_was_written_or_say_that_they_are_damaged(
    samples: dict[str, tuple[bytes, list[bytes]]], tmp_path_factory: pytest.TempPathFactory, name: str, edits: list[tuple[str, int, bytes]]
) -> None:
    data, maps = samples[name]
    for edit in edits:
        data = _edited(data, *edit)
    folder = tmp_path_factory.getbasetemp() / "mutated"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (folder / name).write_bytes(data)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    reported = not _reads_a_prefix(folder, maps)
    inspect(folder)
    try:
        log = Log.open(folder, {})
    except CorruptLog:
        assert name != "000001.open.mcap"
    else:
        reported |= bool(log.repairs) or not _reads_a_prefix(folder, maps)
        assert reported or datas(read_folder(folder)) == maps or name == "000001.open.mcap"
        crash(log)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 * 1024


def _edited(data: bytes, kind: str, at: int, with_: bytes) -> bytes:
    at %= len(data) or 1
    if kind in ("swap", "repeat"):
        return _moved(data, at, 8 * len(with_), int.from_bytes(with_, "little") % (len(data) or 1), kind == "swap")
    if kind == "huge":
        with_ = b"\xff" * 7 + b"\x00"
    kept = {"set": at + len(with_), "huge": at + len(with_), "cut": len(data), "insert": at}[kind]
    return data[:at] + (b"" if kind == "cut" else with_) + data[kept:]


def _moved(data: bytes, at: int, size: int, to: int, is_swap: bool) -> bytes:
    """Two regions of a file in each other's place, or the one over the other."""
    first, second = sorted((at, to))
    one, two = data[first : first + size], data[second : second + size]
    moved = bytearray(data)
    moved[second : second + len(one)] = one
    if is_swap:
        moved[first : first + len(two)] = two
    return bytes(moved)


def _reads_a_prefix(folder: Path, maps: list[bytes]) -> bool:
    """Whether it reads without a report; what it yields is always what was written, in order."""
    seen: list[bytes] = []
    try:
        for entry in read_folder(folder):
            seen.append(entry.data)
    except CorruptLog:
        assert seen == maps[: len(seen)]
        return False
    assert seen == maps[: len(seen)]
    return True


@pytest.mark.parametrize("name", ["000001.done.mcap", "000001.mcap"])
def test_every_flipped_byte_of_a_summary_or_footer_is_reported(
    samples: dict[str, tuple[bytes, list[bytes]]], tmp_path: Path, name: str
) -> None:
    data, _ = samples[name]
    summary_start = int.from_bytes(data[-28:-20], "little")
    for offset in range(summary_start, len(data)):
        flipped = bytearray(data)
        flipped[offset] ^= 4
        (tmp_path / name).write_bytes(flipped)
        with pytest.raises(DamagedSegment):
            list(read_folder(tmp_path))


def test_a_chunk_that_would_unpack_to_more_than_it_says_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    size = 512 * 1024 * 1024
    packer = zstandard.ZstdCompressor().compressobj(size=size)
    bomb = b"".join(packer.compress(bytes(2**20)) for _ in range(size // 2**20)) + packer.flush()
    endless = zstandard.ZstdCompressor(write_content_size=False).compressobj()
    unstated = endless.compress(bytes(1000)) + endless.flush()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for frame in (bomb, unstated):
        folder = tmp_path / str(len(frame))
        log = Log.open(folder, {})
        fill(log, groups=1)
        monkeypatch.setattr("bus.log.chunks.zstandard.ZstdCompressor", lambda frame=frame: SimpleNamespace(compress=lambda data: frame))
        with pytest.raises(CorruptLog, match="zstd frame states another size"):
            log.close()
        assert [segment.state for segment in list_segments(folder)] == [State.DONE]
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024


def test_a_rewrite_that_does_not_read_back_equal_never_replaces_its_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = Log.open(tmp_path, {})
    maps = fill(log, groups=2)
    add = ChunkedFile.add
    monkeypatch.setattr(ChunkedFile, "add", lambda self, body, heads: add(self, body, heads[:-1]))  # loses the last of each group
    with pytest.raises(CorruptLog, match="4 messages instead of 6"):
        log.close()
    assert [path.name for path in tmp_path.glob("0*")] == ["000001.done.mcap"]
    assert datas(read_folder(tmp_path)) == maps


def test_a_start_syncs_what_a_dead_writer_left_before_it_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small_log(tmp_path)
    monkeypatch.setattr("bus.log.recovery.sync", _no_sync)
    with pytest.raises(OSError, match="not synced"):
        Log.open(tmp_path, {})


def _no_sync(fd: int) -> None:
    raise OSError(5, "not synced")
