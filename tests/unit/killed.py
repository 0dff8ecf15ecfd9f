"""A process of its own that is killed at any of the moments when it changes what is on disk."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

TOUCHES = ("os.rename", "os.symlink", "os.remove", "os.rmdir", "os.mkdir", "os.chmod", "os.utime", "open")
"""What Python's audit hooks call each change of names on disk (and each opening of a file)."""
FAILED, KILLED = 1, 9
"""How the process ends."""


def killed_at(touch: int, work: Callable[[], object]) -> bool:
    """Whether doing the work in a process of its own ended with that process before its change number `touch`; else it is done."""
    child = os.fork()
    if child == 0:
        try:
            die_at(touch)
            work()
            os._exit(0)
        finally:
            os._exit(FAILED)
    ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert ended in (0, KILLED)
    return ended == KILLED


def die_at(touch: int) -> None:
    """End this process on the spot, as a kill does, before its change number `touch` from now on."""
    count = 0

    def die(event: str, _: object) -> None:
        nonlocal count
        count += event in TOUCHES
        if count > touch:
            os._exit(KILLED)

    sys.addaudithook(die)
