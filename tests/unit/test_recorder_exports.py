"""What was exported of a run stands beside it, whenever it was exported, live and made again from the log."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from recorded import (
    HASH,
    STARTED,
    Recording,
    completed_data,
    export_completed,
    export_failed,
    export_parity,
    export_started,
    power_data,
    received,
)
from test_recorder_projections import wait_for

from agents.parts import parity_file
from agents.recorder import projections
from agents.recorder.compactor import LINEAGE
from agents.recorder.exports import LIST, NEWEST, PARITY
from agents.recorder.projections import Projector, project
from bus.log.compaction import compact
from bus.log.retention import thin
from bus.wire import decode_data
from schemas import export, power, train


@pytest.fixture
def recording(tmp_path: Path) -> Iterator[Recording]:
    recording = Recording(tmp_path)
    yield recording
    recording.log.close()


@pytest.fixture(autouse=True)
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(projections, "draw", lambda *_: None)


def a_run(recording: Recording, run: str) -> None:
    recording.add(train.RUN_STARTED, STARTED, run=run)
    recording.add(train.RUN_COMPLETED, completed_data(1), run=run)


def an_export(recording: Recording, run: str, name: str = "micro-float32") -> str:
    """The hash under which the exporter keeps its parity."""
    digest = hashlib.sha256(parity_file.encode(run, export_parity(name))).hexdigest()
    recording.add(export.STARTED, export_started(name), run=run)
    recording.add(export.PARITY, export_parity(name), run=run)
    recording.add(export.COMPLETED, export_completed(name, parity=digest), run=run)
    return digest


def projector(artifacts: Path, recording: Recording, errors: list[Exception | None] | None = None) -> Projector:
    return Projector(artifacts, recording.log, lambda _: None, lambda _: None, ([] if errors is None else errors).append)


def listed(artifacts: Path, run: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((artifacts / "runs" / run / LIST).read_text())
    return found


def files(artifacts: Path) -> dict[str, bytes]:
    return {str(path.relative_to(artifacts)): path.read_bytes() for name in (LIST, PARITY) for path in (artifacts / "runs").rglob(name)}


def test_an_export_is_listed_with_what_became_of_it(tmp_path: Path, recording: Recording) -> None:
    a_run(recording, "r1")
    digest = an_export(recording, "r1")
    recording.add(export.FAILED, export_failed("micro-int4"), run="r1")

    project(tmp_path)

    good, bad = listed(tmp_path, "r1")
    assert (good["export"], good["step"], good["checkpoint"], good["precision"]) == ("micro-float32", 3, HASH, "float32")
    assert (good["outcome"], good["passed"], good["parity"], good["error"]) == ("completed", True, digest, None)
    assert (good["folder"], good["model"]) == ("train/models/exports/micro-float32", "train/models/exports/micro-float32/model.onnx")
    assert good["began"] < good["ended"]
    assert (bad["outcome"], bad["passed"], bad["step"], bad["error"]) == ("failed", None, None, "NoSpace: the disk is full")


def test_each_attempt_at_one_export_is_listed(tmp_path: Path, recording: Recording) -> None:
    a_run(recording, "r1")
    recording.add(export.STARTED, export_started(), run="r1")  # and the process was killed
    recording.add(export.STARTED, export_started(), run="r1")
    recording.add(export.PARITY, export_parity(passed=False), run="r1")
    recording.add(export.FAILED, export_failed(kept="train/models/failed"), run="r1")
    an_export(recording, "r1")

    project(tmp_path)

    assert [(each["outcome"], each["passed"], each["kept"]) for each in listed(tmp_path, "r1")] == [
        (None, None, None),
        ("failed", False, "train/models/failed"),
        ("completed", True, None),
    ]


def test_the_file_has_the_hash_under_which_the_exporter_keeps_it_and_says_what_was_measured(tmp_path: Path, recording: Recording) -> None:
    a_run(recording, "r1")
    digest = an_export(recording, "r1")

    project(tmp_path)

    data = (tmp_path / NEWEST).read_bytes()
    assert hashlib.sha256(data).hexdigest() == digest == listed(tmp_path, "r1")[0]["parity"]
    found = json.loads(data)
    assert (found["format"], found["run"], found["passed"]) == ("zeropoint-parity-1", "r1", True)
    assert found["agreements"][0]["max_abs"] == 1e-6
    assert found["heldout_tokens"] == 512


def test_the_fixed_path_leads_to_the_newest_parity_of_any_run(tmp_path: Path, recording: Recording) -> None:
    live = projector(tmp_path, recording)
    a_run(recording, "r1")
    an_export(recording, "r1")
    a_run(recording, "r2")
    live.close()
    assert (tmp_path / NEWEST).readlink() == Path("../runs/r1/parity.json")  # r2 has none yet

    live = projector(tmp_path, recording)
    an_export(recording, "r2")
    an_export(recording, "r1", "micro-float16")
    live.close()

    assert json.loads((tmp_path / NEWEST).read_text())["export"] == "micro-float16"
    assert json.loads((tmp_path / "runs" / "r2" / PARITY).read_text())["export"] == "micro-float32"


def test_an_export_is_told_after_its_run_ended_another_began_and_the_recorder_started_anew(tmp_path: Path, recording: Recording) -> None:
    errors: list[Exception | None] = []
    live = projector(tmp_path, recording, errors)
    a_run(recording, "r1")
    recording.add(export.STARTED, export_started(), run="r1")
    recording.add(train.RUN_STARTED, STARTED, run="r2")
    live.close()
    recording.add(export.PARITY, export_parity(), run="r1")
    live = projector(tmp_path, recording, errors)
    recording.add(export.COMPLETED, export_completed(), run="r1")
    recording.steps(1, 2, "r2")
    live.close()

    assert errors == [None, None]
    assert [each["outcome"] for each in listed(tmp_path, "r1")] == ["completed"]
    assert not (tmp_path / "runs" / "r2" / LIST).exists()
    assert json.loads((tmp_path / "train" / "run.json").read_text())["run"] == "r2"
    before = files(tmp_path)
    assert len(before) == 2
    for name in before:
        (tmp_path / name).write_text("spoilt")
    project(tmp_path)
    assert files(tmp_path) == before


def test_made_again_after_retention_they_are_the_same(tmp_path: Path, recording: Recording) -> None:
    a_run(recording, "r1")
    an_export(recording, "r1")
    recording.add(power.SAMPLE, power_data(1.0))
    project(tmp_path)
    before = files(tmp_path)
    ended = recording.log._end_segment()
    assert ended is not None
    recording.add(train.EVAL, None)
    compact(ended.parent)
    assert thin(ended.parent, 1, LINEAGE).paths

    project(tmp_path)

    assert files(tmp_path) == before


def test_one_run_made_again_leaves_those_of_others_alone(tmp_path: Path, recording: Recording) -> None:
    for run in ("r1", "r2"):
        a_run(recording, run)
        an_export(recording, run)
    project(tmp_path)
    (tmp_path / "runs" / "r2" / LIST).unlink()
    (tmp_path / "runs" / "r1" / LIST).unlink()

    project(tmp_path, "r1")

    assert (tmp_path / "runs" / "r1" / LIST).exists()
    assert not (tmp_path / "runs" / "r2" / LIST).exists()
    assert (tmp_path / NEWEST).readlink() == Path("../runs/r2/parity.json")


def test_a_run_whose_folder_was_taken_away_does_not_come_back_by_itself(tmp_path: Path, recording: Recording) -> None:
    for run in ("r1", "r2"):
        a_run(recording, run)
        an_export(recording, run)
    project(tmp_path)
    shutil.rmtree(tmp_path / "runs" / "r1")

    projector(tmp_path, recording).close()

    assert not (tmp_path / "runs" / "r1").exists()
    assert listed(tmp_path, "r2")


def test_replays_strangers_and_what_does_not_decode_say_nothing(tmp_path: Path, recording: Recording) -> None:
    a_run(recording, "r1")
    recording.add(export.STARTED, export_started(), run="r1", replay=True)
    recording.add(export.STARTED, export_started(), run="r9")
    recording.add(export.STARTED, export_started())
    recording.add(export.COMPLETED, {"export": "../../etc"}, run="r1")

    project(tmp_path)

    assert files(tmp_path) == {}
    assert not (tmp_path / NEWEST).is_symlink()
    assert not (tmp_path / "runs" / "r9").exists()


def test_what_could_not_be_written_is_written_later(tmp_path: Path, recording: Recording, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(projections, "RETRY_SECONDS", 0.01)
    a_run(recording, "r1")
    project(tmp_path)
    (tmp_path / "runs" / "r1" / LIST).mkdir()
    an_export(recording, "r1")
    errors: list[Exception | None] = []
    live = projector(tmp_path, recording, errors)
    wait_for(lambda: any(errors))
    (tmp_path / "runs" / "r1" / LIST).rmdir()
    wait_for(lambda: errors[-1] is None)
    live.close()

    assert [each["outcome"] for each in listed(tmp_path, "r1")] == ["completed"]


def test_parity_is_the_same_bytes_before_and_after_it_was_on_the_bus() -> None:
    """Who measured may have given a float as an integer; the bus has one kind of number there."""
    event = received(export.PARITY.name, export_parity())

    recorded = decode_data(event.topic, event.envelope.data, export.Parity)

    assert repr(recorded.agreements[0].kl) != repr(export_parity().agreements[0].kl)
    assert parity_file.encode("r1", recorded) == parity_file.encode("r1", export_parity())
