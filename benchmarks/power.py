"""What the power agent costs: the CPU share of its whole process at 10 Hz, beside the same process at 0.1 Hz."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from benchmarks._results import Figures, report
from bus.address import ipc_addresses
from bus.client import Client
from bus.home import Home
from bus.topic import Delivery

SECONDS = 20.0
ROUNDS = 3


def cpu_share(process: psutil.Process, seconds: float) -> float:
    """Busy share of one core over `seconds`."""
    before, began = process.cpu_times(), time.monotonic()
    time.sleep(seconds)
    after = process.cpu_times()
    return (after.user + after.system - before.user - before.system) / (time.monotonic() - began)


def measure(hz: float) -> float:
    """Run hub, recorder and power in a home of their own and watch the power process."""
    with tempfile.TemporaryDirectory(prefix="zp-") as folder:
        environment = {**os.environ, "BUS_HOME": folder, "BUS_POWER_HZ": str(hz)}
        processes = [
            subprocess.Popen([sys.executable, "-m", "bus.process", name], env=environment, stderr=subprocess.DEVNULL)
            for name in ("hub", "recorder", "power")
        ]
        try:
            client = Client("benchmark", ipc_addresses(Home(Path(folder))))
            client.await_ready(20)
            client.publisher.listeners.wait_until(Delivery.DURABLE, lambda heard: b"command.power." in heard, 20)
            client.abandon()
            time.sleep(2)
            return cpu_share(psutil.Process(processes[2].pid), SECONDS)
        finally:
            for process in processes:
                process.terminate()
            for process in processes:
                process.wait(10)


def main() -> None:
    rows: list[Figures] = []
    for number in range(ROUNDS):
        share, idle = measure(10), measure(0.1)
        rows.append({"round": number + 1, "share of a core at 10 Hz": share, "at 0.1 Hz": idle, "sampling alone": share - idle})
    report("power", rows)


if __name__ == "__main__":
    main()
