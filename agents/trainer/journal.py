"""What a run needs to go on after its process has ended: `artifacts/runs/<run>/resume.json`, written whole or not at all.

It names the checkpoints that are kept. One stands in it only once the log has everything that the run said up to it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import msgspec
import structlog
from msgspec import Struct

from agents.trainer.plan import Plan
from bus.log.disk import make_folder, replace_file
from bus.topic import Sha256

NAME = "resume.json"
SIZE_LIMIT = 1 << 20
"""Bytes of a journal that are parsed at most."""
MOST_DEATHS = 3
"""So often a run goes on from the same checkpoint: a run that kills its process would do so for ever."""

_log = structlog.get_logger()


class Kept(Struct, frozen=True, kw_only=True):
    """A checkpoint in the store, by the hashes of its files; without `optimizer` a run cannot go on from it."""

    step: int
    weights: Sha256
    meta: Sha256
    optimizer: Sha256 | None
    heldout_loss: float | None

    @property
    def files(self) -> dict[str, str]:
        """What it takes up most of the store with, by hash: the kind of each. Its JSON stays in any case."""
        return {self.weights: "checkpoint", **({self.optimizer: "optimizer"} if self.optimizer else {})}


class Journal(Struct, frozen=True, kw_only=True):
    """A run, and how far it can be resumed. `seconds` are those of the run up to the newest checkpoint.

    `deaths` counts the lives since then that ended without a word. `superfluous` are files that are to leave the store, by hash: the
    kind of each. `device` and `versions` are what the run began with.
    """

    format: Literal["zeropoint-run-1"] = "zeropoint-run-1"
    plan: Plan
    dataset_hash: str
    checkpoints: list[Kept] = []
    seconds: float = 0.0
    deaths: int = 0
    superfluous: dict[str, str] = {}
    device: str = ""
    versions: dict[str, str] = {}
    ended: bool = False

    @property
    def resumable(self) -> list[Kept]:
        """The checkpoints to go on from, newest first."""
        return [kept for kept in reversed(self.checkpoints) if kept.optimizer]


def write(journal: Journal, artifacts: Path) -> None:
    """Replace the run's journal, synced to disk. Raises OSError."""
    path = artifacts / "runs" / journal.plan.run / NAME
    make_folder(path.parent)
    replace_file(path, msgspec.json.format(msgspec.json.encode(journal), indent=2) + b"\n")


def unfinished(artifacts: Path) -> Journal | None:
    """The newest run's journal, where that has not ended. One that cannot be read is named to the operator, and nothing goes on."""
    newest = max((artifacts / "runs").glob(f"run-*/{NAME}"), default=None)
    journal = None if newest is None else _read(newest)
    return None if journal is None or journal.ended else journal


def in_use(artifacts: Path, without: str) -> set[str]:
    """The hashes of all files that runs other than `without` keep: equal weights of two runs are one file."""
    return {digest for journal in _others(artifacts, without) for kept in journal.checkpoints for digest in kept.files}


def _others(artifacts: Path, without: str) -> Iterator[Journal]:
    for path in (artifacts / "runs").glob(f"*/{NAME}"):
        if path.parent.name != without and (journal := _read(path)) is not None:
            yield journal


def _read(path: Path) -> Journal | None:
    try:
        if path.stat().st_size > SIZE_LIMIT:
            raise ValueError(f"{path.stat().st_size} bytes: at most {SIZE_LIMIT} are read")
        return msgspec.json.decode(path.read_bytes(), type=Journal)
    except (OSError, ValueError, msgspec.MsgspecError, RecursionError) as error:
        _log.warning("a run's journal cannot be read: it is as if there were none", path=str(path), reason=str(error))
        return None
