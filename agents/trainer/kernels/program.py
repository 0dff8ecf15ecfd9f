"""Hands a kernel written in C to tinygrad, with its gradient.

tinygrad compiles the text, loads it, and calls it with the addresses of its buffers, like a kernel that it wrote itself; so its
scheduler, its memory planner and its JIT treat both alike. The sizes stand as #defines in front of the text: the compiler knows
them, and tinygrad's cache, which goes by the text, keeps one entry for each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from tinygrad.dtype import dtypes
from tinygrad.renderer import Estimates
from tinygrad.tensor import Tensor
from tinygrad.uop.ops import KernelInfo, Ops, ProgramInfo, UOp, sint

from agents.trainer.kernels.pool import Pool
from agents.trainer.kernels.text import text_of

SHARED_FROM = 200_000
"""Operations from which on a kernel is split among threads; fewer are done before another thread is awake."""

Gradient = Callable[[list[Tensor], list[Tensor], list[Tensor]], Sequence[Tensor | None]]
"""From the gradients of the outputs that have one, all outputs and all inputs to the gradients of the inputs, shaped like them."""

Define = int | float | str


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A kernel: C files of this folder, of which the last defines the entry NAME, what is defined before them, and its operations.

    The entry's arguments are the addresses of outputs, then of inputs, then of the pool. `updated` counts the outputs, from the
    first on, that it also reads.
    """

    name: str
    files: tuple[str, ...]
    defines: Mapping[str, Define] = field(default_factory=dict)
    operations: int = 0
    updated: int = 0

    def source(self) -> str:
        """The C text, complete."""
        share = "share" if self.operations >= SHARED_FROM else "alone"
        defines = {"NAME": self.name, "SHARE": share, **self.defines}
        return "".join(f"#define {name} {_literal(value)}\n" for name, value in defines.items()) + "".join(map(text_of, self.files))


def run(
    program: Program, pool: Pool, outputs: Sequence[Tensor], inputs: Sequence[Tensor], gradient: Gradient | None = None
) -> list[Tensor]:
    """The outputs as the program leaves them, given tensors to write into and operands, which become contiguous where they are not."""
    count = len(outputs)

    def backward(*given: UOp, call: UOp | None = None) -> tuple[UOp | None, ...]:
        # tinygrad gives one gradient and the call, or several gradients and the call by name.
        gradients, called = (given[:-1], given[-1]) if call is None else (given, call)
        operands = called.src[1:]
        results = [Tensor(uop.after(called)) for uop in operands[:count]]
        found = gradient([Tensor(uop) for uop in gradients], results, [Tensor(uop) for uop in operands[count:-1]]) if gradient else []
        return (*(None for _ in results), *(None if each is None else each.uop for each in found), None)

    operands = (each.uop for each in (*outputs, *inputs, pool.addresses))
    after = UOp.custom_kernel(*operands, fxn=lambda *slots: _program(program, slots, count), grad_fxn=backward if gradient else None)
    return [Tensor(uop) for uop in after[:count]]


def empty(shape: Iterable[sint], like: Tensor) -> Tensor:
    """Room for an output of float32, on the device of `like`."""
    return Tensor.empty(*map(int, shape), dtype=dtypes.float32, device=like.device)


def sizes(x: Tensor) -> tuple[int, ...]:
    """The shape of a tensor all of whose sizes are known, as those of a kernel must be."""
    return tuple(map(int, x.shape))


def demand(name: str, x: Tensor, *shape: int) -> None:
    """Raises ValueError where `x` is not of this shape, or not of float32: a kernel would read past its end, or other numbers."""
    if sizes(x) != shape or x.dtype != dtypes.float32:
        raise ValueError(f"{name} is {x.dtype} {sizes(x)}: the kernel takes float32 {shape}")


def as_integers(x: Tensor) -> Tensor:
    """Indices as the kernels read them, in 32 bits."""
    return x if x.dtype == dtypes.int32 else x.cast(dtypes.int32)


def _literal(value: Define) -> str:
    return f"{value!r}f" if isinstance(value, float) else str(value)


def _program(program: Program, slots: tuple[UOp, ...], outputs: int) -> UOp:
    indices = tuple(range(len(slots)))
    sink = UOp.sink(*slots, arg=KernelInfo(name=program.name, estimates=Estimates(ops=program.operations)))
    written, read = indices[:outputs], indices[: program.updated] + indices[outputs:]
    info = ProgramInfo(program.name, (1, 1, 1), (1, 1, 1), (), indices, written, read)
    return UOp(Ops.PROGRAM, src=(sink, UOp(Ops.LINEAR, src=(*slots, sink)), UOp(Ops.SOURCE, arg=program.source())), arg=info)
