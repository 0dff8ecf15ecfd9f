"""A role's process: `python -m benchmarks.contenders.child JOB`. It says ready, waits for the word, does its job, and prints the result.

One line of JSON each, on what was standard output; whatever else is printed goes to standard error.
"""

from __future__ import annotations

import gc
import importlib
import os
import sys

import msgspec

from benchmarks.contenders.contender import Contender, Job, Missing


class Pipe:
    """The gate, over standard input and output."""

    def __init__(self) -> None:
        self._out = os.dup(1)
        os.dup2(2, 1)

    def ready(self) -> None:
        gc.collect()  # so that no role pays for what its imports left in the middle of the run
        self.say(b'"ready"')
        if not sys.stdin.readline():
            sys.exit("the benchmark went away")

    def say(self, line: bytes) -> None:
        os.write(self._out, line + b"\n")


def contenders(module: str) -> tuple[Contender, ...]:
    """Those of one module here. Raises Missing where a package or a program is not installed."""
    try:
        found: tuple[Contender, ...] = importlib.import_module(f"benchmarks.contenders.{module}").contenders()
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("benchmarks"):
            raise
        raise Missing(f"the package {error.name} is not installed: ./dev bench does so") from error
    return found


def main() -> None:
    job = msgspec.json.decode(sys.argv[1], type=Job)
    pipe = Pipe()
    contender = next(each for each in contenders(job.module) if each.name == job.contender)
    result = contender.roles[job.role](job, pipe)
    pipe.say(msgspec.json.encode(result))
    sys.stdin.readline()  # until its CPU time has been read


if __name__ == "__main__":
    main()
    os._exit(0)  # connections are left as they are: the server ends next
