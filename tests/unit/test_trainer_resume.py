"""A run that was interrupted goes on to the bit where it stood, and keeps the checkpoints that it needs."""

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from compiled import MICRO, batch, hyperparameters, learner
from test_trainer_run import NOTHING, refusal, started, until, worker_of

from agents.parts.compiler import NoDevice
from agents.trainer import journal, loop, worker
from agents.trainer.checkpoint import load
from agents.trainer.data.files import Progress as Reading
from agents.trainer.journal import Journal, Kept
from agents.trainer.learner import Learner
from agents.trainer.plan import Settings, make_plan
from agents.trainer.report import Report
from agents.trainer.retention import retained, superfluous
from agents.trainer.shelf import Shelf
from bus.errors import BusTimeout
from bus.store import Store
from bus.testing import FakeBus, Harness, run
from schemas import train
from schemas.system import ARTIFACT, REMOVED

STEPS = 24


@pytest.fixture
def settings(text: Path) -> Settings:
    return Settings(recipe="micro", steps=STEPS, data=str(text), eval_every=6, sample_every=0, checkpoint_every=6)


def curve(*buses: FakeBus) -> dict[int, tuple[float, float, float]]:
    """What decides a run's result, by step; a step that was said again must be the same."""
    points: dict[int, tuple[float, float, float]] = {}
    for step in (step for bus in buses for step in bus.published(train.STEP)):
        point = (step.loss, step.grad_norm, step.learning_rate)
        assert points.setdefault(step.step, point) == point, step.step
    return points


async def finished(folder: Path, settings: Settings) -> Harness:
    """An agent whose run has ended."""
    harness = await started(folder, settings)
    await until(lambda: not worker_of(harness).busy)
    return harness


def stop_at(monkeypatch: pytest.MonkeyPatch, step: int) -> Iterator[int]:
    """Let the training thread end after `step` as if the process were killed: without a word."""
    learn = Learner.step

    def held(self: Learner, *arguments: Any) -> tuple[float, float]:
        if self._optimizer._steps == step:
            raise SystemExit
        return learn(self, *arguments)

    monkeypatch.setattr(Learner, "step", held)
    yield step
    monkeypatch.setattr(Learner, "step", learn)


@pytest.fixture(scope="module")
def unbroken(text: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[int, tuple[float, float, float]], str]:
    """The curve and the last weights of a run that nothing interrupts."""
    harness = run(finished(tmp_path_factory.mktemp("unbroken"), Settings(
        recipe="micro", steps=STEPS, data=str(text), eval_every=6, sample_every=0, checkpoint_every=6)))  # fmt: skip
    return curve(harness.bus), harness.bus.published(train.RUN_COMPLETED)[0].checkpoint or ""


def test_an_agent_that_ends_suspends_its_run_and_the_next_goes_on_to_the_bit(
    tmp_path: Path, settings: Settings, unbroken: tuple[dict[int, tuple[float, float, float]], str]
) -> None:
    async def scenario() -> None:
        first = await started(tmp_path, settings)
        await until(lambda: len(first.bus.published(train.STEP)) >= 8)
        await first.stop()
        (suspended,) = first.bus.published(train.RUN_SUSPENDED)
        assert suspended.step == first.bus.published(train.STEP)[-1].step < STEPS
        assert first.bus.published(train.RUN_COMPLETED) == []

        second = await finished(tmp_path, settings)

        checkpoint = first.bus.published(train.CHECKPOINT)[-1]
        (resumed,) = second.bus.published(train.RUN_RESUMED)
        assert (resumed.step, resumed.checkpoint, resumed.loss) == (suspended.step, checkpoint.hash, checkpoint.loss)
        assert second.bus.published(train.RUN_STARTED) == []
        assert {event.run for event in second.bus.events} == {first.bus.events[0].run}
        assert curve(first.bus, second.bus) == unbroken[0]
        assert second.bus.published(train.RUN_COMPLETED)[0].checkpoint == unbroken[1]

    run(scenario())


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_run_goes_on_from_its_last_checkpoint_where_no_later_step_was_kept(
    tmp_path: Path, settings: Settings, unbroken: tuple[dict[int, tuple[float, float, float]], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a kill: the thread ends in step 15 without a word."""

    async def scenario() -> None:
        holding = stop_at(monkeypatch, 14)
        next(holding)
        first = await started(tmp_path, settings)
        await until(lambda: len(first.bus.published(train.STEP)) == 14)
        assert worker_of(first)._thread is not None
        await asyncio.to_thread(worker_of(first)._thread.join, 10)
        next(holding, None)

        second = await finished(tmp_path, settings)

        assert [resumed.step for resumed in second.bus.published(train.RUN_RESUMED)] == [12]
        assert [step.step for step in second.bus.published(train.STEP)] == list(range(13, STEPS + 1))
        assert curve(first.bus, second.bus) == unbroken[0]
        assert second.bus.published(train.RUN_COMPLETED)[0].checkpoint == unbroken[1]
        assert second.bus.published(train.RUN_COMPLETED)[0].seconds > 0

    run(scenario())


def test_a_checkpoint_that_the_end_of_the_agent_overtakes_is_not_gone_on_from(
    tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody was told of it: its event came after the last one of the agent."""
    put, leave = Store.put, threading.Event()

    async def scenario() -> None:
        first = await started(tmp_path, settings)
        await until(lambda: len(first.bus.published(train.CHECKPOINT)) == 1)

        def slow(self: Store, source: Any) -> Any:
            leave.wait(30)
            return put(self, source)

        monkeypatch.setattr(Store, "put", slow)
        await first.stop()
        suspended = first.bus.published(train.RUN_SUSPENDED)
        leave.set()
        thread = worker_of(first)._thread
        assert thread is not None
        await asyncio.to_thread(thread.join, 10)

        present = journal.unfinished(tmp_path)
        assert present is not None
        assert [train.RunSuspended(step=present.resumable[0].step)] == suspended
        assert len(first.bus.published(train.CHECKPOINT)) == 1

    run(scenario())


def test_a_run_that_was_stopped_or_is_over_is_not_gone_on_with(tmp_path: Path, settings: Settings) -> None:
    async def scenario() -> None:
        first = await started(tmp_path, settings)
        await until(lambda: first.bus.published(train.STEP))
        await first.call(train.STOP, NOTHING)
        await until(lambda: not worker_of(first).busy)
        await first.stop()

        second = await started(tmp_path, msgspec.structs.replace(settings, autostart=False))

        assert second.bus.states[-1][0] == "waiting"
        await second.stop()

    run(scenario())


def test_what_hinders_a_run_from_going_on_does_not_end_it(tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "own"
    folder.mkdir()
    for index in range(60):
        (folder / f"{index}.txt").write_text("a line of text\n" * 20)
    changing = msgspec.structs.replace(settings, data=str(folder), steps=10_000)

    def nothing() -> str:
        raise NoDevice("no C compiler")

    async def scenario() -> None:
        first = await started(tmp_path, changing)
        await until(lambda: first.bus.published(train.CHECKPOINT))
        await first.stop()
        step = first.bus.published(train.RUN_SUSPENDED)[0].step
        original = (folder / "0.txt").read_text()

        (folder / "0.txt").write_text("another text\n" * 20)
        changed = await finished(tmp_path, changing)
        (folder / "0.txt").write_text(original)
        with monkeypatch.context() as patch:
            patch.setattr(worker, "open_device", nothing)
            without = await finished(tmp_path, changing)
        again = await started(tmp_path, changing)
        await until(lambda: again.bus.published(train.STEP))
        await again.stop()

        for harness, why in ((changed, "DataChanged: "), (without, "NoDevice: no C compiler")):
            (suspended,) = harness.bus.published(train.RUN_SUSPENDED)
            assert suspended.step == step and (suspended.reason or "").startswith(why)
            assert harness.bus.published(train.RUN_FAILED) == []
        assert "bring it back, or begin a new run" in (changed.bus.states[-1][1] or "")
        assert again.bus.published(train.STEP)[0].step == step + 1

    run(scenario())


def test_a_run_that_a_trainer_before_began_goes_on_and_then_has_a_sample_of_what_is_held_out(tmp_path: Path, settings: Settings) -> None:
    endless = msgspec.structs.replace(settings, steps=10_000)

    async def scenario() -> None:
        first = await started(tmp_path, endless)
        await until(lambda: first.bus.published(train.STEP))
        await first.stop()
        sample = first.bus.published(train.RUN_STARTED)[0].dataset.heldout_sample or ""
        Store(tmp_path).remove(sample)

        second = await started(tmp_path, endless)
        await until(lambda: second.bus.published(train.CHECKPOINT))
        await second.stop()

        content, _ = load(second.bus.published(train.CHECKPOINT)[-1].meta_hash, Store(tmp_path))
        assert len(second.bus.published(train.RUN_RESUMED)) == 1
        assert content.dataset.heldout_sample == sample
        assert [each.hash for each in second.bus.published(ARTIFACT) if each.kind == "heldout-sample"] == [sample]
        assert Store(tmp_path).path(sample)

    run(scenario())


def test_ends_in_order_are_no_deaths(tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ended while it reads its data: often, and the run still goes on."""
    endless = msgspec.structs.replace(settings, steps=10_000)

    async def scenario() -> None:
        first = await started(tmp_path, endless)
        await until(lambda: first.bus.published(train.STEP))
        await first.stop()
        step = first.bus.published(train.RUN_SUSPENDED)[0].step

        def reading(plan: Any, cache: Path, report: Any) -> None:
            while True:
                report(Reading("hashing", 1, 2))

        with monkeypatch.context() as patch:
            patch.setattr(loop, "open_corpus", reading)
            for _ in range(journal.MOST_DEATHS + 1):
                held = await started(tmp_path, endless)
                await asyncio.sleep(0.05)
                await held.stop()
                assert held.bus.published(train.RUN_SUSPENDED) == [train.RunSuspended(step=step)]
        last = await started(tmp_path, endless)
        await until(lambda: last.bus.published(train.STEP))
        await last.stop()
        assert last.bus.published(train.STEP)[0].step == step + 1

    run(scenario())


@pytest.mark.parametrize("resumed", [False, True])
def test_a_run_is_stopped_while_its_data_is_read(
    tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch, resumed: bool
) -> None:
    def reading(plan: Any, cache: Path, report: Any) -> None:
        while True:
            report(Reading("hashing", 1, 2))

    async def scenario() -> None:
        if resumed:
            first = await started(tmp_path, settings)
            await until(lambda: first.bus.published(train.STEP))
            await first.stop()
        monkeypatch.setattr(loop, "open_corpus", reading)
        harness = await started(tmp_path, settings)
        await harness.call(train.STOP, NOTHING)
        await until(lambda: not worker_of(harness).busy)
        await harness.stop()

        completed, failed = harness.bus.published(train.RUN_COMPLETED), harness.bus.published(train.RUN_FAILED)
        assert [each.outcome for each in completed] == (["stopped"] if resumed else [])
        assert [each.error for each in failed] == ([] if resumed else ["Interrupted"])
        assert harness.bus.states[-1][0] == "done"
        assert journal.unfinished(tmp_path) is None

    run(scenario())


def test_a_new_run_that_the_end_of_the_agent_overtakes_never_began(
    tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave = threading.Event()
    opened = loop.open_corpus

    def slow(*arguments: Any) -> Any:
        leave.wait(30)
        return opened(*arguments)

    monkeypatch.setattr(loop, "open_corpus", slow)

    async def scenario() -> None:
        harness = await started(tmp_path, settings)
        await asyncio.sleep(0.1)
        await harness.stop()
        leave.set()
        thread = worker_of(harness)._thread
        assert thread is not None
        await asyncio.to_thread(thread.join, 10)

        assert harness.bus.events == []
        assert not list((tmp_path / "runs").rglob(journal.NAME))

    run(scenario())


def test_a_run_that_is_over_does_not_come_back_where_the_log_was_behind(
    tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    endless = msgspec.structs.replace(settings, steps=10_000, keep_checkpoints=1)

    def behind(self: FakeBus, timeout: float) -> None:
        raise BusTimeout("the recorder is not there")

    async def scenario() -> None:
        harness = await started(tmp_path, endless)
        await until(lambda: harness.bus.published(train.CHECKPOINT))
        monkeypatch.setattr(FakeBus, "flush", behind)
        await harness.call(train.STOP, NOTHING)
        await until(lambda: not worker_of(harness).busy)
        await harness.stop()

        assert journal.unfinished(tmp_path) is None
        removed = {each.hash for each in harness.bus.published(REMOVED)}
        gone = {each.hash for each in harness.bus.published(ARTIFACT) if not (tmp_path / each.path).exists()}
        assert gone <= removed

    run(scenario())


def test_an_end_is_not_taken_back_by_the_end_of_the_agent(tmp_path: Path, settings: Settings) -> None:
    bus = FakeBus()
    shelf = Shelf(tmp_path, Report("run-1", bus.publish, bus.flush), 3)
    shelf.reopen(Journal(plan=make_plan(train.Start(), settings), dataset_hash="0" * 64))

    shelf.end()
    shelf.suspend()

    assert journal.unfinished(tmp_path) is None


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_what_a_kill_left_behind_leaves_the_store_later(tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process dies between the journal that no longer needs a file and its removal."""
    endless = msgspec.structs.replace(settings, steps=10_000, keep_checkpoints=1, eval_every=0)
    remove = Store.remove

    def dies(self: Store, digest: str) -> None:
        raise SystemExit

    async def scenario() -> None:
        with monkeypatch.context() as patch:
            patch.setattr(Store, "remove", dies)
            first = await started(tmp_path, endless)
            thread = worker_of(first)._thread
            assert thread is not None
            await asyncio.to_thread(thread.join, 30)
        left = {each.hash for each in first.bus.published(REMOVED)}
        assert left and all(Store(tmp_path).path(digest).exists() for digest in left)

        second = await started(tmp_path, endless)
        await until(lambda: second.bus.published(REMOVED))
        await second.stop()

        assert left <= {each.hash for each in second.bus.published(REMOVED)}
        assert not any((tmp_path / "store" / digest[:2] / digest).exists() for digest in left)

    assert remove is Store.remove
    run(scenario())


def test_a_run_that_kills_its_process_is_not_tried_for_ever(tmp_path: Path, settings: Settings) -> None:
    planned = make_plan(train.Start(), settings)
    dataset = run(finished(tmp_path / "other", settings)).bus.published(train.RUN_STARTED)[0].dataset
    journal.write(Journal(plan=planned, dataset_hash=dataset.hash, deaths=journal.MOST_DEATHS), tmp_path)

    harness = run(finished(tmp_path, settings))

    (failed,) = harness.bus.published(train.RUN_FAILED)
    assert failed.error == "CrashLoop"
    assert journal.unfinished(tmp_path) is None


def test_a_checkpoint_that_was_spoilt_gives_way_to_the_one_before(tmp_path: Path, settings: Settings) -> None:
    endless = msgspec.structs.replace(settings, steps=10_000)

    async def scenario() -> None:
        first = await started(tmp_path, endless)
        await until(lambda: len(first.bus.published(train.CHECKPOINT)) >= 2)
        await first.stop()
        present = journal.unfinished(tmp_path)
        assert present is not None and len(present.resumable) >= 2
        newest, before = present.resumable[:2]
        assert newest.optimizer is not None
        path = Store(tmp_path).path(newest.optimizer)
        path.chmod(0o600)
        path.write_bytes(b"spoilt")

        second = await started(tmp_path, endless)
        await until(lambda: second.bus.published(train.STEP))
        await second.stop()

        (resumed,) = second.bus.published(train.RUN_RESUMED)
        assert (resumed.step, resumed.checkpoint) == (before.step, before.weights)

    run(scenario())


def test_a_journal_that_is_none_is_named_and_left_alone(tmp_path: Path, settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "runs" / "run-1"
    folder.mkdir(parents=True)
    for damaged in (b"{", b"\xff" * 10, b" " * (journal.SIZE_LIMIT + 1)):
        (folder / journal.NAME).write_bytes(damaged)
        assert journal.unfinished(tmp_path) is None
        assert "cannot be read" in capsys.readouterr().out


def test_the_last_checkpoints_stay_and_the_best_and_the_rest_leaves_the_store(tmp_path: Path, settings: Settings) -> None:
    keeping = msgspec.structs.replace(settings, keep_checkpoints=2, checkpoint_every=3, eval_every=3)

    bus = run(finished(tmp_path, keeping)).bus

    store, checkpoints = Store(tmp_path), bus.published(train.CHECKPOINT)
    assert [each.step for each in checkpoints] == list(range(3, STEPS + 1, 3))
    best = min(checkpoints, key=lambda each: each.heldout_loss or 9.0)
    assert checkpoints[-1].best or best is not checkpoints[-1]
    staying = {each.hash for each in checkpoints[-2:]} | {best.hash}
    removed = {each.hash for each in bus.published(REMOVED)}
    for each in checkpoints:
        assert (each.hash in removed) == (each.hash not in staying)
        assert (tmp_path / each.path).exists() == (each.hash in staying)
        assert (tmp_path / each.meta_path).exists()
    assert {each.hash for each in bus.published(ARTIFACT)} - removed == {
        path.name for path in (tmp_path / "store").rglob("*") if path.is_file()
    }
    content, _ = load(checkpoints[-1].meta_hash, store)
    assert store.path(content.dataset.heldout_sample or "")


def test_what_another_run_keeps_stays(tmp_path: Path, settings: Settings) -> None:
    """The same seed makes the same files: the second run, which keeps less, must not take away the first one's."""
    first = run(finished(tmp_path, settings)).bus

    run(finished(tmp_path, msgspec.structs.replace(settings, keep_checkpoints=1)))

    for kept in first.published(train.CHECKPOINT)[-3:]:
        assert (tmp_path / kept.path).exists()


def test_nothing_is_removed_or_relied_on_before_the_log_has_it(tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def behind(self: FakeBus, timeout: float) -> None:
        raise BusTimeout("the recorder is not there")

    monkeypatch.setattr(FakeBus, "flush", behind)

    bus = run(finished(tmp_path, msgspec.structs.replace(settings, keep_checkpoints=1))).bus

    assert bus.published(REMOVED) == []
    assert journal.unfinished(tmp_path) is None
    (only,) = (tmp_path / "runs").rglob(journal.NAME)
    assert msgspec.json.decode(only.read_bytes())["ended"] is True
    assert all((tmp_path / each.path).exists() for each in bus.published(train.CHECKPOINT))


def kept(step: int, loss: float | None = None) -> Kept:
    return Kept(step=step, weights=f"{step:064x}", meta=f"{step + 1000:064x}", optimizer=f"{step + 2000:064x}", heldout_loss=loss)


@pytest.mark.parametrize(
    ("losses", "keep", "steps", "resumable"),
    [
        ([3.0, 2.0, 2.5, 2.6], 2, [2, 3, 4], [3, 4]),
        ([3.0, 2.0, 1.0], 2, [2, 3], [2, 3]),
        ([None, None, None], 1, [3], [3]),
        ([2.0, 2.0, 3.0], 1, [1, 3], [3]),
        ([], 3, [], []),
    ],
)
def test_which_checkpoints_stay(losses: list[float | None], keep: int, steps: list[int], resumable: list[int]) -> None:
    every = [kept(step, loss) for step, loss in enumerate(losses, 1)]

    after = retained(every, keep)

    assert [each.step for each in after] == steps
    assert [each.step for each in after if each.optimizer] == resumable
    assert set(superfluous(every, after)).isdisjoint(digest for each in after for digest in each.files)


def test_a_run_starts_from_the_weights_of_a_checkpoint(tmp_path: Path, settings: Settings) -> None:
    async def scenario() -> None:
        harness = await finished(tmp_path, msgspec.structs.replace(settings, keep_checkpoints=1))
        parent = harness.bus.published(train.CHECKPOINT)[-1]
        learnt = harness.bus.published(train.STEP)[-1].loss

        await harness.call(train.START, train.Start(checkpoint=parent.meta_hash, learning_rate=1e-4, steps=2))

        await until(lambda: not worker_of(harness).busy)
        assert harness.bus.published(train.RUN_STARTED)[-1].parent == parent.meta_hash
        assert harness.bus.published(train.STEP)[-2].loss < learnt + 0.5
        assert (await refusal(harness.call(train.START, train.Start(checkpoint=parent.hash))))[0] == "no_checkpoint"
        replaced = harness.bus.published(train.CHECKPOINT)[0]
        assert (await refusal(harness.call(train.START, train.Start(checkpoint=replaced.meta_hash))))[0] == "no_checkpoint"
        assert (await refusal(harness.call(train.START, train.Start(checkpoint=parent.meta_hash, recipe="tiny"))))[0] == "bad_request"
        await harness.stop()

    run(scenario())


def test_gradients_of_several_batches_are_those_of_one_that_holds_them_all() -> None:
    whole = batch()
    halves = [tuple(np.ascontiguousarray(part[at : at + 2]) for part in whole) for at in (0, 2)]
    hyper = hyperparameters()
    at_once, in_parts = learner(hyper), learner(msgspec.structs.replace(hyper, accumulate=2))

    for _ in range(4):  # the third is the first that is replayed from what was captured
        expected = at_once.step([whole], 0.01)
        assert in_parts.step(halves, 0.01) == pytest.approx(expected, rel=1e-4)  # type: ignore[arg-type]  # halves of a pair are a pair

    weights, summed = at_once.state().weights, in_parts.state().weights
    assert max(float(np.abs(weights[name] - summed[name]).max()) for name in weights) < 2e-3


def test_a_run_ends_early_when_held_out_text_gets_no_better(tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    losses = iter([3.0, 2.0, 2.5, 2.0, 1.0])
    monkeypatch.setattr(Learner, "loss", lambda *_: next(losses))

    bus = run(finished(tmp_path, msgspec.structs.replace(settings, eval_every=2, patience=2))).bus

    (completed,) = bus.published(train.RUN_COMPLETED)
    assert (completed.outcome, completed.steps) == ("finished", 8)
    assert completed.reason == "no lower held-out loss than 2 in 2 evaluations"
    assert [each.best for each in bus.published(train.EVAL)] == [True, True, False, False]
    assert bus.published(train.CHECKPOINT)[-1].final


def test_a_run_that_diverges_falls_back_on_its_last_good_checkpoint(
    tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    learn = Learner.step

    def spoilt(self: Learner, *arguments: Any) -> tuple[float, float]:
        loss, norm = learn(self, *arguments)
        return (loss, float("inf")) if self._optimizer._steps == 9 else (loss, norm)

    monkeypatch.setattr(Learner, "step", spoilt)

    async def scenario() -> None:
        harness = await finished(tmp_path, settings)
        (failed,) = harness.bus.published(train.RUN_FAILED)
        good = harness.bus.published(train.CHECKPOINT)[-1]
        assert (failed.error, failed.step, failed.checkpoint) == ("Diverged", 6, good.hash)
        assert "step 9 has a loss of" in failed.message
        assert journal.unfinished(tmp_path) is None
        sampled = await harness.call(train.SAMPLE, train.Sample(length=2))
        assert sampled.step == 6
        await harness.stop()

    run(scenario())


def test_the_facts_of_a_run_are_in_its_first_event(tmp_path: Path, settings: Settings) -> None:
    (begun,) = run(finished(tmp_path, settings)).bus.published(train.RUN_STARTED)

    assert begun.command_line and begun.git_commit and begun.git_changed in (True, False)
    assert begun.hyperparameters.precision == "float32"
    assert (begun.parameters, begun.flops_per_token) == (MICRO.parameters, MICRO.flops_per_token)
