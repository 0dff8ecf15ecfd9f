"""What is not the same model everywhere is not put in place, and says where it differs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from checkpoints import checkpoint
from exported import source_of
from test_exporter_agent import files_in, order

from agents.exporter import comparing, job, manifest, writing
from agents.exporter.messages import Begun, Finished, Message, Step
from agents.exporter.names import is_in_place
from agents.exporter.placing import Models
from agents.exporter.plan import make_plan
from agents.exporter.source import Source
from agents.exporter.tensors import Storage, storage_for
from agents.exporter.tokenizer import Tokens
from agents.exporter.worker import Worker
from agents.exporter.writing import Report
from agents.parts.recipes import RECIPES
from bus.store import Store
from bus.testing import FakeBus
from schemas import export
from schemas.system import REMOVED


def exported(tmp_path: Path) -> tuple[Finished, list[Message]]:
    said: list[Message] = []
    return job.export(order(Store(tmp_path), tmp_path), Models(tmp_path), said.append), said


@pytest.fixture
def wrong_writing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights get into the ONNX files a little wrong, as an error of ours might have them."""

    def wrongly(source: Source, tokens: Tokens, storage: Storage, folder: Path, report: Report) -> None:
        writing.write_folder(source, tokens, storage, folder, report)
        path = folder / "model.onnx.data"
        numbers = np.fromfile(path, np.float32)
        (numbers * np.float32(1.1)).tofile(path)

    monkeypatch.setattr(job, "write_folder", wrongly)


@pytest.mark.timeout(300)
@pytest.mark.usefixtures("wrong_writing")
def test_a_model_that_is_another_one_lies_aside_and_what_was_there_stays(tmp_path: Path) -> None:
    models = tmp_path / "train" / "models"
    (models / "exports" / "micro-before-float32").mkdir(parents=True)
    (models / "micro").symlink_to("exports/micro-before-float32")
    (models / "micro_model.onnx").write_bytes(b"a decoder")

    finished, _ = exported(tmp_path)

    assert finished.parity is not None and not finished.parity.passed
    assert finished.folder == "train/models/failed/micro-one-float32"
    assert {gate.measure for gate in finished.parity.gates if not gate.passed} >= {"max_abs", "top1", "greedy_same"}
    assert [file.kind for file in finished.files] == ["parity"]
    assert (models / "micro").readlink() == Path("exports/micro-before-float32")
    assert (models / "micro_model.onnx").read_bytes() == b"a decoder"
    assert "model.onnx" in files_in(tmp_path / finished.folder)


@pytest.mark.timeout(300)
def test_an_export_says_how_far_it_is_and_lists_every_file_with_what_it_was_made_of(tmp_path: Path) -> None:
    finished, said = exported(tmp_path)

    assert isinstance(said[0], Begun)
    stages = [message.stage for message in said if isinstance(message, Step)]
    assert stages == sorted(stages, key=["writing", "comparing"].index)
    assert set(stages) == {"writing", "comparing"}
    by_hash = {file.hash: file for file in finished.files}
    assert {file.kind for file in finished.files} == {"onnx", "onnx-data", "huggingface", "parity"}
    for file in finished.files:
        path = tmp_path / file.path
        assert path.stat().st_size == file.size
        assert said[0].started.checkpoint in file.parents
    (parity,) = (file for file in finished.files if file.kind == "parity")
    graphs = [file for file in finished.files if file.kind == "onnx" and file.hash in parity.parents]
    assert [by_hash[graph.parents[0]].kind for graph in graphs] == ["onnx-data"]


def test_a_failed_parity_is_a_failure_that_names_each_gate(tmp_path: Path) -> None:
    store, bus = Store(tmp_path), FakeBus("exporter")
    worker = Worker(tmp_path, bus.publish, bus.flush, bus.state_changed)
    gates = [
        export.Gate(measure="top1", limit=0.99, worst=0.5, backend="onnxruntime CPU", passed=False),
        export.Gate(measure="max_abs", limit=1e-3, worst=None, backend="transformers", passed=False),
    ]
    parity = export.Parity(
        export="one", recipe="micro", checkpoint="0" * 64, step=7, precision="float32", reference="tinygrad CPU", prompts=1, length=1,
        continued=1, seed=0, heldout_tokens=None, perplexity=None, agreements=[], rounding=None, gates=gates, passed=False,
    )  # fmt: skip
    finished = Finished(folder="train/models/failed/x", files=[], leaving=[], bytes=1, peak_memory=1, parity=parity, reason=None)

    worker.finish(make_plan(export.Export(), checkpoint(store).meta.hash, store), finished, 1.0)

    assert [event.topic for event in bus.events] == ["export.parity", "export.failed"]
    failed = bus.published(export.FAILED)[0]
    assert failed.kept == "train/models/failed/x"
    assert "top1 of onnxruntime CPU is 0.5, and may be 0.99" in failed.message
    assert "max_abs of transformers is no number" in failed.message


def test_a_model_that_is_too_large_to_be_compared_here_is_exported_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparing, "COPIES", 10**12)

    finished, said = exported(tmp_path)

    assert finished.parity is None
    assert finished.reason is not None and "GB are free" in finished.reason
    assert finished.folder == "train/models/exports/micro-one-float32"
    assert not [message for message in said if isinstance(message, Step) and message.stage == "comparing"]


def test_a_disk_without_room_is_named_before_anything_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "SPARE", 1 << 60)

    with pytest.raises(writing.NoSpace, match="GB are free"):
        exported(tmp_path)

    assert files_in(tmp_path / "train" / "models") == {}


def test_an_export_is_in_place_once_the_log_knows_of_it(tmp_path: Path) -> None:
    models, bus = Models(tmp_path), FakeBus("exporter")
    plan = make_plan(export.Export(), checkpoint(Store(tmp_path)).meta.hash, Store(tmp_path))
    made = models.begin("micro", plan.name)
    write_decoder(made)
    folder = models.place(made, "micro", plan.name)

    before = is_in_place(tmp_path, "micro", plan.name)
    done = Finished(folder=folder, files=[], leaving=[], bytes=1, peak_memory=1, parity=None, reason="no memory")
    Worker(tmp_path, bus.publish, bus.flush, bus.state_changed).finish(plan, done, 1.0)

    assert (before, is_in_place(tmp_path, "micro", plan.name)) == (False, True)
    assert bus.published(export.COMPLETED)[0].reason == "no memory"


def test_an_export_that_is_replaced_goes_when_its_removal_is_said(tmp_path: Path) -> None:
    models, bus = Models(tmp_path), FakeBus("exporter")
    plan = make_plan(export.Export(), checkpoint(Store(tmp_path)).meta.hash, Store(tmp_path))
    folders = []
    for name in ("a-float32", "b-float32", "c-float32"):
        made = models.begin("micro", name)
        write_decoder(made)
        manifest.describe(made, "0" * 64, [])
        folders.append(models.place(made, "micro", name))

    leaving = job._leaving(models, "micro")
    done = Finished(folder=folders[-1], files=[], leaving=leaving, bytes=1, peak_memory=1, parity=None, reason=None)
    Worker(tmp_path, bus.publish, bus.flush, bus.state_changed).finish(plan, done, 1.0)

    assert [each.folder for each in leaving] == folders[:1]
    assert {removed.path for removed in bus.published(REMOVED)} == {f"{folders[0]}/model.onnx", f"{folders[0]}/model.onnx.data"}
    assert not (tmp_path / folders[0]).exists()


def test_a_plan_that_a_newer_one_replaces_is_said(tmp_path: Path) -> None:
    store, bus = Store(tmp_path), FakeBus("exporter")
    worker = Worker(tmp_path, bus.publish, bus.flush, bus.state_changed)
    first, second = (make_plan(export.Export(), checkpoint(store, step).meta.hash, store) for step in (1, 2))

    worker.ask(first)
    worker.ask(first)
    worker.ask(second)

    assert [(failed.export, failed.error) for failed in bus.published(export.FAILED)] == [(first.name, "Replaced")]


def write_decoder(folder: Path) -> None:
    """Some decoder, with weights beside it."""
    source = source_of(RECIPES["micro"], folder.parent)
    writing.write_graphs(source, storage_for("float32"), folder, lambda done, total, what: None)
