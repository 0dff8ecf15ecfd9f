"""A run's files say what its events said, live and made again from the log."""

from __future__ import annotations

import csv
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from recorded import HASH, STARTED, Recording, checkpoint_data, completed_data, power_data, received, step_data

from agents.recorder import projections
from agents.recorder.compactor import LINEAGE
from agents.recorder.projections import LINKS, Projector, project
from agents.recorder.run_files import CURVE_COLUMNS
from bus.log.compaction import compact
from bus.log.records import Entry
from bus.log.retention import thin
from schemas import power, system, train


@pytest.fixture
def recording(tmp_path: Path) -> Iterator[Recording]:
    recording = Recording(tmp_path)
    yield recording
    recording.log.close()


@pytest.fixture(autouse=True)
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The runs that a projection had drawn, without the second that each drawing takes (test_recorder_curve.py draws)."""
    runs: list[str] = []
    monkeypatch.setattr(projections, "draw", lambda _, folders: runs.extend(folder.name for folder in folders))
    return runs


def a_run(recording: Recording, run: str, steps: int = 3) -> None:
    recording.add(power.SAMPLE, power_data(1.0))  # before the run
    recording.add(train.RUN_STARTED, STARTED, run=run)
    for step in range(1, steps + 1):
        recording.steps(step, step, run)
        recording.add(power.SAMPLE, power_data(float(step)))
    recording.add(train.EVAL, train.Eval(step=steps, loss=2.0, bits_per_byte=2.9, tokens=4096), run=run)
    recording.add(train.CHECKPOINT, checkpoint_data(steps), run=run)
    recording.add(train.RUN_COMPLETED, completed_data(steps), run=run)
    recording.add(power.SAMPLE, power_data(99.0))  # after the run


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}


def test_the_files_of_a_run_are_its_events(tmp_path: Path, recording: Recording) -> None:
    a_run(recording, "r1")

    (folder,) = project(tmp_path)
    rows = list(csv.DictReader((folder / "loss_curve.csv").open()))
    assert [float(row["loss"]) for row in rows] == [step_data(step).loss for step in (1, 2, 3)]
    assert set(rows[0]) == set(CURVE_COLUMNS)
    assert (folder / "heldout_loss.csv").read_text() == "step,loss,bits_per_byte,tokens\n3,2.0,2.9,4096\n"
    lines = [json.loads(line) for line in (folder / "tinygrad.jsonl").open()]
    assert [(line["step"], line["step_ms"], line["tokens_s"], line["joules"]) for line in lines] == [
        (n, 500.0, 32.0, None) for n in (1, 2, 3)
    ]
    assert [json.loads(line)["watts"] for line in (folder / "sys_power.jsonl").open()] == [1.0, 2.0, 3.0]
    summary = json.loads((folder / "run.json").read_text())
    assert (summary["outcome"], summary["seed"], summary["checkpoint_hash"], summary["dataset_hash"]) == ("finished", 7, HASH, HASH)
    assert summary["hyperparameters"]["recipe"] == "micro"
    assert (folder / "checkpoints" / "step-000003.safetensors").readlink() == Path("../../../store/ab/x")


def test_a_run_that_goes_on_has_each_step_once(tmp_path: Path, recording: Recording) -> None:
    recording.add(train.RUN_STARTED, STARTED, run="r1")
    for step in range(1, 6):
        recording.steps(step, step, "r1")
    recording.add(train.RUN_RESUMED, train.RunResumed(step=3), run="r1")
    for step in (4, 5):
        recording.steps(step, step, "r1")
    recording.add(train.RUN_SUSPENDED, train.RunSuspended(step=5), run="r1")

    (folder,) = project(tmp_path)

    summary = json.loads((folder / "run.json").read_text())
    assert (summary["outcome"], summary["resumed"], summary["steps"]) == ("suspended", [3], 5)
    assert [int(row["step"]) for row in csv.DictReader((folder / "loss_curve.csv").open())] == [1, 2, 3, 4, 5]
    assert [json.loads(line)["step"] for line in (folder / "tinygrad.jsonl").open()] == [1, 2, 3, 4, 5]


def test_a_run_that_goes_on_from_its_beginning_has_each_step_once(tmp_path: Path, recording: Recording) -> None:
    recording.add(train.RUN_STARTED, STARTED, run="r1")
    recording.steps(1, 2, "r1")
    recording.add(train.RUN_RESUMED, train.RunResumed(step=0), run="r1")
    recording.steps(1, 1, "r1")

    (folder,) = project(tmp_path)

    assert [int(row["step"]) for row in csv.DictReader((folder / "loss_curve.csv").open())] == [1]
    assert json.loads((folder / "run.json").read_text())["outcome"] == "running"


def test_run_json_stands_where_the_run_goes_on(tmp_path: Path, recording: Recording) -> None:
    recording.add(train.RUN_STARTED, STARTED, run="r1")
    for step, loss in ((1, 2.0), (3, 1.0)):
        recording.steps(step, step, "r1")
        recording.add(train.CHECKPOINT, msgspec.structs.replace(checkpoint_data(step), heldout_loss=loss, best=True), run="r1")
    recording.add(train.RUN_RESUMED, train.RunResumed(step=1, tokens=16, loss=2.5, heldout_loss=2.0), run="r1")

    (folder,) = project(tmp_path)

    summary = json.loads((folder / "run.json").read_text())
    assert (summary["steps"], summary["tokens"], summary["loss"], summary["heldout_loss"]) == (1, 16, 2.5, 2.0)
    assert [(entry["step"], entry["best"]) for entry in summary["checkpoints"]] == [(1, True)]
    assert sorted(path.name for path in (folder / "checkpoints").iterdir()) == ["step-000001.json", "step-000001.safetensors"]


def test_a_run_that_goes_on_after_the_log_lost_some_of_it_has_each_step_once(tmp_path: Path, recording: Recording) -> None:
    recording.add(train.RUN_STARTED, STARTED, run="r1")
    recording.steps(1, 5, "r1")
    (folder,) = project(tmp_path)
    recording.add(train.RUN_RESUMED, train.RunResumed(step=3), run="r1")
    for step in (4, 5, 6):  # said again, with times of their own
        recording.add(train.STEP, msgspec.structs.replace(step_data(step), seconds=0.25), run="r1")
    projection = projections.Projection(tmp_path)
    for entry in list(recording.log.read(topics=list(projections.TOPICS), after=0, until=recording.log.end))[:1]:
        projection.add(entry)
    projection.is_damaged = True
    for entry in list(recording.log.read(topics=list(projections.TOPICS), after=0, until=recording.log.end))[2:]:
        projection.add(entry)
    projection.close()

    for name, step_of in (
        ("loss_curve.csv", lambda line: line.split(",")[0]),
        ("tinygrad.jsonl", lambda line: str(json.loads(line)["step"])),
    ):
        lines = [line for line in (folder / name).read_text().splitlines() if not line.startswith("step")]
        assert [step_of(line) for line in lines] == ["1", "2", "3", "4", "5", "6"], name


def test_a_checkpoint_that_left_the_store_is_listed_without_a_link(tmp_path: Path, recording: Recording) -> None:
    recording.add(train.RUN_STARTED, STARTED, run="r1")
    recording.add(train.CHECKPOINT, checkpoint_data(3), run="r1")
    recording.add(system.REMOVED, system.Removed(hash=HASH, kind="checkpoint", reason="newer ones"), run="r1")

    (folder,) = project(tmp_path)

    (entry,) = json.loads((folder / "run.json").read_text())["checkpoints"]
    assert (entry["step"], entry["kept"]) == (3, False)
    assert [path.name for path in (folder / "checkpoints").iterdir()] == ["step-000003.json"]


def test_a_checkpoint_stays_where_an_equal_file_leaves_another_place(tmp_path: Path, recording: Recording) -> None:
    recording.add(train.RUN_STARTED, STARTED, run="r1")
    recording.add(train.CHECKPOINT, checkpoint_data(3), run="r1")
    elsewhere = system.Removed(hash=HASH, kind="huggingface", reason="newer ones", path="train/models/exports/x/model.safetensors")
    recording.add(system.REMOVED, elsewhere, run="r1")

    (folder,) = project(tmp_path)

    assert json.loads((folder / "run.json").read_text())["checkpoints"][0]["kept"] is True
    assert (folder / "checkpoints" / "step-000003.safetensors").is_symlink()


def test_a_runs_energy_is_that_of_its_steps_or_has_its_reason(tmp_path: Path, recording: Recording) -> None:
    recording.add(train.RUN_STARTED, STARTED, run="r1")
    recording.add(train.STEP, msgspec.structs.replace(step_data(1), energy_reason="no reading covers it"), run="r1")
    (folder,) = project(tmp_path)
    assert json.loads((folder / "run.json").read_text())["energy"] == {
        "joules": None, "tokens": 0, "joules_per_token": None, "source": None, "reason": "no reading covers it"
    }  # fmt: skip

    for step, joules in ((2, 3.0), (3, 5.0)):
        recording.add(train.STEP, msgspec.structs.replace(step_data(step), joules=joules, energy_source="rapl"), run="r1")

    project(tmp_path)
    energy = json.loads((folder / "run.json").read_text())["energy"]
    assert energy == {"joules": 8.0, "tokens": 32, "joules_per_token": 0.25, "source": "rapl", "reason": None}


def test_the_fixed_paths_lead_to_the_newest_run(tmp_path: Path, recording: Recording) -> None:
    a_run(recording, "r1")
    a_run(recording, "r2", steps=2)
    project(tmp_path)

    for fixed, name in LINKS.items():
        assert (tmp_path / fixed).resolve() == tmp_path / "runs" / "r2" / name
    project(tmp_path, "r1")
    assert json.loads((tmp_path / "train" / "run.json").read_text())["run"] == "r2"


def test_made_again_they_are_the_same_to_the_byte(tmp_path: Path, recording: Recording) -> None:
    a_run(recording, "r1")
    (folder,) = project(tmp_path)
    before = contents(folder)
    (folder / "loss_curve.csv").write_text("spoilt")
    (folder / "run.json").unlink()

    project(tmp_path, "r1")
    assert contents(folder) == before


def test_made_again_every_run_gets_its_loss_curve(tmp_path: Path, recording: Recording, drawn: list[str]) -> None:
    a_run(recording, "r1")
    a_run(recording, "r2")

    project(tmp_path)
    assert drawn == ["r1", "r2"]


def test_live_a_loss_curve_is_drawn_at_each_checkpoint_and_at_the_end(tmp_path: Path, recording: Recording) -> None:
    live = Live(tmp_path, recording)
    recording.add(train.RUN_STARTED, STARTED, run="r1")
    recording.steps(1, 2, "r1")
    live.projector.again(None)
    assert live.curves == []
    recording.add(train.CHECKPOINT, checkpoint_data(2), run="r1")
    live.projector.grown()
    wait_for(lambda: live.curves == ["r1"])
    recording.add(train.RUN_COMPLETED, completed_data(2), run="r1")
    live.projector.close()
    assert live.curves == ["r1", "r1"]


def test_a_run_that_is_not_in_the_log_is_named(tmp_path: Path, recording: Recording) -> None:
    a_run(recording, "r1")

    with pytest.raises(LookupError, match="r9"):
        project(tmp_path, "r9")


def test_a_run_that_never_ended_is_interrupted_when_the_next_begins(tmp_path: Path, recording: Recording) -> None:
    recording.add(train.RUN_STARTED, STARTED, run="r1")
    recording.steps(1, 2, "r1")
    a_run(recording, "r2")

    first, second = project(tmp_path)
    assert json.loads((first / "run.json").read_text())["outcome"] == "interrupted"
    assert json.loads((second / "run.json").read_text())["outcome"] == "finished"


def test_a_failed_run_says_why(tmp_path: Path, recording: Recording) -> None:
    recording.add(train.RUN_STARTED, STARTED, run="r1")
    recording.add(train.RUN_FAILED, train.RunFailed(step=1, error="MemoryError", message="none left"), run="r1")

    (folder,) = project(tmp_path)
    summary = json.loads((folder / "run.json").read_text())
    assert (summary["outcome"], summary["error"]) == ("failed", "MemoryError: none left")


def test_replayed_foreign_and_undecodable_events_are_no_part_of_a_run(tmp_path: Path, recording: Recording) -> None:
    recording.add(train.RUN_STARTED, STARTED, run="r1")
    recording.add(train.STEP, step_data(1), run="r1")
    recording.add(train.STEP, step_data(2), run="r1", replay=True)
    recording.add(train.STEP, step_data(3), run="r2")
    recording.add(train.STEP, step_data(4))
    recording.add(train.STEP, {"step": "four"}, run="r1")
    bad = {"step": 1, "hash": HASH, "meta_hash": HASH, "path": "../../etc/passwd", "meta_path": "x", "size": 1, "loss": 1.0}
    recording.add(train.CHECKPOINT, bad, run="r1")

    (folder,) = project(tmp_path)
    assert len((folder / "loss_curve.csv").read_text().splitlines()) == 2
    assert list((folder / "checkpoints").iterdir()) == []


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


class Live:
    """A projector over a growing log, and what it reports."""

    def __init__(self, artifacts: Path, recording: Recording) -> None:
        self.finished: list[str] = []
        self.errors: list[Exception | None] = []
        self.curves: list[str] = []
        self.reported = threading.Event()
        self.projector = Projector(
            artifacts, recording.log, self._on_finished, lambda folder: self.curves.append(folder.name), self.errors.append
        )

    def _on_finished(self, files: object) -> None:
        self.finished.append(files.run)  # type: ignore[attr-defined]  # RunFiles
        self.reported.set()


def test_live_the_files_grow_with_the_log_and_end_as_made_again(tmp_path: Path, recording: Recording) -> None:
    recording.add(train.RUN_STARTED, STARTED, run="r0")
    recording.add(train.RUN_COMPLETED, completed_data(1), run="r0")
    live = Live(tmp_path, recording)
    a_run(recording, "r1")
    live.projector.grown()
    assert live.reported.wait(10)
    a_run(recording, "r2")
    live.projector.close()

    assert live.finished == ["r0", "r1", "r2"]
    assert live.errors == [None]
    before = {run: contents(tmp_path / "runs" / run) for run in ("r0", "r1", "r2")}
    project(tmp_path)
    assert {run: contents(tmp_path / "runs" / run) for run in ("r0", "r1", "r2")} == before


def test_a_restart_in_the_middle_of_a_run_loses_no_line_of_it(tmp_path: Path, recording: Recording) -> None:
    first = Live(tmp_path, recording)
    recording.add(train.RUN_STARTED, STARTED, run="r1")
    recording.steps(1, 5, "r1")
    first.projector.close()
    recording.steps(6, 7, "r1")

    second = Live(tmp_path, recording)
    recording.steps(8, 9, "r1")
    recording.add(train.RUN_COMPLETED, completed_data(9), run="r1")
    second.projector.close()
    steps = [int(row["step"]) for row in csv.DictReader((tmp_path / "train" / "loss_curve.csv").open())]
    assert steps == list(range(1, 10))


def test_damage_in_the_log_costs_a_run_its_lines_there_and_no_others(tmp_path: Path) -> None:
    recording = Recording(tmp_path)
    recording.add(train.RUN_STARTED, STARTED, run="r1")
    recording.steps(1, 3, "r1")
    recording.damage(step=2)
    recording.log._newest._committed.clear()  # as after a start: what is looked up is read
    live = Live(tmp_path, recording)
    recording.steps(4, 5, "r1")
    recording.add(train.RUN_COMPLETED, completed_data(5), run="r1")
    live.projector.close()

    assert live.errors == [None] and live.finished == ["r1"]
    (folder,) = project(tmp_path)
    for curve in (tmp_path / "train" / "loss_curve.csv", folder / "loss_curve.csv"):
        assert [int(row["step"]) for row in csv.DictReader(curve.open())] == [1, 3, 4, 5]


def test_lines_of_a_run_stay_where_the_log_was_damaged_since(tmp_path: Path) -> None:
    recording = Recording(tmp_path)
    live = Live(tmp_path, recording)
    recording.add(train.RUN_STARTED, STARTED, run="r1")
    recording.steps(1, 3, "r1")
    live.projector.close()
    recording.damage(step=2)
    recording.steps(4, 4, "r1")
    recording.log._newest._committed.clear()  # as after a start: what is looked up is read
    again = Live(tmp_path, recording)
    recording.steps(5, 5, "r1")
    again.projector.close()

    (folder,) = project(tmp_path)
    assert [int(row["step"]) for row in csv.DictReader((folder / "loss_curve.csv").open())] == [1, 2, 3, 4, 5]


def test_again_on_command_the_running_run_goes_on(tmp_path: Path, recording: Recording) -> None:
    live = Live(tmp_path, recording)
    recording.add(train.RUN_STARTED, STARTED, run="r1")
    recording.steps(1, 2, "r1")
    live.projector.grown()

    assert live.projector.again(None) == [tmp_path / "runs" / "r1"]
    recording.steps(3, 4, "r1")
    live.projector.close()
    assert len((tmp_path / "train" / "loss_curve.csv").read_text().splitlines()) == 5
    assert live.errors == [None]


def test_what_keeps_files_from_being_written_is_said_once_and_mended_by_itself(
    tmp_path: Path, recording: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(projections, "RETRY_SECONDS", 0.05)
    (tmp_path / "runs").write_text("in the way")
    live = Live(tmp_path, recording)
    recording.add(train.RUN_STARTED, STARTED, run="r1")
    recording.add(train.RUN_COMPLETED, completed_data(1), run="r1")
    live.projector.grown()
    while not any(live.errors):
        live.reported.wait(0.01)
    (tmp_path / "runs").unlink()

    assert live.reported.wait(10)
    live.projector.close()
    assert live.finished == ["r1"]
    assert [type(error) for error in live.errors if error] == [NotADirectoryError]
    assert live.errors[-1] is None


def test_a_run_that_nobody_knows_does_not_end_the_live_files(tmp_path: Path, recording: Recording) -> None:
    live = Live(tmp_path, recording)
    recording.add(train.RUN_STARTED, STARTED, run="r1")
    recording.steps(1, 2, "r1")
    live.projector.grown()
    with pytest.raises(LookupError):
        live.projector.again("r9")
    recording.steps(3, 3, "r1")
    live.projector.close()

    assert len((tmp_path / "train" / "loss_curve.csv").read_text().splitlines()) == 4


def test_a_run_without_a_name_is_left_out(tmp_path: Path, recording: Recording) -> None:
    event = received("train.run.started", STARTED)
    recording.log.append(event.topic, event.plane, bytes(event.event_map), event.envelope)
    recording.log.commit()

    assert project(tmp_path) == []


def thinned(recording: Recording) -> None:
    """What was recorded so far, as retention leaves it."""
    ended = recording.log._end_segment()
    assert ended is not None
    recording.add(train.EVAL, None)
    compact(ended.parent)
    assert thin(ended.parent, 1, LINEAGE).paths


def watts(folder: Path) -> list[float]:
    return [json.loads(line)["watts"] for line in (folder / "sys_power.jsonl").open()]


def test_power_readings_that_the_log_has_lost_stay_in_the_file(tmp_path: Path, recording: Recording) -> None:
    a_run(recording, "r1")
    (folder,) = project(tmp_path)
    before = contents(folder)
    thinned(recording)

    project(tmp_path)
    assert contents(folder) == before
    Live(tmp_path, recording).projector.close()
    assert contents(folder) == before


def test_a_run_goes_on_behind_power_readings_that_the_log_has_lost(tmp_path: Path, recording: Recording) -> None:
    first = Live(tmp_path, recording)
    recording.add(train.RUN_STARTED, STARTED, run="r1")
    for value in (1.0, 2.0):
        recording.add(power.SAMPLE, power_data(value))
    first.projector.close()
    thinned(recording)
    folder = tmp_path / "runs" / "r1"
    for value in (3.0, 4.0):
        Live(tmp_path, recording).projector.close()
        recording.add(power.SAMPLE, power_data(value))
        with (folder / "sys_power.jsonl").open("a") as file:
            file.write('{"time": 1, "wat')  # as a kill leaves it
    last = Live(tmp_path, recording)
    recording.add(power.SAMPLE, power_data(5.0))
    last.projector.close()

    assert watts(folder) == [1.0, 2.0, 3.0, 4.0, 5.0]


def test_a_file_that_is_not_there_is_made_of_the_power_readings_that_are_left(tmp_path: Path, recording: Recording) -> None:
    recording.add(train.RUN_STARTED, STARTED, run="r1")
    recording.add(power.SAMPLE, power_data(1.0))
    thinned(recording)
    recording.add(power.SAMPLE, power_data(2.0))

    (folder,) = project(tmp_path)
    assert watts(folder) == [2.0]


def test_a_run_behind_what_retention_took_is_made_again_whole(tmp_path: Path, recording: Recording) -> None:
    recording.add(power.SAMPLE, power_data(1.0))
    thinned(recording)
    a_run(recording, "r1")
    (folder,) = project(tmp_path)
    before = contents(folder)
    (folder / "sys_power.jsonl").write_text("spoilt\n")

    project(tmp_path)
    assert contents(folder) == before


def test_a_run_that_begins_while_the_newest_is_looked_for_gets_its_files(
    tmp_path: Path, recording: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    recording.add(train.EVAL, None)

    look_up, began = recording.log.last, threading.Event()

    def last(topic: str, *more: Any) -> Entry | None:
        found = look_up(topic, *more)
        if not began.is_set():
            recording.add(train.RUN_STARTED, STARTED, run="r1")
            began.set()
        return found

    monkeypatch.setattr(recording.log, "last", last)
    live = Live(tmp_path, recording)
    assert began.wait(5)
    recording.add(train.RUN_COMPLETED, completed_data(1), run="r1")
    live.projector.grown()

    assert live.reported.wait(5)
    live.projector.close()
    assert live.finished == ["r1"]
