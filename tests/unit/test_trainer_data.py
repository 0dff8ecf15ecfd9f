"""What a run learns from is read, judged, hashed and split so that it can be had again."""

import itertools
import sysconfig
from pathlib import Path

import numpy as np
import pytest

from agents.trainer.data import whole as data
from agents.trainer.data.corpus import BadData
from agents.trainer.data.whole import corpus_hash, held_out_batches, is_held_out, read_corpus, standard_library, training_batches

CONTEXT = 16


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for index in range(60):
        (tmp_path / f"part{index % 3}").mkdir(exist_ok=True)
        (tmp_path / f"part{index % 3}" / f"{index}.txt").write_text(f"{index} is a number. " * 5)
    return tmp_path


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.txt"))


def test_files_are_held_out_whole_and_by_their_name_alone(folder: Path) -> None:
    held_out = [name for name in names(folder) if is_held_out(name)]
    assert held_out

    corpus = read_corpus(str(folder), CONTEXT)

    assert corpus.held_out.tobytes() == b"".join((folder / name).read_bytes() for name in held_out)
    assert corpus.dataset.files == 60
    assert corpus.dataset.heldout_tokens == len(corpus.held_out)
    assert corpus.dataset.training_tokens == len(corpus.training)
    assert b"59 is a number" in corpus.training.tobytes() + corpus.held_out.tobytes()


def test_a_further_file_moves_no_other_across_the_split(folder: Path) -> None:
    before = read_corpus(str(folder), CONTEXT)
    new = next(name for name in (f"new{index}.txt" for index in itertools.count()) if not is_held_out(name))
    (folder / new).write_text("more text")

    assert read_corpus(str(folder), CONTEXT).held_out.tobytes() == before.held_out.tobytes()


def test_the_hash_depends_on_names_and_contents_and_not_on_the_place(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    first = read_corpus(str(folder), CONTEXT).dataset.hash
    moved = folder.rename(tmp_path_factory.mktemp("elsewhere") / "moved")
    assert read_corpus(str(moved), CONTEXT).dataset.hash == first

    (moved / "part0" / "0.txt").write_text("0 was a number. " * 5)

    assert read_corpus(str(moved), CONTEXT).dataset.hash != first
    assert corpus_hash({"ab": b"c"}) != corpus_hash({"a": b"bc"})


def test_one_file_is_split_at_its_end(tmp_path: Path) -> None:
    file = tmp_path / "book.txt"
    file.write_text("".join(chr(97 + index % 26) for index in range(1000)))

    corpus = read_corpus(str(file), CONTEXT)

    assert corpus.training.tobytes() + corpus.held_out.tobytes() == file.read_bytes()
    assert len(corpus.held_out) == 50


def test_two_files_give_one_to_each_side(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).write_text(name * 100)

    corpus = read_corpus(str(tmp_path), CONTEXT)

    assert {bytes(part[:3]) for part in (corpus.training, corpus.held_out)} == {b"one", b"two"}


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"\x7fELF\0\0", "is binary"), (b"caf\xe9 " * 50, "is no UTF-8 text"), (b"", "a context of 16 needs"), (b"short", "needs more than")],
)
def test_what_cannot_be_trained_on_is_refused_with_its_name_and_reason(tmp_path: Path, content: bytes, reason: str) -> None:
    file = tmp_path / "given.txt"
    file.write_bytes(content)

    with pytest.raises(BadData, match=f"given.txt.*{reason}"):
        read_corpus(str(file), CONTEXT)


def test_a_missing_or_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadData, match=r"no file or folder .*missing"):
        read_corpus(str(tmp_path / "missing"), CONTEXT)
    with pytest.raises(BadData, match="it is empty"):
        read_corpus(str(tmp_path), CONTEXT)


def test_in_a_folder_what_is_no_text_is_left_out_and_counted(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clean = read_corpus(str(folder), CONTEXT).dataset.hash
    monkeypatch.setattr(data, "FILE_LIMIT", 1000)
    (folder / "image.png").write_bytes(b"\x89PNG\0")
    (folder / "huge.txt").write_text("x" * 1001)
    (folder / ".hidden").write_text("secret")
    (folder / ".git").mkdir()
    (folder / ".git" / "config").write_text("secret")
    (folder / "link.txt").symlink_to("/etc/passwd")

    corpus = read_corpus(str(folder), CONTEXT)

    assert corpus.skipped == 2
    assert corpus.dataset.hash == clean


def test_a_corpus_that_does_not_fit_is_refused_before_it_is_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data, "CORPUS_LIMIT", 1 << 11)

    with pytest.raises(BadData, match="choose a part"):
        read_corpus(str(folder), CONTEXT)


def test_the_default_is_the_standard_library_without_packages() -> None:
    chosen = standard_library(Path(sysconfig.get_path("stdlib")))

    assert "argparse.py" in chosen
    assert all(name.endswith(".py") and "-packages" not in name for name in chosen)


def test_training_batches_are_windows_drawn_by_the_seed() -> None:
    tokens = np.arange(200, dtype=np.uint8)

    def first(seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
        return list(itertools.islice(training_batches(tokens, 3, CONTEXT, seed), 5))

    for inputs, targets in first(1):
        assert inputs.shape == targets.shape == (3, CONTEXT)
        np.testing.assert_array_equal(inputs[:, 1:], targets[:, :-1])
        np.testing.assert_array_equal(np.diff(inputs), 1)
    np.testing.assert_array_equal(first(1), first(1))
    assert not np.array_equal(first(1), first(2))


def test_every_token_can_be_drawn_and_the_last_one_as_a_target() -> None:
    tokens = np.arange(CONTEXT + 2, dtype=np.uint8)

    drawn = {int(targets[0, -1]) for _, targets in itertools.islice(training_batches(tokens, 1, CONTEXT, 0), 50)}

    assert drawn == {CONTEXT, CONTEXT + 1}


def test_held_out_batches_are_the_same_each_time_and_span_the_text() -> None:
    tokens = (np.arange(1000) % 251).astype(np.uint8)

    batches = [list(held_out_batches(tokens, 2, CONTEXT, 4)) for _ in range(2)]

    np.testing.assert_array_equal(batches[0], batches[1])
    assert batches[0][0][0][0, 0] == tokens[0]
    assert batches[0][-1][1][-1, -1] == tokens[-1]
