"""The exporter makes models of checkpoints, one after the other; what cannot be made is said, and leaves what was there before."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from checkpoints import announced, checkpoint
from compiled import MICRO
from exported import lively_weights

from agents.exporter.agent import Exporter, ExporterSettings
from agents.exporter.child import ExportCrashed, run_job
from agents.exporter.messages import Begun, Finished, Order
from agents.exporter.plan import make_plan
from agents.exporter.queue import Queue
from agents.trainer.checkpoint import Saved
from bus.errors import CommandRefused
from bus.store import Store
from bus.testing import Harness, run
from bus.topic import Nothing
from schemas import export, train

MODELS = Path("train", "models")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


async def until(condition: Callable[[], Any]) -> None:
    """Wait for the exporting thread; the deadline is that of the test."""
    while not condition():  # noqa: ASYNC110  # the thread sets no asyncio event
        await asyncio.sleep(0.02)


async def ended(harness: Harness[Exporter], exports: int = 1) -> list[export.Completed | export.Failed]:
    """How so many exports ended."""
    await until(lambda: len(ends(harness)) >= exports and harness.agent.worker.present is None)
    return ends(harness)


def ends(harness: Harness[Exporter]) -> list[export.Completed | export.Failed]:
    return [event.data for event in harness.bus.events if event.topic in ("export.completed", "export.failed")]


def exporting(tmp_path: Path, *announcements: train.Checkpoint, automatic: bool = True) -> Harness[Exporter]:
    """An agent that has seen these checkpoints, and ended what came of it."""

    async def to_its_end() -> Harness[Exporter]:
        harness = Harness(Exporter, tmp_path, ExporterSettings(automatic=automatic))
        await harness.start()
        for each in announcements:
            await harness.feed(train.CHECKPOINT, each, run="run-1")
        await ended(harness)
        await harness.stop()
        return harness

    return run(to_its_end())


def spoilt(saved: Saved, tmp_path: Path, spoil: Callable[[bytes], bytes]) -> None:
    path = tmp_path / saved.weights.path
    data = path.read_bytes()
    path.unlink()
    path.write_bytes(spoil(data))


def files_in(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != ".lock"}


def flipped(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


@pytest.fixture
def placed(tmp_path: Path) -> dict[str, bytes]:
    """Models that are in place before an export."""
    folder = tmp_path / MODELS / "exports" / "micro-before-float32"
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(b"a model")
    (tmp_path / MODELS / "micro_model.onnx").write_bytes(b"its decoder")
    (tmp_path / MODELS / "micro").symlink_to("exports/micro-before-float32")
    return files_in(tmp_path / MODELS)


@pytest.mark.parametrize(
    ("spoil", "error", "message"),
    [
        (lambda data: data[: len(data) // 2], "NotInStore", "was changed: its bytes have the hash"),
        (flipped, "NotInStore", "was changed: its bytes have the hash"),
        (lambda data: b"", "NotInStore", "was changed: its bytes have the hash"),
    ],
    ids=["truncated", "flipped", "empty"],
)
def test_weights_that_are_not_those_of_their_hash_are_not_exported(
    store: Store, tmp_path: Path, placed: dict[str, bytes], spoil: Callable[[bytes], bytes], error: str, message: str
) -> None:
    saved = checkpoint(store)
    spoilt(saved, tmp_path, spoil)

    (end,) = ends(exporting(tmp_path, announced(saved)))

    assert isinstance(end, export.Failed)
    assert end.error == error
    assert message in end.message
    assert files_in(tmp_path / MODELS) == placed


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_no_numbers_are_not_exported(store: Store, tmp_path: Path, placed: dict[str, bytes], value: float) -> None:
    weights = lively_weights(MICRO)
    weights["model.layers.1.mlp.up_proj.weight"][3, 4] = value

    (end,) = ends(exporting(tmp_path, announced(checkpoint(store, weights=weights))))

    assert isinstance(end, export.Failed)
    assert "model.layers.1.mlp.up_proj.weight" in end.message
    assert files_in(tmp_path / MODELS) == placed


def test_weights_of_another_shape_are_not_exported(store: Store, tmp_path: Path, placed: dict[str, bytes]) -> None:
    weights = lively_weights(MICRO)
    weights["lm_head.weight"] = weights["lm_head.weight"][:-1]

    (end,) = ends(exporting(tmp_path, announced(checkpoint(store, weights=weights))))

    assert isinstance(end, export.Failed)
    assert end.error == "BadCheckpoint"
    assert "lm_head.weight is (255, 32), and should be (256, 32)" in end.message
    assert files_in(tmp_path / MODELS) == placed


@pytest.mark.timeout(300)
def test_the_last_checkpoint_of_a_run_becomes_a_model_that_writes_text(store: Store, tmp_path: Path) -> None:
    first, last = checkpoint(store, 7), checkpoint(store, 8)

    harness = exporting(tmp_path, announced(first, final=False), announced(last))

    (end,) = ends(harness)
    assert isinstance(end, export.Completed), end
    assert (end.checkpoint, end.step, end.precision) == (last.weights.hash, 8, "float32")
    assert 0 < end.peak_memory < 2 << 30
    (parity,) = harness.bus.published(export.PARITY)
    assert parity.passed and parity.heldout_tokens == 4 * MICRO.context
    later = Harness(Exporter, tmp_path)
    answer = run(later.call(export.GENERATE, export.Generate(prompt="def ", length=9, temperature=0, stream="one")))
    assert (answer.tokens, answer.model) == (9, end.folder)
    assert "".join(piece.text for piece in later.bus.published(export.TEXT)) == answer.text


def test_without_the_setting_nothing_is_exported_by_itself(store: Store, tmp_path: Path) -> None:
    saved = checkpoint(store)

    async def asked() -> tuple[export.Status, tuple[str, str]]:
        harness = Harness(Exporter, tmp_path, ExporterSettings(automatic=False))
        await harness.start()
        await harness.feed(train.CHECKPOINT, announced(saved), run="run-1")
        status = await harness.call(export.STATUS, Nothing())
        with pytest.raises(CommandRefused) as refused:
            await harness.call(export.GENERATE, export.Generate(prompt="x"))
        await harness.stop()
        return status, (refused.value.code, refused.value.message)

    status, (code, message) = run(asked())
    assert status == export.Status(state="idle")
    assert code == "no_model"
    assert "exporter.export" in message


def test_an_export_of_what_is_not_there_is_refused(store: Store) -> None:
    with pytest.raises(CommandRefused, match="no checkpoint has been announced yet"):
        make_plan(export.Export(), None, store)
    saved = checkpoint(store)
    store.remove(saved.weights.hash)
    with pytest.raises(CommandRefused, match="of one that is kept"):
        make_plan(export.Export(), saved.meta.hash, store)


def test_a_newer_export_replaces_the_one_that_waits(store: Store) -> None:
    plans = [make_plan(export.Export(), checkpoint(store, step).meta.hash, store) for step in (1, 2, 3)]
    queue = Queue()

    replaced = [queue.put(plan) for plan in plans]

    assert replaced == [None, plans[0], plans[1]]
    assert queue.next() == plans[2]
    queue.close()
    assert queue.next() is None


def jobs() -> list[psutil.Process]:
    """The processes of exports that this one has started."""
    return [child for child in psutil.Process().children() if "agents.exporter.job" in child.cmdline()]


def order(store: Store, tmp_path: Path) -> Order:
    meta = checkpoint(store).meta.hash
    return Order(export="one-float32", artifacts=str(tmp_path), meta=meta, precision="float32", block=32, symmetric=True)


def test_a_process_that_is_killed_is_said_to_have_crashed_and_its_files_go_with_the_next(store: Store, tmp_path: Path) -> None:
    messages = run_job(order(store, tmp_path), threading.Event())
    assert isinstance(next(messages), Begun)
    (child,) = jobs()
    child.send_signal(signal.SIGKILL)

    with pytest.raises(ExportCrashed, match="without a last word"):
        list(messages)
    assert list((tmp_path / MODELS).glob("exports/*")) == []


def test_a_cancelled_export_ends_at_once(store: Store, tmp_path: Path) -> None:
    cancelled = threading.Event()
    messages = run_job(order(store, tmp_path), cancelled)
    assert isinstance(next(messages), Begun)
    cancelled.set()

    assert not any(isinstance(message, Finished) for message in messages)
    assert jobs() == []
