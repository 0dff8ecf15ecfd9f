"""A run of training keeps its promises, seen through the events and answers of the agent."""

import asyncio
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from compiled import DEVICE, MICRO, batch, hyperparameters, learner

from agents.parts.compiler import NoDevice
from agents.parts.heldout import read
from agents.trainer import worker
from agents.trainer.agent import Trainer
from agents.trainer.checkpoint import load
from agents.trainer.learner import Learner
from agents.trainer.plan import Settings, new_run_id
from bus.errors import CommandRefused
from bus.store import Store
from bus.testing import Harness, run
from bus.topic import NAME_PATTERN, Nothing
from schemas import train
from schemas.system import ARTIFACT

STEPS = 60
NOTHING = Nothing()


@pytest.fixture
def settings(text: Path) -> Settings:
    return Settings(recipe="micro", steps=10_000, data=str(text), eval_every=0, sample_every=0, checkpoint_every=0)


async def until(condition: Callable[[], Any]) -> None:
    """Wait for the training thread; the deadline is that of `run`."""
    while not condition():  # noqa: ASYNC110  # the training thread sets no asyncio event
        await asyncio.sleep(0.01)


def worker_of(harness: Harness) -> worker.Worker:
    assert isinstance(harness.agent, Trainer)
    return harness.agent.worker


async def started(tmp_path: Path, settings: Settings) -> Harness:
    harness = Harness(Trainer, tmp_path, settings)
    await harness.start()
    return harness


async def trained(tmp_path: Path, settings: Settings, steps: int) -> Harness:
    """An agent whose run has come to `steps` steps."""
    harness = await started(tmp_path, settings)
    await until(lambda: len(harness.bus.published(train.STEP)) >= steps or harness.bus.published(train.RUN_FAILED))
    assert not harness.bus.published(train.RUN_FAILED)
    return harness


async def refusal(asked: Any) -> tuple[str, str]:
    with pytest.raises(CommandRefused) as refused:
        await asked
    return refused.value.code, refused.value.message


@pytest.fixture(scope="module")
def finished(text: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Harness, Path]:
    """An agent whose first run, begun by itself, is over."""
    artifacts = tmp_path_factory.mktemp("artifacts")

    async def to_its_end() -> Harness:
        settings = Settings(recipe="micro", steps=STEPS, data=str(text), eval_every=20, sample_every=30, checkpoint_every=40)
        harness = await trained(artifacts, settings, STEPS)
        await until(lambda: not worker_of(harness).busy)
        await harness.stop()
        return harness

    return run(to_its_end()), artifacts


def test_the_loss_falls_on_text_that_was_learnt_and_on_text_that_was_not(finished: tuple[Harness, Path]) -> None:
    bus = finished[0].bus

    losses = [step.loss for step in bus.published(train.STEP)]
    held_out = [measured.loss for measured in bus.published(train.EVAL)]
    assert losses[0] == pytest.approx(np.log(256), abs=0.1)
    assert losses[-1] < 2.5
    assert held_out == sorted(held_out, reverse=True)
    assert held_out[-1] < 2.5


def test_every_event_of_a_run_carries_its_name_and_they_come_in_order(finished: tuple[Harness, Path]) -> None:
    events = finished[0].bus.events

    assert len({event.run for event in events}) == 1
    assert re.match(NAME_PATTERN, events[0].run or "")
    assert (events[0].topic, events[-1].topic) == ("train.run.started", "train.run.completed")
    assert [event.data.step for event in events if event.topic == "train.step"] == list(range(1, STEPS + 1))
    assert [event.data.step for event in events if event.topic == "train.eval"] == [20, 40, 60]
    assert [event.data.step for event in events if event.topic == "train.sample"] == [30, 60]
    assert [(event.data.step, event.data.final) for event in events if event.topic == "train.checkpoint"] == [(40, False), (60, True)]


def test_the_start_says_what_decides_the_result(finished: tuple[Harness, Path]) -> None:
    (begun,) = finished[0].bus.published(train.RUN_STARTED)

    assert begun.hyperparameters == hyperparameters(steps=STEPS)
    assert (begun.device, begun.parameters, begun.dataset.files) == (DEVICE, MICRO.parameters, 60)
    assert {"python", "tinygrad", "numpy"} <= begun.versions.keys()


def test_the_end_names_a_checkpoint_that_can_be_loaded(finished: tuple[Harness, Path]) -> None:
    harness, artifacts = finished
    (completed,) = harness.bus.published(train.RUN_COMPLETED)
    last = harness.bus.published(train.CHECKPOINT)[-1]

    content, weights = load(last.meta_hash, Store(artifacts))

    assert (completed.outcome, completed.steps, completed.checkpoint) == ("finished", STEPS, last.hash)
    assert completed.tokens == STEPS * MICRO.batch * MICRO.context
    assert (content.step, content.loss, content.heldout_loss) == (STEPS, completed.loss, completed.heldout_loss)
    assert weights["lm_head.weight"].shape == (256, 32)
    assert (artifacts / last.path).stat().st_size == last.size


def test_every_file_is_announced_with_what_it_was_made_from(finished: tuple[Harness, Path]) -> None:
    bus = finished[0].bus

    artifacts = {artifact.hash: artifact for artifact in bus.published(ARTIFACT)}
    for checkpoint in bus.published(train.CHECKPOINT):
        assert artifacts[checkpoint.hash].kind == "checkpoint"
        assert artifacts[checkpoint.meta_hash].parents == [checkpoint.hash]


def test_others_find_a_sample_of_what_is_held_out_by_the_checkpoint(finished: tuple[Harness, Path]) -> None:
    bus, artifacts = finished[0].bus, finished[1]
    dataset = load(bus.published(train.CHECKPOINT)[-1].meta_hash, Store(artifacts))[0].dataset

    (announced,) = [artifact for artifact in bus.published(ARTIFACT) if artifact.kind == "heldout-sample"]

    assert (announced.hash, announced.parents) == (dataset.heldout_sample, [dataset.hash])
    assert bus.published(train.RUN_STARTED)[0].dataset == dataset
    tokens, targets = read(Store(artifacts).read(announced.hash), dataset.vocabulary)
    assert tokens.shape == targets.shape == (len(tokens), MICRO.context)


def test_a_step_says_its_own_rate_and_no_energy_where_no_sensor_is(finished: tuple[Harness, Path]) -> None:
    for step in finished[0].bus.published(train.STEP):
        assert step.tokens_per_second == pytest.approx(step.tokens / step.seconds)
        assert (step.joules, step.energy_source, step.joules_per_token) == (None, None, None)
        assert "no power.sample has arrived" in (step.energy_reason or "")
        assert step.grad_norm > 0


def losses(seed: int, steps: int = 6) -> list[tuple[float, float]]:
    each = learner(hyperparameters(seed=seed))
    return [each.step([batch(step)], 0.01) for step in range(steps)]


def test_the_same_seed_gives_the_same_losses_to_the_last_bit() -> None:
    assert losses(5) == losses(5) != losses(6)


@pytest.mark.slow
def test_the_same_seed_gives_the_same_losses_in_another_process(text: Path, tmp_path: Path) -> None:
    script = "from test_trainer_run import losses; print(losses(5))"
    other = subprocess.run(
        [sys.executable, "-c", script], cwd=Path(__file__).parent, capture_output=True, text=True, check=True, timeout=100
    )

    assert other.stdout.strip() == str(losses(5))


def test_a_paused_run_stands_still_and_goes_on_as_if_it_had_not(tmp_path: Path, settings: Settings) -> None:
    async def scenario() -> None:
        harness = await trained(tmp_path, settings, 3)
        name = (await harness.call(train.PAUSE, NOTHING)).run
        await asyncio.sleep(0.3)
        held = len(harness.bus.published(train.STEP))
        await asyncio.sleep(0.3)
        status = await harness.call(train.STATUS, NOTHING)
        assert (status.state, status.run, status.step) == ("paused", name, held)
        assert len(harness.bus.published(train.STEP)) == held

        await harness.call(train.RESUME, NOTHING)

        await until(lambda: len(harness.bus.published(train.STEP)) > held)
        assert (await harness.call(train.STATUS, NOTHING)).state == "training"
        await harness.stop()
        steps = [step.step for step in harness.bus.published(train.STEP)]
        assert steps == list(range(1, len(steps) + 1))

    run(scenario())


def test_a_stopped_run_ends_with_a_checkpoint_and_the_next_may_start(tmp_path: Path, settings: Settings) -> None:
    async def scenario() -> None:
        harness = await trained(tmp_path, settings, 2)

        first = await harness.call(train.STOP, NOTHING)

        await until(lambda: not worker_of(harness).busy)
        (completed,) = harness.bus.published(train.RUN_COMPLETED)
        checkpoint = harness.bus.published(train.CHECKPOINT)[-1]
        assert completed.outcome == "stopped"
        assert (checkpoint.hash, checkpoint.step, checkpoint.final) == (completed.checkpoint, completed.steps, True)
        assert harness.bus.states[-1][0] == "done"
        second = await harness.call(train.START, train.Start(steps=2))
        await until(lambda: len(harness.bus.published(train.RUN_COMPLETED)) == 2)
        assert second.run != first.run
        await harness.stop()

    run(scenario())


def test_text_can_be_had_between_two_steps_while_paused_and_afterwards(tmp_path: Path, settings: Settings) -> None:
    async def scenario() -> None:
        harness = await trained(tmp_path, settings, 1)
        request = train.Sample(prompt="1 quick", length=5, temperature=0.0)
        assert (await harness.call(train.SAMPLE, request)).text
        await harness.call(train.PAUSE, NOTHING)
        await asyncio.sleep(0.2)
        paused = await harness.call(train.SAMPLE, request)
        await harness.call(train.STOP, NOTHING)
        await until(lambda: not worker_of(harness).busy)
        assert await harness.call(train.SAMPLE, request) == paused
        assert harness.bus.published(train.SAMPLED)[-1] == paused
        await harness.stop()

    run(scenario())


def test_ending_the_agent_does_not_wait_for_a_step_that_cannot_be_interrupted(
    tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave = threading.Event()

    def compiling(self: Learner, *_: Any) -> tuple[float, float]:
        leave.wait(30)
        return 1.0, 1.0

    monkeypatch.setattr(Learner, "step", compiling)

    async def scenario() -> None:
        harness = await started(tmp_path, settings)
        await until(lambda: harness.bus.published(train.RUN_STARTED))
        await harness.stop()
        assert harness.bus.published(train.RUN_SUSPENDED) == [train.RunSuspended(step=0)]
        published = len(harness.bus.events)
        leave.set()
        await until(lambda: not worker_of(harness).busy)
        assert len(harness.bus.events) == published

    run(scenario())


def test_what_cannot_be_done_is_refused_with_a_reason(tmp_path: Path, settings: Settings) -> None:
    async def scenario() -> None:
        harness = await started(tmp_path, msgspec.structs.replace(settings, autostart=False))
        assert harness.bus.states[-1][0] == "waiting"
        assert (await harness.call(train.STATUS, NOTHING)).state == "idle"
        for command in (train.STOP, train.PAUSE, train.RESUME):
            assert (await refusal(harness.call(command, NOTHING)))[0] == "no_run"
        assert (await refusal(harness.call(train.SAMPLE, train.Sample())))[0] == "no_weights"
        code, message = await refusal(harness.call(train.START, train.Start(recipe="mikro")))
        assert code == "unknown_recipe" and "'micro'" in message
        assert (await refusal(harness.call(train.START, train.Start(data="/no/such"))))[0] == "no_data"
        for bad in (train.Start(steps=0), train.Start(seed=-1), train.Start(learning_rate=-1.0), train.Start(learning_rate=float("nan"))):
            assert (await refusal(harness.call(train.START, bad)))[0] == "bad_request"
        for impossible in (train.Sample(length=0), train.Sample(temperature=-1.0), train.Sample(seed=-1)):
            assert (await refusal(harness.call(train.SAMPLE, impossible)))[0] == "bad_request"
        assert harness.bus.events == []
        await harness.stop()

    run(scenario())


def test_a_second_run_is_refused_while_one_is_in_progress(tmp_path: Path, settings: Settings) -> None:
    async def scenario() -> None:
        harness = await started(tmp_path, settings)

        code, message = await refusal(harness.call(train.START, train.Start()))

        assert code == "busy"
        assert str((await harness.call(train.STATUS, NOTHING)).run) in message
        await harness.stop()

    run(scenario())


def test_a_run_that_fails_says_why_and_the_agent_goes_on(tmp_path: Path, settings: Settings) -> None:
    (tmp_path / "empty").mkdir()

    async def scenario() -> None:
        harness = await started(tmp_path, msgspec.structs.replace(settings, data=str(tmp_path / "empty"), steps=2))
        await until(lambda: not worker_of(harness).busy)
        (failed,) = harness.bus.published(train.RUN_FAILED)
        assert (failed.error, failed.step) == ("BadData", 0)
        assert harness.bus.states[-1][0] == "degraded"
        assert "it is empty" in ((await harness.call(train.STATUS, NOTHING)).reason or "")
        await harness.call(train.START, train.Start(data=settings.data))
        await until(lambda: harness.bus.published(train.RUN_COMPLETED))
        await harness.stop()

    run(scenario())


def test_without_a_device_the_agent_stays_up_and_says_what_to_do(
    tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nothing() -> str:
        raise NoDevice("no C compiler: install clang")

    monkeypatch.setattr(worker, "open_device", nothing)

    async def scenario() -> None:
        harness = await started(tmp_path, settings)
        await until(lambda: not worker_of(harness).busy)
        state, reason = harness.bus.states[-1]
        assert state == "unavailable" and "install clang" in (reason or "")
        assert harness.bus.published(train.RUN_FAILED)[0].error == "NoDevice"
        assert (await harness.call(train.STATUS, NOTHING)).state == "failed"
        await harness.stop()

    run(scenario())


def test_settings_that_start_no_run_are_said_and_the_agent_stays_up(tmp_path: Path) -> None:
    async def scenario() -> None:
        harness = await started(tmp_path, Settings(recipe="tinny"))
        assert harness.bus.states == [("degraded", "the settings start no run: no recipe 'tinny': did you mean 'tiny'?")]
        await harness.stop()

    run(scenario())


def test_a_loss_that_is_no_number_ends_the_run(tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Learner, "step", lambda *_: (float("nan"), 1.0))

    async def scenario() -> None:
        harness = await started(tmp_path, settings)
        await until(lambda: not worker_of(harness).busy)
        (failed,) = harness.bus.published(train.RUN_FAILED)
        assert failed.error == "Diverged" and "learning rate below" in failed.message
        assert harness.bus.published(train.CHECKPOINT) == []
        assert (await refusal(harness.call(train.SAMPLE, train.Sample())))[0] == "no_weights"
        await harness.stop()

    run(scenario())


def test_run_names_of_one_second_differ() -> None:
    assert len({new_run_id() for _ in range(100)}) == 100


def test_a_mistake_in_the_data_is_said_in_one_line(tmp_path: Path, settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"txt": "no text"}\n')

    async def scenario() -> None:
        harness = await started(tmp_path, msgspec.structs.replace(settings, data=str(rows)))
        await until(lambda: not worker_of(harness).busy)
        await harness.stop()
        assert "rows.jsonl line 1" in (harness.bus.states[-1][1] or "")

    run(scenario())
    assert "Traceback" not in "".join(capsys.readouterr())
