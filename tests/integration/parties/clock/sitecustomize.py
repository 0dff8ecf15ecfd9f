"""A wall clock that a test can set, for every Python process with this folder on its PYTHONPATH.

`time.time` and `time.time_ns` are those of the system plus the ns that the file named by SHIFTED_CLOCK holds at that moment; nobody
here reads the wall clock in another way. The monotonic clock stays what it is, as it does when a real clock is set.
"""

from __future__ import annotations

import mmap
import os
import time
from pathlib import Path

SIZE = 8


def shift(path: Path) -> None:
    with path.open("rb") as file:
        offset = mmap.mmap(file.fileno(), SIZE, prot=mmap.PROT_READ)
    system = time.time_ns
    time.time_ns = lambda: system() + int.from_bytes(offset[:SIZE], "little", signed=True)
    time.time = lambda: time.time_ns() / 1e9


if "SHIFTED_CLOCK" in os.environ:
    shift(Path(os.environ["SHIFTED_CLOCK"]))
