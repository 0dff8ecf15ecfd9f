"""Pictures from the renderer's process, kept in the cache: whole, checked and hashed, or not at all."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from agents.trainer.data.alone import alone
from agents.trainer.data.files import Progress, Report
from agents.trainer.data.scenes import COLOURS, FORMAT, RELATIONS, SHAPES, Kind, Labels, caption

PATIENCE = 300.0
"""Seconds that the renderer may take; 8,192 pictures of 32 pixels take it three."""
POLL = 0.02
"""Seconds between two looks at whether it is done."""
LAST_WORDS = 500
"""Bytes of a failed renderer's messages that are repeated."""
HEADER = 128
"""Bytes before the numbers in a .npy file of ours."""
LIMITS = np.array([len(COLOURS), len(SHAPES), len(RELATIONS), len(COLOURS), len(SHAPES)])
"""Every label is below the one of its column."""

Bytes = NDArray[np.uint8]


class RenderingFailed(RuntimeError):
    """The renderer made no pictures, or none that can be used; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What to render: the first `count` scenes of `seed`, in `size` pixels square."""

    seed: int
    count: int
    size: int
    held_out: bool

    @property
    def key(self) -> str:
        """Names the pictures in the cache: all that decides them, the renderer's version included."""
        kind = "held-out" if self.held_out else "training"
        return f"{kind}-seed{self.seed}-{self.count}x{self.size}px-scenes{FORMAT}-panda3d{version('panda3d')}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Renderings:
    """Images [count, size, size, 3] in a mapped file, the labels [count, 5] of their captions, and SHA-256 over both files."""

    images: Bytes
    labels: Bytes
    hash: str
    renderer: str


def rendered(order: Order, cache: Path, report: Report) -> Renderings:
    """The pictures of `order`, from the cache where they are there and unchanged.

    One process at a time renders into a cache, and another waits for it. What a killed one left is removed by the next.
    Raises RenderingFailed, OSError, and what `report` raises.
    """
    kept = cache / order.key
    if found := _kept(kept, order):
        return found
    cache.mkdir(parents=True, exist_ok=True)
    with alone(cache, report):
        if found := _kept(kept, order):  # another process was quicker
            return found
        for remains in (kept, *cache.glob(".rendering-*")):
            _remove(remains)
        with tempfile.TemporaryDirectory(dir=cache, prefix=".rendering-") as folder:
            made = Path(folder) / "pictures"
            made.mkdir()
            _render(order, made, report)
            (made / "hash.txt").write_text(_hash(made))
            _open(made, order)
            made.rename(kept)
        return _open(kept, order)


def _kept(folder: Path, order: Order) -> Renderings | None:
    """What was kept; None where it is not there, or spoilt."""
    try:
        return _open(folder, order)
    except (FileNotFoundError, NotADirectoryError, RenderingFailed):
        return None


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def caption_of(row: Bytes) -> str:
    """The caption that a picture's labels [5] say."""
    colour, shape, relation, other_colour, other_shape = row.tolist()
    return caption(Labels(Kind(colour, shape), relation, Kind(other_colour, other_shape)))


def _render(order: Order, folder: Path, report: Report) -> None:
    command = [sys.executable, "-m", "agents.trainer.data.render", str(folder), *map(str, (order.seed, order.count, order.size))]
    # Its input is a pipe that says nothing: it ends when we do, even by kill -9.
    with (
        tempfile.TemporaryFile() as said,
        subprocess.Popen(
            [*command, *(["--held-out"] if order.held_out else [])], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=said
        ) as child,
    ):
        try:
            _wait(child, order, report)
        finally:
            child.kill()
        said.seek(max(0, said.seek(0, 2) - LAST_WORDS))
        if child.returncode:
            raise RenderingFailed(f"the renderer ended with {child.returncode}: {said.read().decode(errors='replace').strip()}")


def _wait(child: subprocess.Popen[bytes], order: Order, report: Report) -> None:
    deadline = time.monotonic() + PATIENCE
    while child.poll() is None:
        if time.monotonic() > deadline:
            raise RenderingFailed(f"the renderer made no {order.count} pictures in {PATIENCE:.0f} s")
        report(Progress("rendering", 0, 0))
        time.sleep(POLL)


def _open(folder: Path, order: Order) -> Renderings:
    """Map the files, which must be those of the order and unchanged since. Raises OSError, RenderingFailed."""
    images = _load(folder / "images.npy", (order.count, order.size, order.size, 3))
    labels = _load(folder / "labels.npy", (order.count, len(LIMITS)))
    if (labels >= LIMITS).any():
        raise RenderingFailed(f"{folder / 'labels.npy'} names what no caption can")
    found, noted = _hash(folder), (folder / "hash.txt").read_text()
    if found != noted:
        raise RenderingFailed(f"the pictures in {folder} have changed: their hash is {found}, and was {noted}")
    return Renderings(images=images, labels=labels, hash=found, renderer=(folder / "renderer.txt").read_text())


def _load(path: Path, shape: tuple[int, ...]) -> Bytes:
    if (size := path.stat().st_size) != (wanted := HEADER + int(np.prod(shape))):
        raise RenderingFailed(f"{path} has {size} bytes: want {wanted}")
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except ValueError as error:
        raise RenderingFailed(f"{path} is no array: {error}") from error
    if array.dtype != np.uint8 or array.shape != shape:
        raise RenderingFailed(f"{path} holds {array.dtype} {array.shape}: want uint8 {shape}")
    return np.asarray(array)


def _hash(folder: Path) -> str:
    digest = hashlib.sha256()
    for name in ("images.npy", "labels.npy", "renderer.txt"):
        digest.update((folder / name).read_bytes())
    return digest.hexdigest()
