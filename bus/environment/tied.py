"""Runs a module as `python -m` would, but slowly and never longer than whoever started it: `python -I tied.py MODULE ARGUMENT…`

Any Python can, with nothing of ours installed. Its standard input is a pipe from the process that started it, and ends with that,
however it went; then this process ends at once, with all of its group. It has to lead that group.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
import threading


def _end_with_input() -> None:
    os.read(0, 1)
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    os.nice(10)
    threading.Thread(target=_end_with_input, daemon=True).start()
    sys.argv = sys.argv[1:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
