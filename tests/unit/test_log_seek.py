"""Reading from a time on: it costs a few reads wherever the time lies, in a segment of any kind, and hides no damage."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mcap.opcode import Opcode
from test_log_write import crash, datas, fill

from bus.log.errors import BadRecord, DamagedSegment
from bus.log.groups import GROUP, Group, Hole, read_across, trailer
from bus.log.log import Log
from bus.log.reader import read_folder
from bus.log.records import MAGIC, MAX_RECORD, PREFIX, Entry

STATES = ["open", "done", "damaged"]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same 16 MiB of 400 groups as a segment of each kind without chunks."""
    made = {}
    for state in STATES:
        folder = made[state] = tmp_path_factory.mktemp(state)
        log = Log.open(folder, {})
        fill(log, groups=400, per_group=4, size=10_000)
        if state == "done":
            log._end_segment()
        if state == "damaged":
            (folder / "000001.open.mcap").rename(folder / "000001.damaged.mcap")
        crash(log)
    return made


@pytest.fixture
def bytes_read(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """Bytes that os.pread gave since this was last asked."""
    counted, pread = [0], os.pread

    def counting(fd: int, size: int, offset: int) -> bytes:
        data = pread(fd, size, offset)
        counted[0] += len(data)
        return data

    def asked() -> int:
        count, counted[0] = counted[0], 0
        return count

    monkeypatch.setattr(os, "pread", counting)
    return asked


@pytest.mark.parametrize("state", STATES)
def test_a_page_from_anywhere_in_a_segment_reads_a_small_part_of_it(
    folders: dict[str, Path], bytes_read: Callable[[], int], state: str
) -> None:
    entries = list(read_folder(folders[state]))
    size = next(folders[state].glob("0*.mcap")).stat().st_size
    bytes_read()
    for place in range(0, len(entries) - 5, 97):
        page = list(read_folder(folders[state], after=entries[place].log_time, limit=5))
        assert page == entries[place + 1 : place + 6]
        assert bytes_read() < size // 6


def test_the_writer_s_own_readers_begin_at_the_page_as_well(tmp_path: Path, bytes_read: Callable[[], int]) -> None:
    log = Log.open(tmp_path, {})
    fill(log, groups=100, per_group=4, size=10_000)
    entries = list(log.read())
    bytes_read()
    assert list(log.read(after=entries[300].log_time, limit=5)) == entries[301:306]
    assert bytes_read() < 1024 * 1024


def test_payloads_that_look_like_trailers_mislead_no_search(tmp_path: Path) -> None:
    log = Log.open(tmp_path, {})
    sign = "ZPGROUP1" + "\0" * 16
    for seq in range(1, 61):
        fill(log, groups=1, per_group=1, first=seq, source=sign[:8].lower(), size=20_000)
        fill(log, groups=1, per_group=1, first=seq, source=sign, size=20_000)
    entries = list(log.read())
    for place in range(0, 119, 7):
        assert list(read_folder(tmp_path, after=entries[place].log_time)) == entries[place + 1 :]


@settings(max_examples=60, deadline=None)
@given(holes=st.lists(st.integers(0, 16 * 2**20), min_size=1, max_size=4), place=st.integers(0, 1598), state=st.sampled_from(STATES))
def test_a_search_by_time_hides_no_damage(
    folders: dict[str, Path], tmp_path_factory: pytest.TempPathFactory, holes: list[int], place: int, state: str
) -> None:
    """From any time on, the same entries come, up to the same damage, as when the file is read from its beginning."""
    folder = tmp_path_factory.getbasetemp() / "holes"
    folder.mkdir(exist_ok=True)
    for left in folder.iterdir():
        left.unlink()
    source = next(folders[state].glob("0*.mcap"))
    data, whole = bytearray(source.read_bytes()), list(read_folder(folders[state]))
    for hole in holes:
        data[hole % (len(data) - 20_000)] ^= 0x55
    (folder / source.name).write_bytes(data)
    after = whole[place].log_time
    seen: list[Entry] = []
    damage, cursor = False, after
    while True:
        try:
            for entry in read_folder(folder, after=cursor):
                seen.append(entry)
            break
        except DamagedSegment as error:
            damage = True
            if error.resume_after is None:
                break
            assert error.resume_after > cursor
            cursor = error.resume_after
    rest = {entry.log_time: entry for entry in whole[place + 1 :]}
    assert all(rest[entry.log_time] == entry for entry in seen)
    if not damage:
        torn = 4 if state != "done" else 0  # a last group that does not check may be one that is being written
        assert len(seen) >= len(rest) - torn


def forged(path: Path, groups: int, bait: Callable[[int], bytes]) -> int:
    """Whole groups of 64 KiB with `bait` of its file offset behind each. Returns their size."""
    record, data = PREFIX.pack(Opcode.METADATA, 65_536) + bytes(65_536), bytearray()
    for _ in range(groups):
        body = record if data else MAGIC + record
        data += body + trailer(body, len(data), 0, [])
        data += bait(len(data))
    path.write_bytes(data)
    return len(data)


def test_a_record_longer_than_any_in_a_group_is_not_looked_for(tmp_path: Path, bytes_read: Callable[[], int]) -> None:
    size = forged(tmp_path / "forged", 150, lambda offset: PREFIX.pack(0x7F, 2**40))
    with (tmp_path / "forged").open("rb") as file:
        bytes_read()
        parts = list(read_across(file.fileno(), 0, size))
    assert [type(part) for part in parts] == [Group, Hole] * 150
    assert bytes_read() < 8 * size


@pytest.mark.parametrize(
    "bait",
    [
        lambda offset: PREFIX.pack(Opcode.METADATA, 8 * 2**20),
        lambda offset: PREFIX.pack(GROUP, 4 * 2**20) + b"ZPGROUP1" + struct.pack("<QII", offset, 0, 0),
    ],
    ids=["records", "trailers"],
)
def test_what_leads_to_no_group_is_read_within_bounds_and_said(
    tmp_path: Path, bytes_read: Callable[[], int], bait: Callable[[int], bytes]
) -> None:
    size = forged(tmp_path / "forged", 200, bait)
    with (tmp_path / "forged").open("rb") as file, pytest.raises(BadRecord, match="lead to no group"):
        bytes_read()
        list(read_across(file.fileno(), 0, size))
    assert bytes_read() < 10 * size + 3 * MAX_RECORD


def test_a_group_declares_the_channels_that_it_uses(tmp_path: Path) -> None:
    """So that a reader that begins behind the first group knows them, and damage to one group costs that group alone."""
    log = Log.open(tmp_path, {})
    maps = fill(log, groups=3)
    crash(log)
    path = tmp_path / "000001.open.mcap"
    data = bytearray(path.read_bytes())
    data[data.index(maps[0])] ^= 1
    path.write_bytes(data)
    with pytest.raises(DamagedSegment) as raised:
        list(read_folder(tmp_path))
    assert datas(read_folder(tmp_path, after=raised.value.resume_after or 0)) == maps[3:]
