"""The pool of threads survives forks, callers at the same time, and the end of its process."""

import ctypes
import os
import subprocess
import sys
import threading
from pathlib import Path

import kernels
import pytest

from agents.trainer.kernels.pool import Pool, pool_of, usable_cores
from agents.trainer.kernels.text import text_of

HERE = Path(__file__).parent
WORK = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_long)
SHARED = """
import os, sys
sys.path.insert(0, {here!r})
from kernels import KERNELS, leaf
x, weight = leaf(300, 64), leaf(64, 64)
def compute(): return KERNELS.product(x, weight).numpy().tobytes()
before = compute()
"""


def said_by(script: str) -> str:
    """What a fresh process prints; it must end by itself."""
    text = SHARED.format(here=str(HERE)) + script
    return subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=60, check=True).stdout


def test_a_forked_child_starts_threads_of_its_own_and_ends() -> None:
    forked = """
child = os.fork()
if child == 0:
    same = compute() == before
    threads = len(os.listdir("/proc/self/task")) if os.path.isdir("/proc/self/task") else 2
    os._exit(0 if same and threads > 1 else 1)
_, status = os.waitpid(child, 0)
print(os.waitstatus_to_exitcode(status), compute() == before)
"""
    assert said_by(forked) == "0 True\n"


def test_a_process_ends_while_threads_of_the_pool_wait() -> None:
    assert said_by("print('done')") == "done\n"


def chunks_done(pool: Pool, count: int) -> list[int]:
    """Have the pool do so many chunks; returns which were done."""
    done: list[int] = []
    work = WORK(lambda _, chunk: done.append(chunk))
    pool.library.pool_run(pool.handle, work, None, ctypes.c_long(count))
    return done


@pytest.mark.parametrize("threads", [1, 2, 40])
def test_every_chunk_is_done_once(threads: int) -> None:
    assert sorted(chunks_done(pool_of(threads), 100)) == list(range(100))


def test_two_callers_at_the_same_time_both_get_their_results() -> None:
    """One has the pool, the other does its work alone."""
    found: list[list[int]] = [[], []]
    callers = [
        threading.Thread(target=lambda mine=mine: mine.extend(sum(chunks_done(pool_of(3), 7)) for _ in range(200))) for mine in found
    ]

    for each in callers:
        each.start()
    for each in callers:
        each.join(60)

    assert found == [[21] * 200] * 2


def test_threads_default_to_the_cores_that_this_process_may_use() -> None:
    assert 1 <= usable_cores() <= (os.cpu_count() or 1)


@pytest.mark.parametrize(
    "file", sorted(path.name for path in (Path(kernels.__file__).parents[2] / "agents/trainer/kernels").glob("*.[ch]"))
)
def test_a_kernel_file_says_what_it_is_for(file: str) -> None:
    assert text_of(file).startswith("// ")
