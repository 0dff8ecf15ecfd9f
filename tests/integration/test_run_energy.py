"""A run's energy is what the power agent read meanwhile, from a recorded tree of sysfs whose counters go on."""

from __future__ import annotations

import contextlib
import json
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import msgpack
import pytest
from conftest import CHECKOUT, Appliance, wait_for

from schemas import power

MICROJOULES, SECONDS = 500_000, 0.05
"""What every counter gains, and how often: 10 W each."""


@contextlib.contextmanager
def counting(tree: Path) -> Iterator[None]:
    """Counters that go on as a machine's do."""
    counters = [path for path in tree.rglob("energy_uj") if not path.is_symlink()]
    over = threading.Event()

    def count() -> None:
        while not over.wait(SECONDS):
            for path in counters:
                path.write_text(f"{int(path.read_text()) + MICROJOULES}\n")

    thread = threading.Thread(target=count)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(10)


def test_the_joules_of_a_run_s_steps_are_those_of_its_time(appliance: Appliance, tmp_path: Path) -> None:
    tree = tmp_path / "sysfs"
    shutil.copytree(CHECKOUT / "tests" / "fixtures" / "sysfs" / "laptop", tree, symlinks=True)
    appliance.start("hub", "recorder", "trainer")
    appliance.start("power", BUS_POWER_SYSFS=str(tree), BUS_POWER_HZ="20")
    client = appliance.connect()
    for agent in ("trainer", "power"):
        appliance.wait_for_agent(client, agent)

    with counting(tree):
        wait_for(lambda: any(event.data.watts for event in client.events(power.SAMPLE, timeout=1)), "the counters to be read")
        run = json.loads(appliance.bus("call", "trainer.start", '{"steps": 600}').stdout)["run"]
        summary = appliance.artifacts / "runs" / run / "run.json"
        wait_for(lambda: summary.exists() and json.loads(summary.read_text())["outcome"] == "finished", "the end of the run")

    energy = json.loads(summary.read_text())["energy"]
    steps = [msgpack.unpackb(entry.data)["data"] for entry in appliance.log("train.step")]
    measured = [step for step in steps if step["joules"] is not None]
    assert len(measured) > 500
    assert energy["source"].endswith("(recorded)") and energy["reason"] is None
    assert energy["joules"] == pytest.approx(sum(step["joules"] for step in measured))
    assert energy["joules_per_token"] == pytest.approx(energy["joules"] / sum(step["tokens"] for step in measured))
    assert all(step["joules_per_token"] == pytest.approx(step["joules"] / step["tokens"]) for step in measured)
    readings = [json.loads(line)["joules"] for line in (summary.parent / "sys_power.jsonl").open()]
    assert 0 < energy["joules"] < readings[-1] - readings[0] + 20 * 2 * SECONDS
