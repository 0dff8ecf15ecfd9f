"""A corpus is prepared once, whole or not at all, and in little memory."""

import hashlib
import itertools
import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from corpora import BYTES, found, opened, quiet, write_rows, write_texts

from agents.trainer.data import shards
from agents.trainer.data.alone import alone
from agents.trainer.data.corpus import BadData
from agents.trainer.data.files import Progress
from agents.trainer.data.prepare import prepare, read_manifest
from agents.trainer.data.tokens import Choice

BPE = Choice("bpe", 300)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_texts(tmp_path / "texts")


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "datasets"


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def kept(cache: Path) -> list[str]:
    """What lies in the cache, but for its lock."""
    return sorted(path.name for path in cache.iterdir() if path.name != ".lock")


def stages(folder: Path, cache: Path, choice: Choice = BYTES) -> set[str]:
    told: list[Progress] = []
    prepare(found(folder), choice, cache, told.append)
    return {progress.stage for progress in told}


@pytest.mark.parametrize("choice", [BYTES, BPE])
def test_the_same_content_is_prepared_once_wherever_it_lies(folder: Path, cache: Path, tmp_path: Path, choice: Choice) -> None:
    assert "writing tokens" in stages(folder, cache, choice)
    moved = folder.rename(tmp_path / "moved")

    assert stages(moved, cache, choice) == {"checking tokens"}
    assert len(kept(cache)) == 1


def test_a_changed_file_is_prepared_anew(folder: Path, cache: Path) -> None:
    first = prepare(found(folder), BYTES, cache, quiet)
    (folder / "part0" / "0.txt").write_text("another text")

    assert prepare(found(folder), BYTES, cache, quiet).folder != first.folder


@pytest.mark.parametrize("choice", [BYTES, BPE])
def test_preparing_again_elsewhere_gives_the_same_bytes(folder: Path, tmp_path: Path, choice: Choice) -> None:
    first, second = (prepare(found(folder), choice, tmp_path / name, quiet) for name in ("one", "two"))

    assert contents(first.folder) == contents(second.folder)
    assert first.folder.name == second.folder.name


def test_each_tokenizer_has_a_folder_of_its_own(folder: Path, cache: Path) -> None:
    tokenizers = {prepare(found(folder), choice, cache, quiet).folder for choice in (BYTES, BPE, Choice("bpe", 301))}

    assert len(tokenizers) == len(kept(cache)) == 3


@pytest.mark.parametrize("constant", ["prepare.HELD_OUT", "prepare.PART", "bpe.SAMPLE"])
def test_each_way_of_preparing_has_a_folder_of_its_own(folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, constant: str) -> None:
    before = prepare(found(folder), BPE, cache, quiet).folder
    monkeypatch.setattr(f"agents.trainer.data.{constant}", 1000)

    assert prepare(found(folder), BPE, cache, quiet).folder != before


def test_a_tokenizer_learns_from_training_text_alone(folder: Path, cache: Path) -> None:
    before = prepare(found(folder), BPE, cache, quiet)
    held_out = next(name for name in (f"x{index}" for index in itertools.count()) if _is_held_out(name))
    (folder / held_out).write_text("entirely different words in here " * 100)

    assert prepare(found(folder), BPE, cache, quiet).tokenizer.file == before.tokenizer.file


def _is_held_out(name: str) -> bool:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") % 20 == 0


def test_the_list_of_files_says_each_one_s_hash(folder: Path, cache: Path) -> None:
    (folder / "caf\udce9.txt").write_text("a name that is no UTF-8")

    listed = json.loads(read_manifest(prepare(found(folder), BYTES, cache, quiet).folder))

    assert listed["hash"] == found(folder).hash
    assert len(listed["files"]) == 61
    for file in listed["files"]:
        if "\\" not in file["name"]:
            content = (folder / file["name"]).read_bytes()
            assert (file["size"], file["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
    assert any(file["name"] == "caf\\xe9.txt" for file in listed["files"])


@pytest.mark.parametrize("name", ["index.json", "files.json", "training-00000.bin", "held-out-00000.bin", "tokenizer.json"])
@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.unlink(),
        lambda path: path.write_bytes(path.read_bytes()[:-2]),
        lambda path: path.write_bytes(path.read_bytes()[:-1] + bytes([path.read_bytes()[-1] ^ 1])),
    ],
    ids=["gone", "short", "flipped bit"],
)
def test_a_damaged_folder_is_made_again(folder: Path, cache: Path, name: str, damage: Callable[[Path], None]) -> None:
    first = prepare(found(folder), BPE, cache, quiet)
    whole = contents(first.folder)
    damage(first.folder / name)

    assert contents(prepare(found(folder), BPE, cache, quiet).folder) == whole


@pytest.mark.parametrize("stage", ["training a tokenizer", "writing tokens"])
def test_an_exception_in_the_middle_leaves_nothing(folder: Path, cache: Path, stage: str) -> None:
    def stop(progress: Progress) -> None:
        if progress.stage == stage and progress.done > progress.total // 2:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        prepare(found(folder), BPE, cache, stop)

    assert kept(cache) == []


def test_a_file_that_changes_while_tokens_are_written_is_refused(folder: Path, cache: Path) -> None:
    def change(progress: Progress) -> None:
        (folder / "part0" / "30.txt").write_text("30 WAS a number. " * 5)

    files = found(folder)
    with pytest.raises(BadData, match=r"30\.txt was changed while it was read"):
        prepare(files, BYTES, cache, change)
    assert kept(cache) == []


class Usage(NamedTuple):
    free: int


@pytest.mark.parametrize(("choice", "itemsize"), [(BYTES, 1), (BPE, 2), (Choice("bpe", 70_000), 4)])
def test_a_disk_without_room_is_refused_before_anything_is_written(
    folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, choice: Choice, itemsize: int
) -> None:
    files = found(folder)
    room = sum(file.size for file in files.files) * itemsize
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(shards.MARGIN + room - 1))

    with pytest.raises(BadData, match=r"need about 0 MiB more in .*datasets, which has 256 MiB"):
        prepare(files, choice, cache, lambda progress: pytest.fail(progress.stage))
    assert kept(cache) == []


def test_a_disk_that_fills_meanwhile_ends_the_work_at_the_next_shard(folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left = itertools.chain([shards.MARGIN + (1 << 20)] * 4, itertools.repeat(shards.MARGIN))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(next(left)))
    monkeypatch.setattr(shards, "SHARD", 500)

    with pytest.raises(BadData, match=r"more in .*\.unfinished, which has 256 MiB"):
        prepare(found(folder), BYTES, cache, quiet)
    assert kept(cache) == []


def test_progress_goes_no_further_than_all(tmp_path: Path, cache: Path) -> None:
    rows = ["x" * 1000] * 100 + [f"{index} " * 30 for index in range(100)]
    pq.write_table(pa.table({"text": rows}), tmp_path / "rows.parquet")
    told: list[Progress] = []

    prepare(found(tmp_path / "rows.parquet"), BYTES, cache, told.append)

    assert all(progress.done <= progress.total for progress in told)


def test_who_waits_for_another_process_can_be_ended(folder: Path, cache: Path) -> None:
    def stop(progress: Progress) -> None:
        assert progress.stage == "waiting"
        raise InterruptedError

    cache.mkdir(parents=True)
    with alone(cache, quiet), pytest.raises(InterruptedError):
        prepare(found(folder), BYTES, cache, stop)


def test_who_waits_for_another_process_gives_up(folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agents.trainer.data.alone.PATIENCE", 0.2)
    cache.mkdir(parents=True)

    with alone(cache, quiet), pytest.raises(TimeoutError, match=r"has held .*datasets/\.lock for 0 s: end it"):
        prepare(found(folder), BYTES, cache, quiet)


PREPARE = """
import sys, time
from corpora import found
from agents.trainer.data.prepare import prepare
from agents.trainer.data.tokens import Choice
from pathlib import Path

def slowly(progress):
    print(progress.stage, flush=True)
    time.sleep(float(sys.argv[3]))

print(prepare(found(Path(sys.argv[1])), Choice("bytes"), Path(sys.argv[2]), slowly).index.training.tokens)
"""


def in_another_process(folder: Path, cache: Path, pause: float) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", PREPARE, str(folder), str(cache), str(pause)]
    return subprocess.Popen(command, cwd=Path(__file__).parent, stdout=subprocess.PIPE, text=True)


def test_what_a_killed_process_left_is_not_believed(folder: Path, cache: Path, tmp_path: Path) -> None:
    with in_another_process(folder, cache, 10) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "writing tokens\n"
        process.send_signal(signal.SIGKILL)
    assert kept(cache) == [".unfinished"]

    prepared = prepare(found(folder), BYTES, cache, quiet)

    assert kept(cache) == [prepared.folder.name]
    assert contents(prepared.folder) == contents(prepare(found(folder), BYTES, tmp_path / "clean", quiet).folder)


def test_who_checks_tokens_can_be_ended(folder: Path, cache: Path) -> None:
    def stop(progress: Progress) -> None:
        assert progress.stage == "checking tokens"
        raise InterruptedError

    prepare(found(folder), BYTES, cache, quiet)
    with pytest.raises(InterruptedError):
        prepare(found(folder), BYTES, cache, stop)


def test_two_processes_that_prepare_the_same_make_it_once(folder: Path, cache: Path) -> None:
    with in_another_process(folder, cache, 0.02) as first, in_another_process(folder, cache, 0.02) as second:
        said = [process.communicate(timeout=60)[0].splitlines() for process in (first, second)]

    assert said[0][-1] == said[1][-1] == str(prepare(found(folder), BYTES, cache, quiet).index.training.tokens)
    assert sum("writing tokens" in lines for lines in said) == 1
    assert len(kept(cache)) == 1


MEASURE = """
import resource, sys
from pathlib import Path
from corpora import CONTEXT, opened
import agents.trainer.data.parquet

def peak():
    if sys.platform == "darwin":
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    (line,) = (line for line in open("/proc/self/status") if line.startswith("VmHWM:"))  # Linux's ru_maxrss counts the parent's as well
    return int(line.split()[1]) * 1024

small, large, cache = map(Path, sys.argv[1:])
opened(small, cache)
before = peak()
corpus = opened(large, cache)
print(peak() - before, corpus.dataset.training_bytes + corpus.dataset.heldout_bytes)
"""


def test_memory_does_not_grow_with_the_corpus(tmp_path: Path, cache: Path) -> None:
    large, small = tmp_path / "large", tmp_path / "small"
    rows = [f"{index} is a number with many words behind it. " * 20 for index in range(40_000)]
    for name, count in ((small, 4000), (large, 40_000)):
        name.mkdir()
        (name / "text").write_text("\n".join(rows[:count] * 2))
        write_rows(name / "rows.jsonl", ({"text": row} for row in rows[:count]))
        pq.write_table(pa.table({"text": rows[:count]}), name / "rows.parquet", use_dictionary=False)

    command = [sys.executable, "-c", MEASURE, str(small), str(large), str(cache)]
    measured = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=True, timeout=100).stdout
    grown, size = map(int, measured.split())

    assert size > 120 << 20
    assert grown < 16 << 20


def test_a_corpus_needs_no_more_than_its_own_folder(folder: Path, cache: Path) -> None:
    corpus = opened(folder, cache)
    shutil.rmtree(folder)

    assert corpus.training_batch(3)[0].shape == (2, 16)
