"""One export, in a process of its own: `python -m agents.exporter.job ORDER` writes, compares and puts in place, and says so line by line.

Its memory and its crashes are its own. What it leaves when it is killed is removed by the next one.
"""

from __future__ import annotations

import contextlib
import os
import resource
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import msgspec

from agents.exporter import manifest, messages
from agents.exporter.huggingface import linked_names
from agents.exporter.manifest import Manifest
from agents.exporter.messages import MESSAGE, Begun, Broken, Finished, Leaving, Message, Order, Step
from agents.exporter.names import FOLDER
from agents.exporter.placing import BadExport, Models
from agents.exporter.source import Kept, Source, open_checkpoint
from agents.exporter.tensors import Storage, storage_for
from agents.exporter.writing import Report, check_space, folder_size, write_folder
from agents.parts import parity_file
from bus.errors import LockHeld
from bus.lock import hold, is_held
from bus.parent import end_with_input
from bus.store import Store
from schemas.export import Parity, Started
from schemas.system import Artifact

Say = Callable[[Message], None]

PATIENCE, POLL = 10.0, 0.1
PACE = 0.5
"""Seconds between two messages about how far it is, at least."""
MEMORY_UNIT = 1 if sys.platform == "darwin" else 1024
"""Bytes that ru_maxrss counts in."""


def main() -> None:
    """Carry out the order of the command line. Whatever goes wrong is the last message."""
    end_with_input()
    say = _speak()
    order = msgspec.json.decode(sys.argv[1], type=Order)
    models = Models(Path(order.artifacts))
    try:
        with _alone(Path(order.artifacts)):
            say(_attempt(order, models, say))
    except LockHeld as error:
        say(Broken(error=type(error).__name__, message=str(error)))


def _attempt(order: Order, models: Models, say: Say) -> Finished | Broken:
    """What came of it; of a failure nothing is left, or is removed by the next export."""
    try:
        return export(order, models, say)
    except BaseException as error:  # of whichever library, panics too: the agent says it on the bus
        broken = Broken(error=type(error).__name__, message=str(error)[:MESSAGE])
    with contextlib.suppress(OSError, BadExport):
        models.clear()
    return broken


def export(order: Order, models: Models, say: Say) -> Finished:
    """Everything from the checkpoint to the folder in place, or aside where it is not the same model everywhere."""
    store = Store(Path(order.artifacts))
    source, kept = open_checkpoint(order.meta, store)
    recipe, storage = source.recipe.name, storage_for(order.precision, order.block, order.symmetric)
    started = _started(order, source, folder_size(source, storage))
    made = models.begin(recipe, order.export)
    check_space(made, started.bytes)
    say(Begun(started=started))
    write_folder(source, kept.tokens, storage, made, _paced(say))
    peak = _peak_memory()
    files = manifest.describe(made, source.checkpoint, linked_names(source.files, order.precision))
    parity, reason = _compared(source, storage, kept, started, made, say)
    passed = parity is None or parity.passed
    settle = models.place if passed else models.set_aside
    folder = settle(made, recipe, order.export)
    return Finished(
        folder=folder,
        files=[*(files.artifacts(folder) if passed else []), *(_keep(parity, files, source, store) if parity else [])],
        leaving=_leaving(models, recipe) if passed else [],
        bytes=files.size,
        peak_memory=peak,
        parity=parity,
        reason=reason,
    )


def _alone(artifacts: Path) -> AbstractContextManager[None]:
    """One process writes models: one that was killed a moment ago may still be there. Raises LockHeld after PATIENCE seconds."""
    path, deadline = artifacts / FOLDER / ".lock", time.monotonic() + PATIENCE
    while is_held(path) and time.monotonic() < deadline:
        time.sleep(POLL)
    return hold(path, "an export")


def _peak_memory() -> int:
    """The largest resident size of this process so far, in bytes. Linux's ru_maxrss begins with that of the process that started it."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * MEMORY_UNIT


def _started(order: Order, source: Source, size: int) -> Started:
    return Started(
        export=order.export,
        recipe=source.recipe.name,
        checkpoint=source.checkpoint,
        step=int(source.facts["step"]),
        precision=order.precision,
        bytes=size,
    )


def _compared(source: Source, storage: Storage, kept: Kept, started: Started, made: Path, say: Say) -> tuple[Parity | None, str | None]:
    """What every program here makes of the model; None, with the reason, where there is no memory to run it."""
    from agents.exporter.comparing import compared, shortage  # with tinygrad, whose memory is not that of writing

    if reason := shortage(source.recipe):
        return None, reason

    def report(done: int, total: int, what: str) -> None:
        say(Step(stage="comparing", done=done, total=total, what=what))

    return compared(source, storage, started, made, kept.heldout, report), None


def _keep(parity: Parity, files: Manifest, source: Source, store: Store) -> list[Artifact]:
    """Put the proof into the store; it comes from the graphs that were compared, or from the checkpoint where those are not kept."""
    graphs = [entry.hash for entry in files.files if entry.kind == manifest.GRAPH] if parity.passed else []
    stored = store.put(parity_file.encode(source.facts["run"], parity))
    return [
        Artifact(
            kind="parity",
            hash=stored.hash,
            size=stored.size,
            path=stored.path,
            parents=[*graphs, source.checkpoint],
            media_type="application/json",
        )
    ]


def _leaving(models: Models, recipe: str) -> list[Leaving]:
    """Earlier exports that may go. A folder without a list of its files is not one of ours, and stays."""
    leaving = []
    for folder in models.superfluous(recipe):
        try:
            leaving.append(Leaving(folder=folder, files=manifest.read(models.artifacts / folder).artifacts(folder)))
        except ValueError as error:
            sys.stderr.write(f"{folder} stays: {error}\n")
    return leaving


def _paced(say: Say) -> Report:
    """Says how much is written, at most once in PACE seconds."""
    last = -PACE

    def report(done: int, total: int, what: str) -> None:
        nonlocal last
        if time.monotonic() - last >= PACE:
            last = time.monotonic()
            say(Step(stage="writing", done=done, total=total, what=what))

    return report


def _speak() -> Say:
    """Keeps the standard output for messages: what libraries print goes to the standard error."""
    channel = os.dup(1)
    os.dup2(2, 1)

    def say(message: Message) -> None:
        os.write(channel, messages.encode(message))

    return say


if __name__ == "__main__":
    main()
