"""A document is held out by its own hash, whatever else is in the corpus."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from corpora import found, opened, whole, write_rows, write_texts

from agents.trainer.data.documents import documents, draw
from agents.trainer.data.split import HELD_OUT, Split


def sides(path: Path) -> tuple[list[bytes], list[bytes]]:
    """Training and held-out documents."""
    pairs = [(b"".join(document.parts), kept) for document, kept in Split(found(path).files).documents()]
    return [text for text, kept in pairs if not kept], [text for text, kept in pairs if kept]


def chosen(held_out: bool, names: Iterator[str]) -> Iterator[str]:
    """Those of the names that stand on one side."""
    return (name for name in names if (draw(name.encode()) % HELD_OUT == 0) == held_out)


def endless() -> Iterator[str]:
    return (f"new{index}.txt" for index in itertools.count())


def test_files_of_text_are_held_out_whole_and_by_their_name_alone(tmp_path: Path) -> None:
    write_texts(tmp_path)
    names = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.txt"))

    training, held_out = sides(tmp_path)

    assert held_out == [(tmp_path / name).read_bytes() for name in chosen(True, iter(names))] != []
    assert training == [(tmp_path / name).read_bytes() for name in chosen(False, iter(names))]


def test_a_further_file_moves_no_other_across_the_split(tmp_path: Path) -> None:
    write_texts(tmp_path)
    before = sides(tmp_path)[1]
    (tmp_path / next(chosen(False, endless()))).write_text("more text")

    assert sides(tmp_path)[1] == before


def test_rows_are_held_out_by_their_text_wherever_they_stand(tmp_path: Path) -> None:
    rows = [{"text": f"row {index}"} for index in range(400)]
    training, held_out = sides(write_rows(tmp_path / "a.jsonl", rows))
    more = sides(write_rows(tmp_path / "a.jsonl", [{"text": "first"}, *reversed(rows), {"text": "last"}]))

    assert 5 < len(held_out) < 40
    assert set(held_out) <= set(more[1]) <= {*held_out, b"first", b"last"}
    assert set(training) <= set(more[0])
    assert held_out == [text for text in (row["text"].encode() for row in rows) if draw(text) % HELD_OUT == 0]


def test_one_file_of_text_is_split_at_its_end(tmp_path: Path) -> None:
    file = tmp_path / "book.txt"
    file.write_text("".join(chr(97 + index % 26) for index in range(1000)))

    (training,), (held_out,) = sides(file)

    assert training + held_out == file.read_bytes()
    assert len(held_out) == 50


@pytest.mark.parametrize("character", ["é", "四", "\U0001f40d"])
@pytest.mark.parametrize("before", range(4))
def test_one_file_is_split_between_two_characters(tmp_path: Path, character: str, before: int) -> None:
    (tmp_path / "book.txt").write_text("x" * before + character * 500)

    (training,), (held_out,) = sides(tmp_path)

    assert training.decode() + held_out.decode() == (tmp_path / "book.txt").read_text()
    assert len(held_out) == pytest.approx(len(character.encode()) * 25, abs=4)


@pytest.mark.parametrize("held_out", [True, False])
def test_where_all_fall_on_one_side_one_document_changes_sides(tmp_path: Path, held_out: bool) -> None:
    names = sorted(itertools.islice(chosen(held_out, endless()), 5))
    for name in names:
        (tmp_path / name).write_text(f"This is the text of {name}. ")
    to_move = (max if held_out else min)(names, key=lambda name: draw(name.encode()))

    corpus = opened(tmp_path, tmp_path.parent / f"cache-{held_out}", context=8)

    assert whole(corpus)[not held_out] == (tmp_path / to_move).read_bytes() + b"\0"
    assert corpus.dataset.documents == 5


@pytest.mark.parametrize("held_out", [True, False])
def test_a_document_without_text_is_no_side(tmp_path: Path, held_out: bool) -> None:
    for name in itertools.islice(chosen(not held_out, endless()), 15):
        (tmp_path / name).write_text(f"This is the text of {name}. ")
    (tmp_path / next(chosen(held_out, endless()))).touch()

    corpus = opened(tmp_path, tmp_path.parent / f"cache-{held_out}", context=8)

    assert [part.count(b"\0") for part in whole(corpus)] == ([14, 1] if held_out else [1, 14])


@pytest.mark.parametrize("held_out", [True, False])
def test_of_rows_that_are_all_the_same_one_changes_sides(tmp_path: Path, held_out: bool) -> None:
    text = next(chosen(held_out, endless()))
    file = write_rows(tmp_path / "a.jsonl", [{"text": text}] * 10)

    corpus = opened(file, tmp_path / "cache", context=4)

    assert sorted(part.count(b"\0") for part in whole(corpus)) == [1, 9]


def test_a_text_that_is_too_short_to_split_is_left_whole(tmp_path: Path) -> None:
    (tmp_path / "book.txt").write_text("四四")

    assert sides(tmp_path) == (["四四".encode()], [b""])


def test_the_split_is_said_in_words(tmp_path: Path) -> None:
    (tmp_path / "one.txt").write_text("text")
    assert Split(found(tmp_path).files).words == "the last 20th of the one file"
    (tmp_path / "two.txt").write_text("text")
    assert Split(found(tmp_path).files).words == "by file: SHA-256 of its name, one in 20 held out"
    write_rows(tmp_path / "three.jsonl", [{"text": "text"}])
    assert Split(found(tmp_path).files).words == "by file: SHA-256 of its name; by document: SHA-256 of its text, one in 20 held out"


def test_one_file_of_rows_is_split_by_row(tmp_path: Path) -> None:
    file = write_rows(tmp_path / "a.jsonl", [{"text": "text"}])
    assert Split(found(file).files).words == "by document: SHA-256 of its text, one in 20 held out"
    assert [len(list(documents(each))) for each in found(file).files] == [1]
