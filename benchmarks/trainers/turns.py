"""A contender's side of the pipe: told a number of steps or texts, it answers with one line of JSON when they are done.

The standard library alone, for PyTorch's Python has none of our packages.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

_RSS_UNIT = 1 if sys.platform == "darwin" else 1024  # bytes in what getrusage counts


def peak_rss() -> int:
    """Bytes of memory that this process had at most. Where /proc says so: what getrusage says begins with the parent's on Linux."""
    try:
        with Path("/proc/self/status").open() as status:
            return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _RSS_UNIT


class Turns:
    """Made before anything is imported that may print: only answers go to what was standard output."""

    def __init__(self) -> None:
        self._out = os.dup(1)
        os.dup2(2, 1)

    def take(self, work: Callable[[int], list[float]], device: str, versions: dict[str, str]) -> None:
        """Answer each number with the seconds that `work` took for so many steps, their losses, and the peak RSS in bytes so far."""

        def timed(steps: int) -> dict[str, object]:
            began = time.perf_counter()
            losses = work(steps)
            seconds = time.perf_counter() - began
            return {"seconds": seconds, "losses": losses, "peak_rss": peak_rss(), "device": device, "versions": versions}

        self.answer(timed)

    def answer(self, work: Callable[[int], dict[str, object]]) -> None:
        """Answer each number with what `work` makes of it."""
        for line in sys.stdin:
            os.write(self._out, json.dumps(work(int(line))).encode() + b"\n")
