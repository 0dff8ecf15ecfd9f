"""Which checkpoints of a run stay in the store: the newest, with what a run goes on with, and the weights of the best."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from agents.trainer.journal import Kept


def retained(checkpoints: Sequence[Kept], keep: int) -> list[Kept]:
    """The last `keep` of these, and before them the one with the lowest held-out loss, if that is older, without its optimiser's state."""
    newest = list(checkpoints[-keep:])
    best = best_of(checkpoints)
    return newest if best is None or best in newest else [replace(best, optimizer=None), *newest]


def best_of(checkpoints: Sequence[Kept]) -> Kept | None:
    """The checkpoint with the lowest held-out loss, of equal ones the first."""
    measured = [kept for kept in checkpoints if kept.heldout_loss is not None]
    return min(measured, key=lambda kept: kept.heldout_loss or 0.0, default=None)


def superfluous(before: Sequence[Kept], after: Sequence[Kept]) -> dict[str, str]:
    """The files, by hash and with their kind, that no checkpoint of `after` needs any more."""
    needed = {digest for kept in after for digest in kept.files}
    return {digest: kind for kept in before for digest, kind in kept.files.items() if digest not in needed}
