"""The kernels' C is what tinygrad can load, on processors other than this one too."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import pytest
from compiled import MICRO, batch, hyperparameters
from kernels import KERNELS
from tinygrad.runtime.support.compiler_cpu import ClangCompiler
from tinygrad.runtime.support.elf import jit_loader
from tinygrad.tensor import Tensor
from tinygrad.uop.ops import Ops, UOp

from agents.parts.model import Llama, initial_weights
from agents.trainer.kernels import implementation
from agents.trainer.optimizer import AdamW
from agents.trainer.state import State


@pytest.fixture(scope="module")
def sources() -> Mapping[str, str]:
    """The C text of each kernel of a training step, by its name."""
    model = Llama(MICRO, initial_weights(MICRO, 0), KERNELS)
    optimizer = AdamW(model.weights, State.begun(initial_weights(MICRO, 0)), hyperparameters(), implementation(2).update)
    loss = model.loss(*map(Tensor, batch())).backward()
    norm, changed = optimizer.update(optimizer.advance(0.1))
    whole = UOp.sink(*(each.uop for each in (loss, norm, *changed)))
    programs = [each for each in whole.toposort() if each.op is Ops.PROGRAM]
    return {program.arg.name: program.src[2].arg for program in programs}


# With vectors of 16, 8 and 4 numbers.
@pytest.mark.parametrize(("architecture", "processor"), [("x86_64", "znver4"), ("x86_64", "haswell"), ("arm64", "generic")])
def test_a_kernel_needs_nothing_from_outside(sources: Mapping[str, str], architecture: str, processor: str) -> None:
    """No function of a library, of which the compiler may think by itself: tinygrad's loader has none."""
    compiler = ClangCompiler([architecture, processor])
    with ThreadPoolExecutor() as threads:
        objects = dict(zip(sources, threads.map(compiler.compile, sources.values()), strict=True))

    assert len(objects) >= 10
    for compiled in objects.values():
        assert len(jit_loader(compiled)) > 100
