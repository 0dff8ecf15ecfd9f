"""From runs to rows: medians over the rounds."""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Container, Iterable, Mapping, Sequence

from benchmarks._results import Figures
from benchmarks._runs import Answered, Streamed
from benchmarks.contenders.contender import Contender

TITLES = {
    "contenders": "Who takes part, and what it promises when publishing returns",
    "throughput": "Events a second at the subscriber, and until all were as safe as promised (medians of the rounds)",
    "latency": "Round trips of 1 KiB at 1,000 a second, in microseconds (medians of the rounds)",
    "cpu": "CPU seconds for a million events received",
    "budget": "What one of our 1 KiB events costs, stage by stage, in ns (each stage alone, in one process, events of one batch)",
    "ratios": "What that means",
}
ROLES = ("publisher", "subscriber", "second publisher", "second subscriber")


def contenders(present: Iterable[Contender]) -> list[Figures]:
    return [
        {
            "contender": each.name,
            "promise": each.promise,
            "versions": ", ".join(f"{package} {number}" for package, number in each.versions.items()),
        }
        for each in present
    ]


def throughput(load: str, size: int, runs: Mapping[str, Sequence[Streamed]], durable: Container[str]) -> list[Figures]:
    """A row for each contender. `lost` is the worst round's; `safe` rates are of those that keep events at all, `durable`.

    Order is seen only by ours, which look into each event.
    """
    return [
        {
            "contender": name,
            "load": load,
            "bytes": size,
            "sent": rounds[0].sent,
            "lost": max(run.sent - run.received for run in rounds),
            "disordered": max((run.disordered for run in rounds if run.disordered is not None), default=None),
            "events/s": statistics.median(run.rate for run in rounds),
            "lowest": min(run.rate for run in rounds),
            "highest": max(run.rate for run in rounds),
            "safe events/s": statistics.median(run.safe_rate for run in rounds) if name in durable else None,
        }
        for name, rounds in runs.items()
    ]


def latency(runs: Mapping[str, Sequence[Answered]]) -> list[Figures]:
    return [
        {
            "contender": name,
            "sent": rounds[0].sent,
            "lost": max(run.sent - run.received for run in rounds),
            "p50": statistics.median(percentile(run.microseconds, 0.5) for run in rounds),
            "p99": statistics.median(percentile(run.microseconds, 0.99) for run in rounds),
            "p99.9": statistics.median(percentile(run.microseconds, 0.999) for run in rounds),
        }
        for name, rounds in runs.items()
    ]


def cpu(load: str, size: int, runs: Mapping[str, Sequence[Streamed]]) -> list[Figures]:
    """All processes of a contender; `server` is the hub, nats-server or redis-server."""
    return [
        {
            "contender": name,
            "load": load,
            "bytes": size,
            "all": statistics.median(sum(run.cpu.values()) for run in rounds),
            "publisher": _of(rounds, "publisher"),
            "server": _of(rounds, *(process for process in rounds[0].cpu if process not in (*ROLES, "recorder"))),
            "recorder": _of(rounds, "recorder") if "recorder" in rounds[0].cpu else None,
            "subscriber": _of(rounds, "subscriber"),
            "other traffic": _of(rounds, "second publisher", "second subscriber"),
        }
        for name, rounds in runs.items()
    ]


def disk() -> Figures:
    """What one sync costs here: the recorder waits for one a group."""
    with tempfile.TemporaryFile() as file:
        times = []
        for _ in range(50):
            file.write(bytes(1024))
            file.flush()
            began = time.perf_counter()
            os.fsync(file.fileno())
            times.append((time.perf_counter() - began) * 1000)
    return {"fsync of 1 KiB, ms": statistics.median(times)}


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least this share of them does not exceed; infinite where there are none."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)] if ordered else float("inf")


def _of(rounds: Sequence[Streamed], *processes: str) -> float:
    return statistics.median(sum(run.cpu.get(process, 0.0) for process in processes) for run in rounds)
