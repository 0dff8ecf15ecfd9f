"""Documents come out of text, JSON Lines and Parquet as they went in, and what is none is refused with its place."""

import json
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from corpora import found, texts_of, write_rows
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.trainer.data import documents, parquet
from agents.trainer.data.corpus import BadData
from agents.trainer.data.documents import PART, read_parts

TEXTS = ["one", "zwei\nZeilen", "três", "四", "\U0001f40d" * 3, "", 'a "quoted" \\ text']


def write_parquet(file: Path, columns: dict[str, Any], **options: Any) -> Path:
    pq.write_table(pa.table(columns), file, **options)
    return file


def test_a_text_file_is_one_document(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("first\nsecond\n")

    assert texts_of(tmp_path) == [b"first\nsecond\n"]


@pytest.mark.parametrize("ascii_only", [True, False])
def test_json_lines_give_the_text_of_each_line(tmp_path: Path, ascii_only: bool) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text("\n".join(json.dumps({"id": 1, "text": text, "more": [{}]}, ensure_ascii=ascii_only) for text in TEXTS))

    assert [text.decode() for text in texts_of(file)] == TEXTS


def test_blank_lines_are_no_documents(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text('\n{"text": "a"}\r\n  \n{"text": "b"}\n\n')

    assert texts_of(tmp_path) == [b"a", b"b"]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"content": "a"}', "missing required field `text`; each line must be"),
        (b'{"text": 1}', "Expected `str`, got `int`"),
        (b'["text"]', "Expected `object`, got `array`"),
        (b'{"text": "a"', "is no JSON"),
        (b'{"text": "a"} {"text": "b"}', "is no JSON"),
        (b'{"text": "caf\xe9"}', "is no UTF-8 text .*at byte 13"),
        (b'{"other": "\xff", "text": "a"}', "is no UTF-8 text"),
        (b'{"text": "\\ud800"}', "is no JSON"),
        (b'{"text": "a\\u0000b"}', "has a NUL character"),
        pytest.param(b'{"other": ' + b"[" * 100_000 + b"]" * 100_000 + b', "text": "a"}', "is nested too deeply", id="deep"),
    ],
)
def test_a_line_that_is_no_document_is_refused_with_its_number(tmp_path: Path, line: bytes, reason: str) -> None:
    (tmp_path / "rows.jsonl").write_bytes(b'{"text": "fine"}\n\n' + line + b"\n")

    with pytest.raises(BadData, match=f"rows.jsonl line 3.*{reason}"):
        texts_of(tmp_path)


def test_a_line_without_an_end_is_refused_before_it_fills_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "LINE_LIMIT", 1 << 20)
    write_rows(tmp_path / "rows.jsonl", [{"text": "x" * (1 << 20)}])

    with pytest.raises(BadData, match=r"rows\.jsonl line 1 is over 1 MiB"):
        texts_of(tmp_path)


@pytest.mark.parametrize("options", [{}, {"row_group_size": 2, "compression": "zstd"}, {"use_dictionary": False, "data_page_size": 16}])
@pytest.mark.parametrize("kind", [pa.string(), pa.large_string()])
def test_parquet_gives_the_text_of_each_row(tmp_path: Path, kind: pa.DataType, options: dict[str, Any]) -> None:
    columns = {"id": list(range(len(TEXTS) * 30)), "text": pa.array(TEXTS * 30, kind), "nested": [{"text": "no"}] * len(TEXTS) * 30}

    assert [text.decode() for text in texts_of(write_parquet(tmp_path / "rows.parquet", columns, **options))] == TEXTS * 30


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"body": ["a"]}, "has no column `text`, only body"),
        ({"text": [1]}, "is of type int64: want string"),
        ({"text": ["a", "b", None]}, "row 3: its `text` is null"),
        ({"text": ["a", "b\0"]}, "row 2 has a NUL character"),
    ],
)
def test_rows_that_are_no_documents_are_refused_with_their_place(tmp_path: Path, columns: dict[str, Any], reason: str) -> None:
    write_parquet(tmp_path / "rows.parquet", columns)

    with pytest.raises(BadData, match=f"rows.parquet.* {reason}"):
        texts_of(tmp_path)


@pytest.mark.parametrize("damage", [lambda data: b"text", lambda data: data[:-20], lambda data: data[:8] + b"\xff" * 200 + data[208:]])
def test_a_damaged_parquet_file_is_refused_with_its_name(tmp_path: Path, damage: Any) -> None:
    file = write_parquet(tmp_path / "rows.parquet", {"text": [f"{index} words" for index in range(1000)]})
    file.write_bytes(damage(file.read_bytes()))

    with pytest.raises(BadData, match=r"rows\.parquet is no Parquet file"):
        texts_of(tmp_path)


def test_a_row_is_as_long_as_a_line_may_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "ROW_LIMIT", 1 << 20)
    file = write_parquet(tmp_path / "rows.parquet", {"text": ["é" * (1 << 19), "x" * ((1 << 20) + 1)]})

    with pytest.raises(BadData, match=r"rows\.parquet row 2 is over 1 MiB"):
        texts_of(file)


def test_the_end_of_a_line_is_no_part_of_its_length(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    row = {"text": "x" * 100}
    monkeypatch.setattr(documents, "LINE_LIMIT", len(json.dumps(row)))

    assert texts_of(write_rows(tmp_path / "rows.jsonl", [row, row])) == [b"x" * 100] * 2


def test_two_columns_of_text_are_refused(tmp_path: Path) -> None:
    pq.write_table(pa.Table.from_arrays([pa.array(["a"])] * 2, ["text", "text"]), tmp_path / "rows.parquet")

    with pytest.raises(BadData, match=r"rows\.parquet has 2 columns `text`: want one"):
        texts_of(tmp_path)


def test_rows_that_share_a_long_text_are_decoded_a_few_at_a_time(tmp_path: Path) -> None:
    size = 4 << 20
    file = write_parquet(tmp_path / "rows.parquet", {"text": ["x" * size] * 64}, compression="zstd")
    assert file.stat().st_size < 4096
    (rows,) = found(file).files
    before, most = pa.total_allocated_bytes(), 0

    for document in documents.documents(rows):
        assert sum(map(len, document.parts)) == size
        most = max(most, pa.total_allocated_bytes() - before)

    assert most < 10 * size


def test_a_folder_may_mix_all_kinds(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("text")
    write_rows(tmp_path / "b.jsonl", [{"text": "line 1"}, {"text": "line 2"}])
    write_parquet(tmp_path / "c.parquet", {"text": ["row"]})

    assert texts_of(tmp_path) == [b"text", b"line 1", b"line 2", b"row"]


@settings(max_examples=60, deadline=None)
@given(pieces=st.lists(st.sampled_from(["word ", "\n\n  ", "x" * 700, "é" * 300, "四" * 400]), max_size=30), cut=st.floats(0, 1))
def test_parts_are_the_whole_text_and_each_is_utf8(tmp_path_factory: pytest.TempPathFactory, pieces: list[str], cut: float) -> None:
    text = "".join(pieces)
    start = len(text[: int(cut * len(text))].encode())
    file = tmp_path_factory.mktemp("parts") / "text"
    file.write_text(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(documents, "PART", 1000)
        patch.setattr(documents, "BLOCK", 3000)
        parts = list(read_parts(file, start, len(text.encode())))

    assert "".join(part.decode() for part in parts) == text.encode()[start:].decode()
    assert max(map(len, parts), default=0) <= 2000


def test_parts_are_cut_where_words_begin(tmp_path: Path) -> None:
    (tmp_path / "long.txt").write_text("some words, \n  and 4 numbers\n" * (PART // 8))
    (file,) = found(tmp_path).files

    parts = list(read_parts(file.path, 0, file.size))

    assert len(parts) > 2
    assert all(re.match(rb"\s", part) for part in parts[1:])
    assert not any(re.search(rb"\s$", part) for part in parts[:-1])
