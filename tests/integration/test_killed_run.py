"""A run whose process is killed goes on by itself, and its loss curve is the one of a run that nothing interrupts."""

from __future__ import annotations

import csv
import json
from pathlib import Path

from conftest import Appliance, wait_for

from bus.client import Client
from schemas import train

STEPS = 1000
EVERY = {
    "BUS_TRAINER_STEPS": str(STEPS),
    "BUS_TRAINER_CHECKPOINT_EVERY": "50",
    "BUS_TRAINER_EVAL_EVERY": "50",
    "BUS_TRAINER_SAMPLE_EVERY": "0",
}


def begin(appliance: Appliance, client: Client, data: Path) -> Path:
    """The folder of a new run."""
    started = appliance.bus("call", "trainer.start", json.dumps({"data": str(data), "seed": 5}))
    return appliance.artifacts / "runs" / json.loads(started.stdout)["run"]


def step_of(run: Path) -> int:
    curve = run / "loss_curve.csv"
    rows = curve.read_text().splitlines() if curve.exists() else []
    return int(rows[-1].split(",")[0]) if len(rows) > 1 and rows[-1].count(",") else 0


def outcome(run: Path) -> str:
    summary = run / "run.json"
    return str(json.loads(summary.read_text())["outcome"]) if summary.exists() else ""


def curve(run: Path) -> list[tuple[str, ...]]:
    """Step, loss, learning rate and norm of the gradients, as they were written: every bit of them."""
    with (run / "loss_curve.csv").open() as file:
        return [(row["step"], row["loss"], row["learning_rate"], row["grad_norm"]) for row in csv.DictReader(file)]


def texts(folder: Path) -> Path:
    folder.mkdir()
    for index in range(60):
        (folder / f"{index}.txt").write_text(f"{index} quick brown foxes jump over {index + 1} lazy dogs.\n" * 10)
    return folder


def test_killed_and_ended_in_mid_run_it_goes_on_to_the_bit(appliance: Appliance, tmp_path: Path) -> None:
    data = texts(tmp_path / "texts")
    appliance.start("hub", "recorder")
    appliance.start("trainer", **EVERY)
    client = appliance.connect()
    appliance.wait_for_agent(client, "trainer")
    run = begin(appliance, client, data)

    for step in (70, 210):
        wait_for(lambda step=step: step_of(run) > step, f"step {step}")
        appliance.kill("trainer")
        wait_for(lambda: client.publisher.listeners.has(train.STEP.delivery, b"command.trainer.") is False, "the trainer to be gone")
    wait_for(lambda: step_of(run) > 320, "step 320")
    appliance.processes["trainer"].terminate()
    appliance.processes["trainer"].wait(10)
    wait_for(lambda: outcome(run) == "suspended", "the run to be suspended")
    appliance.start("trainer", **EVERY)
    wait_for(lambda: outcome(run) == "finished", "the run's end")
    appliance.wait_for_agent(client, "trainer")
    unbroken = begin(appliance, client, data)
    wait_for(lambda: outcome(unbroken) == "finished", "the other run's end")

    summary, other = (json.loads((folder / "run.json").read_text()) for folder in (run, unbroken))
    assert len(summary["resumed"]) == 3 and other["resumed"] == []
    assert summary["resumed"][0] >= 50 and summary["resumed"][-1] > 320
    assert len(curve(run)) == STEPS
    assert curve(run) == curve(unbroken)
    assert summary["checkpoint_hash"] == other["checkpoint_hash"]
    assert [entry["kept"] for entry in other["checkpoints"]].count(True) in (3, 4)
    verified = appliance.bus("verify")
    assert verified.returncode == 0, verified.stdout
