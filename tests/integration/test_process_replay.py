"""Process replay on what really was recorded: the same agent gives the same output, a changed one is caught."""

from __future__ import annotations

from typing import Any

import pytest
from conftest import Appliance, json_lines, wait_for
from msgspec import Struct
from serving import serving

from bus.agent import Agent, on
from bus.comparison import differences
from bus.event import Event
from bus.testing import recorded_output, replay_process
from bus.topic import Topic
from schemas import train

EVENTS = 500


class Trend(Struct, frozen=True, kw_only=True):
    """The mean loss of the last steps, and by how much it fell since the mean before."""

    step: int
    mean: float
    fell: float


TREND = Topic("test.trend", Trend)


class Watcher(Agent):
    """Says after each fourth step how the loss goes."""

    publishes = (TREND,)
    window = 8

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.losses: list[float] = []
        self.before = 0.0

    @on(train.STEP)
    def watch(self, event: Event[train.Step]) -> None:
        self.losses = [*self.losses, event.data.loss][-self.window :]
        if event.data.step % 4 == 0:
            mean = sum(self.losses) / len(self.losses)
            self.publish(TREND, Trend(step=event.data.step, mean=mean, fell=self.before - mean), run=event.run, cause=event.id)
            self.before = mean


class ChangedWatcher(Watcher):
    """The same, with another idea of `last`."""

    name = "watcher"
    window = 7


def step(n: int) -> train.Step:
    loss = 5.5 - n / 200 + (n * 7919 % 13) / 10
    return train.Step(step=n, loss=loss, learning_rate=1e-3, grad_norm=1.0, seconds=0.5, tokens=16, tokens_per_second=32.0)


def test_an_agent_agrees_with_what_the_log_says_that_it_did_and_a_changed_one_does_not(appliance: Appliance) -> None:
    appliance.start("hub", "recorder")
    client = appliance.connect()
    with serving(appliance, Watcher):
        for n in range(1, EVENTS + 1):
            client.publish(train.STEP, step(n), run="one")
        client.flush(20)
        wait_for(lambda: len(appliance.log("test.trend")) == EVENTS // 4, "the agent's output in the log")

    log = appliance.home.log
    recorded = recorded_output(Watcher, log)
    assert len(recorded) == EVENTS // 4
    assert differences(recorded, replay_process(Watcher, log, appliance.artifacts)) == []
    found = differences(recorded, replay_process(ChangedWatcher, log, appliance.artifacts))
    assert found[0].startswith("event 2: test.trend.fell was ")
    assert len(found) == 2 * (EVENTS // 4 - 1)


TRAINER = """
import json, os, sys
from pathlib import Path
from bus.home import Home
from bus.supervisor import caches
home = Home(Path(sys.argv[1]))
os.environ.update(caches(home), NOOPT="1")
from agents.trainer import plan
from agents.trainer.agent import Trainer
from bus.comparison import differences
from bus.testing import recorded_output, replay_process
plan.BETA1 = float(sys.argv[2])
settings = plan.Settings(recipe="micro", autostart=False)
ended = lambda events: any(event.topic in ("train.run.completed", "train.run.failed") for event in events)
replayed = replay_process(Trainer, home.log, Path("replayed"), settings, commands=True, until=ended, timeout=170)
# A run's name is drawn, so what contains it differs; durations and the command line are of today; and sums of floats may
# be ordered otherwise.
rule = {
    "ignore": [
        "run", "meta_hash", "meta_path", "artifact.created", "seconds", "tokens_per_second", "remaining_seconds",
        "command_line",
    ],
    "tolerances": {"loss": 1e-5, "grad_norm": 1e-4},
}
recorded = recorded_output(Trainer, home.log)
print(json.dumps({"events": len(recorded), "differences": differences(recorded, replayed, **rule)}))
"""


def replayed(appliance: Appliance, beta1: str) -> dict[str, Any]:
    """What a process replay of the trainer differs in, with this momentum."""
    done = appliance.script(TRAINER, str(appliance.home.root), beta1, timeout=200)
    assert done.returncode == 0, done.stderr
    return json_lines(done.stdout.splitlines()[-1])[0]


@pytest.mark.slow  # three compilations
@pytest.mark.timeout(500)
def test_the_trainer_learns_again_what_the_log_says_that_it_learnt(appliance: Appliance) -> None:
    appliance.start("hub", "recorder", "trainer")
    client = appliance.connect()
    appliance.wait_for_agent(client, "trainer")
    client.call(train.START, train.Start(steps=6, seed=3), timeout=10)
    wait_for(lambda: appliance.log("train.run.completed"), "the run's end", 90)
    appliance.stop()

    same, changed = (replayed(appliance, beta1) for beta1 in ("0.9", "0.5"))
    assert same["events"] > 6
    assert same["differences"] == []
    assert "event 1: train.run.started.hyperparameters.beta1 was 0.9, is 0.5" in changed["differences"]
    assert any("train.step.loss" in difference for difference in changed["differences"])
