"""A process of the swarm: what it hears and says over its pipes, and how it ends."""

from __future__ import annotations

import contextlib
import os
import queue
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import BinaryIO

import psutil

from agents.petals.messages import Broken, Message, encode, read
from agents.petals.swarm.compatibility import SOCKETS

NICENESS = 5
"""A text that somebody waits for goes before training (10), and after the bus."""
LONGEST = 2000
"""Characters of an error's message."""
LEAVE_SECONDS = 0.5
"""What this process has to tell the swarm that it leaves, once the agent has gone, whatever it is doing."""
LOOK_SECONDS = 1.0


@dataclass(slots=True)
class Pipe:
    """The two pipes to the agent. Safe from any thread. `descriptor` is the one that is written to."""

    hears: BinaryIO
    descriptor: int
    _inbox: queue.SimpleQueue[Message | None] = field(default_factory=queue.SimpleQueue)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def open(self) -> None:
        """Listen from now on, also while this process is busy."""
        threading.Thread(target=self._listen, name="listener", daemon=True).start()

    def say(self, message: Message) -> None:
        """Raises OSError where nobody reads any more."""
        rest = memoryview(encode(message))
        with self._lock:
            while rest:
                rest = rest[os.write(self.descriptor, rest) :]

    def hear(self) -> Message | None:
        """The next message; None where the agent has gone."""
        return self._inbox.get()

    def watch(self) -> None:
        """End when one of the processes ends that this one has started until now: hivemind goes on without them, and answers nothing."""
        started = psutil.Process().children(recursive=True)
        threading.Thread(target=self._watch, args=(started,), name="watchman", daemon=True).start()

    def _listen(self) -> None:
        try:
            while (message := read(self.hears)) is not None:
                self._inbox.put(message)
        finally:
            self._inbox.put(None)
            time.sleep(LEAVE_SECONDS)
            end_group()

    def _watch(self, started: list[psutil.Process]) -> None:
        while all(map(is_alive, started)):
            time.sleep(LOOK_SECONDS)
        with contextlib.suppress(OSError):
            self.say(Broken(error="ProcessEnded", message="a process that hivemind had started has ended"))
        end_group()


def is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def end_group() -> None:
    """End, with all that was started here: hivemind's daemon and forked processes are of this process's group, and outlive it otherwise."""
    if (sockets := os.environ.get(SOCKETS)) is not None:
        shutil.rmtree(sockets, ignore_errors=True)  # an agent that was killed does not
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)


def pipe_of_this_process() -> Pipe:
    """Standard input and output, which nobody else reads or writes from now on: what libraries print is no message, and a process that
    hivemind forks closes what it finds as standard input, and would wait for ever for the thread that reads it.
    """
    pipe = Pipe(os.fdopen(os.dup(sys.stdin.fileno()), "rb"), os.dup(sys.stdout.fileno()))
    sys.stdin = open(os.devnull)  # noqa: PTH123, SIM115  # for as long as this process lives
    os.dup2(sys.stdin.fileno(), 0)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return pipe


def run(work: Callable[[Pipe], None]) -> None:
    """Be a process of the swarm: do the work until the agent's pipe ends, say what went wrong, and end."""
    os.nice(NICENESS)
    pipe = pipe_of_this_process()
    pipe.open()
    try:
        work(pipe)
    except BaseException as error:  # all that ends this process is to be said, SystemExit of a library too
        with contextlib.suppress(OSError):
            pipe.say(Broken(error=type(error).__name__, message=str(error)[:LONGEST]))
    finally:
        end_group()
