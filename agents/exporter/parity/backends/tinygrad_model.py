"""The decoder of agents/parts in plain tinygrad: on the CPU it is the reference, and every other device of tinygrad is a backend."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.metadata import version

import numpy as np
from numpy.typing import NDArray
from tinygrad.device import Device
from tinygrad.engine.jit import TinyJit
from tinygrad.helpers import DEV, Context
from tinygrad.tensor import Tensor

from agents.exporter.parity.measures import Floats
from agents.exporter.parity.prompts import Examples, Inputs
from agents.exporter.parity.readings import Backend, DidNotRun, Reading, filled, heldout_nats, recomputed
from agents.parts.compiler import HOW_TO_MEND, NoDevice, open_device
from agents.parts.operations import plain
from agents.parts.recipes import Recipe
from agents.parts.vision import Vlm, model_for

REFERENCE = "CPU"
"""The device of the reference, and of OnnxRunner: every machine has it."""

Weights = Mapping[str, NDArray[np.float32]]


def devices() -> list[str]:
    """tinygrad's devices that open here, the reference's first. Raises NoDevice where that one does not."""
    open_device()  # finds a compiler, without which the CPU would be missing
    found = list(Device.get_available_devices())
    if REFERENCE not in found:
        raise NoDevice(f"tinygrad's CPU device, with which exports are compared, does not open: {HOW_TO_MEND}")
    return [REFERENCE, *(device for device in found if device != REFERENCE)]


def backend(recipe: Recipe, weights: Weights, device: str) -> Backend:
    """The model with these weights on `device`."""
    return Backend(
        name=f"tinygrad {device}",
        reads="weights",
        version=version("tinygrad"),
        run=lambda inputs: _run(recipe, weights, device, inputs),
    )


def features(recipe: Recipe, weights: Weights, examples: Examples, inputs: Inputs) -> Floats:
    """What the reference's decoder reads [n, patches, width] of the images of examples."""
    with placed(REFERENCE):
        model = model_for(recipe, weights, plain())
        if not isinstance(model, Vlm) or examples.images is None:
            raise TypeError(f"recipe {recipe.name} sees no pictures")
        compiled = TinyJit(lambda images: model.see(images).realize())
        seen, rows = [], inputs.size.rows
        for start in range(0, len(examples.images), rows):
            images, _ = tensors(filled(examples.rows(start, start + rows), inputs))
            seen.append(np.array(compiled(images).numpy()))
        return np.concatenate(seen)[: len(examples.images)]


def placed(device: str) -> Context:
    """Where tensors are made, with the compiler that DEV names for it, if any; the whole process is bound to it.

    Compiling stays in this thread: worker processes would outlive a killed agent.
    """
    return Context(DEV=[DEV.target(device)], TRAINING=0, PARALLEL=0)


def _run(recipe: Recipe, weights: Weights, device: str, inputs: Inputs) -> Reading:
    try:
        return _read(recipe, weights, device, inputs)
    except MemoryError as error:  # it reads nothing of the files: a small device says nothing of them
        raise DidNotRun(str(error)) from error


def _read(recipe: Recipe, weights: Weights, device: str, inputs: Inputs) -> Reading:
    with placed(device):
        model = model_for(recipe, weights, plain())
        compiled = TinyJit(lambda *example: model(*example).realize())

        def logits(examples: Examples) -> Floats:
            batch = compiled(*tensors(filled(examples, inputs)))
            return np.array(batch.numpy()[: len(examples.tokens), : examples.tokens.shape[1]])

        read = recomputed(logits, inputs)
        return Reading(
            logits=read.logits,
            continuations=read.continuations,
            cached=False,
            heldout=heldout_nats(logits, inputs),
            margins=read.margins,
        )


def tensors(examples: Examples) -> Iterator[Tensor]:
    """Images, where there are some, and tokens."""
    if examples.images is not None:
        yield Tensor(examples.images).realize()
    yield Tensor(examples.tokens).realize()
