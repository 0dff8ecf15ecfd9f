"""The threads that kernels share their work among: a small library, compiled once into the cache folder."""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import platform
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tinygrad.dtype import dtypes
from tinygrad.tensor import Tensor

from agents.parts.compiler import cache_folder
from agents.trainer.kernels.text import text_of

_FLAGS = ("-O2", "-std=c11", "-shared", "-fPIC", "-pthread")


def usable_cores() -> int:
    """The cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """Some threads. They start with the first kernel that has work for them, in a forked child anew, and end with the process."""

    library: ctypes.CDLL
    handle: ctypes.c_void_p
    addresses: Tensor
    """What a kernel is given: those of `pool_run` and of the pool."""


@functools.cache
def pool_of(threads: int) -> Pool:
    """The process's pool of so many threads, the caller's included."""
    library = ctypes.CDLL(str(_library()))
    library.pool_new.restype = ctypes.c_void_p
    handle = library.pool_new(ctypes.c_int(threads))
    if handle is None:
        raise MemoryError("no memory for the kernels' threads")
    addresses = Tensor([ctypes.cast(library.pool_run, ctypes.c_void_p).value, handle], dtype=dtypes.uint64, device="CPU").realize()
    return Pool(library=library, handle=ctypes.c_void_p(handle), addresses=addresses)


def _library() -> Path:
    """Compile it, unless this text was compiled before. It appears whole or not at all: another process may be loading it."""
    compiler = os.environ.get("CC", "clang")
    source = text_of("pool.c")
    key = hashlib.sha256("\0".join((source, compiler, platform.machine(), *_FLAGS)).encode()).hexdigest()[:16]
    library = cache_folder() / f"kernels-pool-{key}.so"
    if not library.exists():
        library.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=library.parent, prefix=".kernels-pool-") as folder:
            made = Path(folder) / "pool.so"
            subprocess.run([compiler, *_FLAGS, "-x", "c", "-", "-o", str(made)], input=source, text=True, check=True)
            made.replace(library)
    return library
