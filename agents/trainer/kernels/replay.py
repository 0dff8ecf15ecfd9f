"""Runs what tinygrad's JIT recorded in one go: calling a kernel from Python takes as long as a small kernel does."""

from __future__ import annotations

import ctypes
import time
from functools import partial
from typing import cast

from tinygrad.device import Buffer, Compiled, Device
from tinygrad.engine.jit import GraphRunner
from tinygrad.runtime.ops_cpu import CPUProgram
from tinygrad.uop.ops import Ops, ProgramInfo, UOp

from agents.trainer.kernels.pool import Pool

_ARGUMENTS = 63


class _Call(ctypes.Structure):
    """`struct call` of pool.c."""

    _fields_ = (
        ("kernel", ctypes.c_uint64),
        ("arguments", ctypes.c_uint64 * _ARGUMENTS),
        ("slices", ctypes.c_uint64),
        ("slice_argument", ctypes.c_uint64),
    )


class Replay(GraphRunner):
    """A recorded run of kernels as a table of calls, of which only the addresses of inputs change from one time to the next."""

    def __init__(self, pool: Pool, linear: UOp, input_uops: tuple[UOp, ...] = ()) -> None:
        super().__init__(linear, input_uops)
        self._pool = pool
        self._calls = (_Call * len(self.calls))()
        self._inputs: list[tuple[int, int, int]] = []
        for index, (_, program, buffers, _values) in enumerate(self.calls):
            info: ProgramInfo = program.arg
            call = self._calls[index]
            call.kernel = cast(CPUProgram, self.runtimes[index]).addr  # Any, for other devices
            call.arguments[: len(info.globals)] = [_address(buffers[position]) for position in info.globals]
            if (core := info.runtimevars.get("core_id")) is not None:
                call.slices, call.slice_argument = info.global_size[0], len(info.globals) + core
            taken = dict(self.uop_replace[index])
            self._inputs += [(index, place, taken[position]) for place, position in enumerate(info.globals) if position in taken]

    def __call__(self, input_uops: tuple[UOp, ...], var_vals: dict[str, int], wait: bool = False) -> float | None:
        for index, place, slot in self._inputs:
            self._calls[index].arguments[place] = _address(cast(Buffer, input_uops[slot].buffer))  # of one device, never several
        began = time.perf_counter()
        self._pool.library.pool_replay(self._pool.handle, self._calls, ctypes.c_long(len(self._calls)))
        return time.perf_counter() - began if wait else None

    @staticmethod
    def supports_uop(batch_devs: list[Compiled], new_call: UOp) -> bool:
        """Whether a call may stand in such a table: not one with variables, nor one that reads a part of an input."""
        if not GraphRunner.supports_uop(batch_devs, new_call):
            return False
        info: ProgramInfo = new_call.src[0].arg
        parts = (each for each in new_call.src[1:] if each.op is not Ops.PARAM)
        fixed = not any(uop.op is Ops.PARAM for each in parts for uop in each.toposort())
        return fixed and len(info.runtimevars) == len(info.vars) and len(info.globals) + len(info.vars) <= _ARGUMENTS


def _address(buffer: Buffer) -> int:
    return int(buffer.get_buf(buffer.device).va_addr)


def replay_on(pool: Pool) -> None:
    """Have tinygrad replay what its JIT records for the CPU device on the threads of `pool`."""
    Device["CPU"].graph = partial(Replay, pool)
