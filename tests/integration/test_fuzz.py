"""Mutated frames at a running hub and recorder: both stay, within bounds, and whoever behaves loses nothing."""

from __future__ import annotations

import json
import os
import sys
import time

import psutil
import pytest
from conftest import Appliance, wait_for
from test_storm import check, notes

from bus.client import Client
from bus.lifecycle import HEARTBEAT, REJECTED

MOST_HUB_BYTES = 128 * 2**20
MOST_RECORDER_BYTES = 512 * 2**20
"""64 MiB of events above gaps, as much again while their batch is handed over, 10,000 streams, and what Python needs for them."""


def undecodable(client: Client) -> int:
    """How many frames the recorder has refused since its start, by its heartbeat."""
    return next(event.data.undecodable for event in client.events(HEARTBEAT, timeout=10) if event.source == "recorder")


def fuzz(appliance: Appliance, frames: int, seed: int) -> None:
    hub, recorder = (psutil.Process(appliance.process(name).pid) for name in ("hub", "recorder"))
    client = appliance.connect()
    appliance.party("good", "publish.py", "good", notes(appliance), "--rate", "200")
    stranger = appliance.party("stranger", "mutate.py", str(frames), str(seed))
    largest = {hub: 0, recorder: 0}
    while stranger.poll() is None:
        for process in largest:
            largest[process] = max(largest[process], process.memory_info().rss)
        time.sleep(0.2)
    assert stranger.returncode == 0, f"seed {seed}: {appliance.output('stranger')[-2000:]}"
    sent = json.loads(appliance.output("stranger").splitlines()[-1])
    sys.stderr.write(f"fuzz of seed {seed}: {sent}, memory {[size >> 20 for size in largest.values()]} MiB\n")

    assert sent["refused"] > frames / 4
    wait_for(lambda: undecodable(client) >= sent["refused"], f"the recorder to have refused {sent['refused']} (seed {seed})")
    assert largest[hub] < MOST_HUB_BYTES
    assert largest[recorder] < MOST_RECORDER_BYTES
    assert hub.is_running()
    assert recorder.is_running()
    assert appliance.log(REJECTED.name)
    appliance.stop()
    checked = check(appliance)
    assert checked.returncode == 0, f"seed {seed}: {checked.stdout}{checked.stderr}"
    assert json.loads(checked.stdout)["acknowledged"] > 100


def fresh_seed() -> int:
    return int(os.environ.get("FUZZ_SEED", time.time_ns() % 2**32))


def test_100_000_mutated_frames_harm_nobody(appliance: Appliance) -> None:
    fuzz(appliance, 100_000, fresh_seed())


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_million_mutated_frames_harm_nobody(appliance: Appliance) -> None:
    fuzz(appliance, 1_000_000, fresh_seed())
