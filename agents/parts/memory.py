"""The memory that training a recipe needs, by parts, and the memory that is there."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import psutil
import pynvml

from agents.parts.recipes import RECIPES, Recipe

FLOAT = 4
"""Bytes of a number: weights, gradients, moments and activations are float32."""
CHECKPOINT_COPIES = 3
"""As many as the weights have, in the processor's memory, while a checkpoint is written: weights, and both moments."""

WIDTHS, FFNS, SCORES, LOGITS = 17.0, 4.5, 2.6, 2.5
"""What a training step in plain tinygrad keeps at once for a token: in each layer so many times the width, the FFN's width and the
attention scores of its position (one for each head and position), and so many logits. Fitted to what `GlobalCounters.mem_used` says
of micro and tiny in several widths, lengths and depths; an implementation that stores no scores needs less."""

OWN_MEMORY = ("NV", "CUDA")
SHARED_MEMORY = ("CPU", "METAL")
"""tinygrad's devices whose memory is a card's, read by NVML, and those that share the processor's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """Bytes that training takes at its peak. `checkpoint` is in the processor's memory, the rest in the device's."""

    weights: int
    gradients: int
    moments: int
    activations: int
    checkpoint: int

    @property
    def on_device(self) -> int:
        """Without the copies that a checkpoint is written from."""
        return self.weights + self.gradients + self.moments + self.activations


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """Free bytes of a device's memory; null where they are not known, for the `reason`. `shared`: checkpoints are made in it too."""

    free: int | None
    shared: bool
    reason: str | None = None


Handle = Any  # a ctypes pointer of the library, only ever handed back to it


class Nvml(Protocol):
    """The part of the library `pynvml` that is called."""

    def nvmlInit(self) -> None: ...
    def nvmlShutdown(self) -> None: ...
    def nvmlDeviceGetHandleByIndex(self, index: int) -> Handle: ...
    def nvmlDeviceGetMemoryInfo(self, handle: Handle) -> Any: ...  # a ctypes structure with `free`, in bytes


def needed(recipe: Recipe, accumulates: bool = False) -> Need:
    """What a run of `recipe` takes, with its batch and context; one that accumulates gradients keeps their sums."""
    weights = FLOAT * recipe.parameters
    return Need(
        weights=weights,
        gradients=weights * (2 if accumulates else 1),
        moments=2 * weights,
        activations=FLOAT * round(_activations(recipe)),
        checkpoint=CHECKPOINT_COPIES * weights,
    )


def room(device: str, nvml: Nvml = pynvml) -> Room:
    """What is free on `device`, as tinygrad names it (`CPU`, `CUDA:0`)."""
    kind, _, index = device.partition(":")
    if kind in SHARED_MEMORY:
        return Room(free=free_memory(), shared=True)
    if kind in OWN_MEMORY:
        return _room_on_card(nvml, int(index or 0))
    return Room(free=None, shared=False, reason=f"nothing here reads the free memory of a device of kind {kind}")


def free_memory(cgroup: Path = Path("/sys/fs/cgroup")) -> int:
    """Bytes that the operating system can give this process; in a container, no more than what that is allowed."""
    free = psutil.virtual_memory().available
    try:
        limit, used = ((cgroup / name).read_text().strip() for name in ("memory.max", "memory.current"))
        return free if limit == "max" else max(0, min(free, int(limit) - int(used)))
    except (OSError, ValueError):  # no container, or one that says it otherwise
        return free


def expected_device(environ: Mapping[str, str] = os.environ, nvml: Nvml = pynvml) -> str:
    """The device that tinygrad is going to choose, as far as can be said without opening it: that may take seconds."""
    if named := environ.get("DEV", "").partition(":")[0]:
        return named.upper()
    if platform.system() == "Darwin":
        return "METAL"
    if _room_on_card(nvml, 0).free is not None:
        return "CUDA"
    return "AMD" if Path("/dev/kfd").exists() else "CPU"


def total(need: Need, room: Room) -> int:
    """Bytes of `need` that this memory must have."""
    return need.on_device + (need.checkpoint if room.shared else 0)


def fits(recipe: Recipe, room: Room, accumulates: bool = False) -> bool:
    """Whether training has room; where nobody knows how much there is, it may try."""
    return room.free is None or total(needed(recipe, accumulates), room) <= room.free


def shortage(recipe: Recipe, room: Room, accumulates: bool = False) -> str | None:
    """Why `recipe` cannot be trained in this memory, with every part; None where it can, or nobody knows."""
    if fits(recipe, room, accumulates) or room.free is None:
        return None
    need = needed(recipe, accumulates)
    parts = {"weights": need.weights, "gradients": need.gradients, "moments": need.moments, "activations": need.activations}
    if room.shared:
        parts["a checkpoint's copies"] = need.checkpoint
    said = ", ".join(f"{name} {_gib(size)}" for name, size in parts.items())
    largest = max((each for each in RECIPES.values() if fits(each, room, accumulates)), key=lambda each: each.parameters, default=None)
    instead = f"{largest.name} is the largest recipe that fits" if largest else "no recipe fits"
    return f"{recipe.name} needs {_gib(total(need, room))} GiB to train ({said}), and {_gib(room.free)} GiB are free here: {instead}"


def _activations(recipe: Recipe) -> float:
    """Numbers that a step keeps besides weights and gradients."""
    example = recipe.layers * _layer(recipe.width, recipe.ffn, recipe.heads, recipe.positions) + LOGITS * recipe.context * recipe.vocabulary
    if seen := recipe.vision:
        example += seen.layers * _layer(seen.width, seen.ffn, seen.heads, seen.patches)
    return recipe.batch * example


def _layer(width: int, ffn: int, heads: int, length: int) -> float:
    return length * (WIDTHS * width + FFNS * ffn + SCORES * heads * length)


def _room_on_card(nvml: Nvml, index: int) -> Room:
    try:
        nvml.nvmlInit()
    except pynvml.NVMLError as error:
        return Room(free=None, shared=False, reason=f"NVML does not start: {error}")
    try:
        card = nvml.nvmlDeviceGetMemoryInfo(nvml.nvmlDeviceGetHandleByIndex(index))
        return Room(free=int(card.free), shared=False)
    except pynvml.NVMLError as error:
        return Room(free=None, shared=False, reason=f"NVML does not say what is free on card {index}: {error}")
    finally:
        nvml.nvmlShutdown()


def _gib(size: int) -> str:
    """Three digits that count."""
    value = size / 2**30
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"
