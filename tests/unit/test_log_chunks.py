"""Chunked files: what the official reader makes of ours, and which chunks our reader refuses before it unpacks them."""

from __future__ import annotations

import io
import resource
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from mcap.reader import make_reader
from mcap.records import Channel, Chunk, ChunkIndex, Message, MessageIndex, Schema, SummaryOffset
from mcap.stream_reader import StreamReader
from test_log_write import fill

from bus.log import chunks
from bus.log.chunks import ChunkedFile
from bus.log.compaction import go_on
from bus.log.errors import DamagedSegment
from bus.log.folder import Segment, State
from bus.log.log import Log
from bus.log.readback import Messages, check
from bus.log.reader import read_folder
from bus.log.records import MAX_RECORD, MESSAGE, MESSAGE_HEAD, encode, walk

MESSAGES = st.lists(st.tuples(st.integers(1, 4), st.integers(0, 3000)), max_size=60)


def written(messages: list[tuple[int, int]], per_call: int) -> tuple[bytes, Messages]:
    """A file of messages (channel, size), given to the writer `per_call` at a time between other records."""
    schemas = {1: Schema(id=1, name="event", encoding="jsonschema", data=b'{"type": "object"}')}
    channels = {
        number: Channel(id=number, topic=f"lab.t{number}", message_encoding="msgpack", schema_id=1, metadata={"delivery": "durable"})
        for number in range(1, 5)
    }
    file, seen = io.BytesIO(), Messages()
    chunked = ChunkedFile(file, schemas, channels)
    chunked.metadata("before", {"a": "b"})
    for begin in range(0, len(messages), per_call):
        body = b"".join(
            encode(channels[number]) * (place % 3 == 0)
            + MESSAGE_HEAD.pack(MESSAGE, MESSAGE_HEAD.size - 9 + size, number, place, place + 1, 7)
            + bytes([place % 256]) * size
            for place, (number, size) in enumerate(messages[begin : begin + per_call], start=begin)
        )
        heads = list(walk(body, 0))
        chunked.add(body, heads)
        seen.add(body, heads)
    chunked.metadata("behind", {})
    chunked.finish()
    return file.getvalue(), seen


@settings(max_examples=80, deadline=None)
@given(messages=MESSAGES, per_call=st.integers(1, 20), chunk_bytes=st.sampled_from([1, 500, 4000, 2**20]))
def test_the_official_readers_find_every_message_index_and_checksum_right(
    tmp_path_factory: pytest.TempPathFactory, messages: list[tuple[int, int]], per_call: int, chunk_bytes: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunks, "CHUNK_BYTES", chunk_bytes)
        data, seen = written(messages, per_call)
    wanted = [(number, place + 1, size) for place, (number, size) in enumerate(messages)]
    reader = make_reader(io.BytesIO(data), validate_crcs=True)
    summary = reader.get_summary()
    assert summary is not None and summary.statistics is not None
    assert [(m.channel_id, m.log_time, len(m.data)) for _, _, m in reader.iter_messages()] == wanted
    for number in range(1, 5):
        assert [m.log_time for _, _, m in reader.iter_messages(topics=[f"lab.t{number}"])] == [t for n, t, _ in wanted if n == number]
    if messages:
        middle = len(messages) // 2
        assert [m.log_time for _, _, m in reader.iter_messages(starting_at=middle + 1)] == [t for _, t, _ in wanted[middle:]]
    assert [record.name for record in reader.iter_metadata()] == ["before", "behind"]
    assert summary.statistics.message_count == len(messages) and summary.statistics.chunk_count == len(summary.chunk_indexes)
    _check_indexes(data, summary.chunk_indexes)
    path = tmp_path_factory.getbasetemp() / "000001.mcap"
    path.write_bytes(data)
    check(Segment(1, State.CLOSED, path), seen, go_on)


def _check_indexes(data: bytes, indexes: list[ChunkIndex]) -> None:
    """Every index entry leads to a message of its channel and time; data CRC and summary offsets are seen to by the stream reader."""
    stream = list(StreamReader(io.BytesIO(data), emit_chunks=True, validate_crcs=True).records)
    assert sum(isinstance(record, Chunk) for record in stream) == len(indexes)
    chunk = b""
    for record in stream:
        if isinstance(record, Chunk):
            chunk = zstandard.decompress(record.data)
        elif isinstance(record, MessageIndex):
            for log_time, offset in record.records:
                found = MESSAGE_HEAD.unpack_from(chunk, offset)
                assert (found[0], found[2], found[4]) == (MESSAGE, record.channel_id, log_time)
    for record in stream:
        if isinstance(record, SummaryOffset):
            assert data[record.group_start] == record.group_opcode
    assert not any(isinstance(record, Message) for record in stream)


def repack(folder: Path, change: Callable[[Chunk, bytes], None], index_size: int | None = None) -> None:
    """Rewrites the only chunk of the log's only closed file, and all checksums that cover it."""
    path = folder / "000001.mcap"
    data = path.read_bytes()
    summary = make_reader(io.BytesIO(data)).get_summary()
    assert summary is not None
    (index,) = summary.chunk_indexes
    chunk = next(r for r in StreamReader(io.BytesIO(data), emit_chunks=True).records if isinstance(r, Chunk))
    change(chunk, zstandard.decompress(chunk.data))
    packed, old_summary = encode(chunk), int.from_bytes(data[-28:-20], "little")
    grown = len(packed) - index.chunk_length
    behind = data[index.chunk_start_offset + index.chunk_length : old_summary]
    changed = ChunkIndex(**{**vars(index), "chunk_length": len(packed), "compressed_size": len(chunk.data)})
    changed.uncompressed_size = chunk.uncompressed_size if index_size is None else index_size
    records = data[old_summary:-37].replace(encode(index), encode(changed))
    footer = data[-37:-28] + struct.pack("<QQ", old_summary + grown, 0)
    sealed = footer + struct.pack("<I", zlib.crc32(footer, zlib.crc32(records))) + data[-8:]
    path.write_bytes(data[: index.chunk_start_offset] + packed + behind + records + sealed)


def _bomb(size: int) -> bytes:
    packer = zstandard.ZstdCompressor().compressobj(size=size)
    return b"".join(packer.compress(bytes(2**20)) for _ in range(size // 2**20)) + packer.flush()


def _states_much(chunk: Chunk, records: bytes) -> None:
    chunk.uncompressed_size, chunk.data = MAX_RECORD + 2**20, _bomb(MAX_RECORD + 2**20)


def _frame_states_much(chunk: Chunk, records: bytes) -> None:
    chunk.data = _bomb(256 * 2**20)


def _frame_states_nothing(chunk: Chunk, records: bytes) -> None:
    chunk.data = zstandard.ZstdCompressor(write_content_size=False).compress(records)


def _frame_has_a_huge_window(chunk: Chunk, records: bytes) -> None:
    """A frame's header, in place of the writer's: no single segment, a window of 2 GiB, the content size in eight bytes."""
    frame = zstandard.ZstdCompressor(write_content_size=False).compress(records)
    descriptor, window = 0b11000000, (31 - 10) << 3
    header_size = zstandard.frame_header_size(frame)
    chunk.data = frame[:4] + bytes([descriptor, window]) + struct.pack("<Q", len(records)) + frame[header_size:]


def _other_compression(chunk: Chunk, records: bytes) -> None:
    chunk.compression, chunk.data = "", records


def _wrong_checksum(chunk: Chunk, records: bytes) -> None:
    chunk.uncompressed_crc ^= 1


def _unchecked(chunk: Chunk, records: bytes) -> None:
    """0 means `no checksum` in MCAP; our writer always gives one."""
    chunk.uncompressed_crc = 0


def _cut_short(chunk: Chunk, records: bytes) -> None:
    chunk.data = chunk.data[:-3]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (_states_much, "chunk of 68157440 bytes"),
        (_frame_states_much, "the zstd frame states another size than the chunk"),
        (_frame_states_nothing, "the zstd frame states another size than the chunk"),
        (_frame_has_a_huge_window, "a window over the limit"),
        (_other_compression, "compression ''"),
        (_wrong_checksum, "does not match its CRC"),
        (_unchecked, "does not match its CRC"),
        (_cut_short, "zstd: "),
    ],
)
def test_a_chunk_that_is_not_what_our_writer_makes_is_refused(tmp_path: Path, change: Callable[[Chunk, bytes], None], why: str) -> None:
    log = Log.open(tmp_path, {})
    fill(log, groups=1)
    log.close()
    repack(tmp_path, lambda chunk, records: None)
    assert len(list(read_folder(tmp_path))) == 3, "the file is otherwise still whole"
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    repack(tmp_path, change)
    with pytest.raises(DamagedSegment, match=why):
        list(read_folder(tmp_path))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024


def test_a_chunk_index_that_states_another_size_than_its_chunk_is_refused(tmp_path: Path) -> None:
    log = Log.open(tmp_path, {})
    fill(log, groups=1)
    log.close()
    repack(tmp_path, lambda chunk, records: None, index_size=17)
    with pytest.raises(DamagedSegment, match="chunk of"):
        list(read_folder(tmp_path))
