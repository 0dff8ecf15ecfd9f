"""The files of a corpus are found, judged and hashed by what is in them."""

import hashlib
import os
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest
from corpora import found, quiet, write_texts

from agents.trainer.data.corpus import BadData
from agents.trainer.data.files import BLOCK, File, Progress, find_files, must_be_unchanged, standard_library


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_texts(tmp_path / "texts")


def test_the_hash_is_over_sorted_names_lengths_and_contents(tmp_path: Path) -> None:
    (tmp_path / "b.txt").write_text("second")
    (tmp_path / "a.txt").write_text("first")

    assert found(tmp_path).hash == hashlib.sha256(b"5 5\na.txtfirst" + b"5 6\nb.txtsecond").hexdigest()


def test_the_same_content_elsewhere_has_the_same_hash(folder: Path, tmp_path: Path) -> None:
    first = found(folder)
    moved = folder.rename(tmp_path / "moved")

    assert found(moved).hash == first.hash
    assert [(file.name, file.sha256) for file in found(moved).files] == [(file.name, file.sha256) for file in first.files]


def test_a_change_is_noticed_even_where_size_and_time_say_nothing(folder: Path) -> None:
    before = found(folder).hash
    file = folder / "part0" / "0.txt"
    times = file.stat()
    file.write_bytes(file.read_bytes().replace(b"0", b"1"))
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert (file.stat().st_size, file.stat().st_mtime_ns) == (times.st_size, times.st_mtime_ns)

    assert found(folder).hash != before


def test_each_file_has_the_hash_that_others_compute(folder: Path) -> None:
    (folder / "long.txt").write_bytes(b"0123456789abcde\n" * (BLOCK // 8))

    for file in found(folder).files:
        assert (file.size, file.sha256) == (file.path.stat().st_size, hashlib.sha256(file.path.read_bytes()).hexdigest())


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"\x7fELF\0\0", "is binary"),
        (b"caf\xe9 " * 50, "is no UTF-8 text .*at byte 3"),
        (b"x" * (BLOCK - 1) + "é".encode() + b"\xff", rf"is no UTF-8 text .*at byte {BLOCK + 1}\)"),
        ("é".encode()[:1], "is no UTF-8 text .*unexpected end"),
    ],
)
def test_what_is_no_text_is_refused_with_its_name_and_reason(tmp_path: Path, content: bytes, reason: str) -> None:
    file = tmp_path / "given.txt"
    file.write_bytes(content)

    with pytest.raises(BadData, match=f"given.txt {reason}"):
        found(file)


def test_nothing_to_read_is_refused_with_its_place(tmp_path: Path) -> None:
    with pytest.raises(BadData, match=r"no file or folder .*missing"):
        found(tmp_path / "missing")
    with pytest.raises(BadData, match="it is empty"):
        found(tmp_path)


def test_a_folder_of_links_alone_is_refused_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "link.txt").symlink_to("/etc/passwd")

    with pytest.raises(BadData, match="has no text to train on: hidden files and symbolic links are left out"):
        found(tmp_path)


def test_a_folder_that_cannot_be_listed_is_an_error_with_its_name(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed = os.scandir

    def closed(path: str) -> Iterator[os.DirEntry[str]]:
        if str(path).endswith("part1"):
            raise PermissionError(13, "Permission denied", str(path))
        return listed(path)

    with monkeypatch.context() as patch, pytest.raises(PermissionError, match="part1"):
        patch.setattr(os, "scandir", closed)
        found(folder)


def test_in_a_folder_what_is_no_text_is_left_out_with_its_reason(folder: Path) -> None:
    clean = found(folder).hash
    (folder / "image.png").write_bytes(b"\x89PNG\0")
    (folder / ".hidden").write_text("secret")
    (folder / ".git").mkdir()
    (folder / ".git" / "config").write_text("secret")
    (folder / "link.txt").symlink_to("/etc/passwd")

    files = found(folder)

    assert [reason.split()[:3] for reason in files.refusals] == [["image.png", "is", "binary"]]
    assert files.hash == clean


def test_a_character_across_two_blocks_is_text(tmp_path: Path) -> None:
    (tmp_path / "wide.txt").write_bytes(b"x" * (BLOCK - 1) + "é".encode() * 5)

    assert found(tmp_path).refusals == []


def test_the_kind_of_a_file_is_told_by_the_end_of_its_name(tmp_path: Path) -> None:
    for name in ("a.jsonl", "b.NDJSON", "c.json", "d.txt", "e"):
        (tmp_path / name).write_text("{}")

    assert [file.kind for file in found(tmp_path).files] == ["jsonl", "jsonl", "text", "text", "text"]


def test_a_file_that_changed_since_it_was_found_is_refused(folder: Path) -> None:
    (file, *_) = found(folder).files
    must_be_unchanged(file)
    file.path.write_text("another text")

    with pytest.raises(BadData, match=r"0.txt was changed while it was read"):
        must_be_unchanged(file)


def test_a_file_that_grows_while_it_is_hashed_is_refused(folder: Path) -> None:
    def append(progress: Progress) -> None:
        with (folder / "part0" / "30.txt").open("a") as file:
            file.write("more")

    with pytest.raises(BadData, match=r"30.txt was changed while it was read"):
        find_files(str(folder), append)


def test_hashing_says_how_far_it_is(folder: Path) -> None:
    told: list[Progress] = []

    files: list[File] = find_files(str(folder), told.append).files

    assert {progress.stage for progress in told} == {"hashing"}
    assert [progress.done for progress in told] == sorted(progress.done for progress in told)
    assert told[-1].done == told[-1].total == sum(file.size for file in files)


def test_the_default_is_the_standard_library_without_packages() -> None:
    chosen = standard_library(Path(sysconfig.get_path("stdlib")))

    assert "argparse.py" in chosen
    assert all(name.endswith(".py") and "-packages" not in name for name in chosen)
    assert len(find_files(None, quiet).files) <= len(chosen)
