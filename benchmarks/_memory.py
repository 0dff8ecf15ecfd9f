"""What memory a process takes, with all that it started."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import psutil


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes of so many processes: what was resident of each at most (elsewhere than on Linux: now), and what is resident of all now.

    Forked processes share pages. `peak` counts them in each; `once` does not, and is null where the system does not say it.
    """

    owner: str
    processes: int
    peak: int
    once: int | None


def memory_of(owner: str, pid: int) -> Memory:
    """Of a process and its descendants. Raises psutil.Error where one of them ends."""
    parent = psutil.Process(pid)
    processes = [parent, *parent.children(recursive=True)]
    shares: list[int] = [each.memory_full_info().pss for each in processes] if psutil.LINUX else []
    return Memory(owner, len(processes), sum(map(_peak, processes)), sum(shares) if shares else None)


def _peak(process: psutil.Process) -> int:
    try:
        with Path(f"/proc/{process.pid}/status").open() as status:
            return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        return int(process.memory_info().rss)
