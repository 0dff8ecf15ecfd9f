"""What verify makes of exports: each is of a checkpoint that the log knows, and each of their files of an export."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from recorded import STARTED, export_completed, export_parity, export_started
from test_verify_parts import MADE, Recorded, kinds

from bus.cli.verify.examine import examine
from bus.cli.verify.report import report
from bus.store import Store, Stored
from schemas import export, system, train

NAME = "micro-float32"


class Exported(Recorded):
    """A log with a run and its checkpoint, of which exports may be told."""

    def __init__(self, artifacts: Path) -> None:
        super().__init__(artifacts)
        self.add(train.RUN_STARTED, STARTED, run="r1")
        self.weights = self.add_checkpoint()

    def begin(self) -> None:
        self.add(export.STARTED, export_started(checkpoint=self.weights), run="r1")

    def end(self, parity: str | None) -> None:
        self.add(export.PARITY, export_parity(checkpoint=self.weights), run="r1")
        self.add(export.COMPLETED, export_completed(checkpoint=self.weights, parity=parity), run="r1")

    def whole(self) -> None:
        """An export as it should be: data beside the store, its graph and parity in it."""
        self.begin()
        data = self.add_beside(b"rows")
        graph = self.add_artifact(b"graph", "onnx", [data])
        self.end(self.add_artifact(b"{}", "parity", [graph]))

    def add_beside(self, content: bytes, name: str = NAME) -> str:
        """An artifact that lies where it is used."""
        made = beside(self.artifacts, content, name)
        data = system.Artifact(hash=made.hash, size=made.size, kind="onnx-data", path=made.path, parents=[self.weights])
        self.add(system.ARTIFACT, data, run="r1")
        return made.hash

    def remove(self, content: bytes, name: str = NAME) -> None:
        made = beside(self.artifacts, content, name)
        self.add(system.REMOVED, system.Removed(hash=made.hash, kind="onnx-data", reason="newer exports", path=made.path), run="r1")
        (self.artifacts / made.path).unlink()


def beside(artifacts: Path, content: bytes, name: str) -> Stored:
    """The file of an export outside of the store, written there."""
    path = artifacts / "train" / "models" / "exports" / name / "model.onnx.data"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return Stored(hashlib.sha256(content).hexdigest(), len(content), str(path.relative_to(artifacts)))


@pytest.fixture
def recorded(tmp_path: Path) -> Exported:
    return Exported(tmp_path / "artifacts")


def test_an_export_with_its_beginning_its_checkpoint_and_its_files_holds(recorded: Exported) -> None:
    recorded.whole()

    assert recorded.findings() == []


def test_an_export_that_never_began_is_found(recorded: Exported) -> None:
    recorded.end(None)
    recorded.begin()  # too late

    found = recorded.findings()
    assert kinds(found) == ["unexplained"] * 2
    assert all("no export.started of micro-float32, of the same checkpoint, comes before it" in finding.what for finding in found)


def test_an_export_of_a_checkpoint_that_nobody_made_is_found(recorded: Exported) -> None:
    recorded.add(export.STARTED, export_started(), run="r1")
    recorded.add(export.COMPLETED, export_completed(), run="r1")

    (finding,) = recorded.findings()
    assert "no train.checkpoint of the run r1 made its abab" in finding.what


def test_an_export_is_of_its_own_run(recorded: Exported) -> None:
    recorded.add(export.STARTED, export_started(checkpoint=recorded.weights), run="r2")
    recorded.add(export.PARITY, export_parity(checkpoint=recorded.weights), run="r2")

    (finding,) = recorded.findings()
    assert "no train.checkpoint of the run r2 made its" in finding.what


def test_a_parity_that_is_no_artifact_is_found(recorded: Exported) -> None:
    recorded.begin()
    recorded.end("ef" * 32)

    (finding,) = recorded.findings()
    assert f"no artifact.created has its parity {'ef' * 32}" in finding.what


@pytest.mark.parametrize("kind", ["onnx", "onnx-data", "huggingface", "parity"])
def test_a_file_that_only_an_export_makes_without_one_is_found(recorded: Exported, kind: str) -> None:
    recorded.add_artifact(b"graph", kind, [recorded.weights])

    (finding,) = recorded.findings()
    assert f"none of its run's export.started names a checkpoint that this {kind} comes from" in finding.what


def test_a_file_of_an_export_that_comes_from_something_else_is_found(recorded: Exported) -> None:
    recorded.begin()
    recorded.add_artifact(b"graph", "onnx", [STARTED.dataset.hash])
    recorded.add_artifact(b"config", "huggingface")

    assert kinds(recorded.findings()) == ["unexplained"] * 2


def test_the_files_of_an_export_that_failed_are_explained(recorded: Exported) -> None:
    recorded.begin()
    recorded.add_beside(b"rows", "failed")

    assert recorded.findings() == []


@pytest.mark.parametrize(("content", "expected"), [(b"rowz", "changed"), (b"rows and more", "changed"), (None, "missing")])
def test_a_file_beside_the_store_is_held_to_its_hash(recorded: Exported, content: bytes | None, expected: str) -> None:
    recorded.whole()
    path = recorded.artifacts / "train" / "models" / "exports" / NAME / "model.onnx.data"
    path.unlink()
    if content is not None:
        path.write_bytes(content)

    (finding,) = recorded.findings()
    assert (finding.kind, finding.where) == (expected, f"train/models/exports/{NAME}/model.onnx.data")


def test_equal_bytes_in_two_places_are_two_files(recorded: Exported) -> None:
    """Two exports of one checkpoint have the same weights, each in its own folder."""
    recorded.begin()
    recorded.add_beside(b"rows")
    recorded.add_beside(b"rows", "micro-again")
    recorded.remove(b"rows")
    (recorded.artifacts / "train" / "models" / "exports" / "micro-again" / "model.onnx.data").write_bytes(b"rowz")

    (finding,) = recorded.findings()
    assert (finding.kind, finding.where) == ("changed", "train/models/exports/micro-again/model.onnx.data")


def test_a_place_may_hold_another_file_once_the_first_was_removed(recorded: Exported) -> None:
    recorded.begin()
    recorded.add_beside(b"rows")
    recorded.remove(b"rows")
    recorded.add_beside(b"other rows")

    assert recorded.findings() == []
    text = report(examine(recorded.artifacts), MADE)
    assert [line.rsplit("|", 2)[1].strip() for line in text.splitlines() if "| onnx-data |" in line] == ["removed", "yes"]


def test_a_file_that_left_the_store_is_still_held_to_its_hash_elsewhere(recorded: Exported) -> None:
    """The trainer lets go of a checkpoint's weights, of which an export has the same bytes in its folder."""
    recorded.begin()
    recorded.add_beside(b"weights")
    recorded.add(system.REMOVED, system.Removed(hash=recorded.weights, kind="checkpoint", reason="newer ones"), run="r1")
    Store(recorded.artifacts).remove(recorded.weights)
    (recorded.artifacts / "train" / "models" / "exports" / NAME / "model.onnx.data").unlink()

    (finding,) = recorded.findings()
    assert (finding.kind, finding.where) == ("missing", f"train/models/exports/{NAME}/model.onnx.data")


def test_an_event_of_an_export_that_does_not_decode_is_said(recorded: Exported) -> None:
    recorded.add(export.COMPLETED, STARTED, run="r1")

    assert kinds(recorded.findings()) == ["unreadable"]
