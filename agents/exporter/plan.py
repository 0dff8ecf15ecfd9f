"""What an export is to be, decided before it starts from the checkpoint and the command."""

from __future__ import annotations

from dataclasses import dataclass

from agents.parts.checkpoint import BadCheckpoint, Meta, read_meta
from bus.errors import CommandRefused
from bus.store import NotInStore, Store
from schemas.export import Export

BRIEF = 12
"""Characters of a hash that are enough to tell checkpoints apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One export, ready to start. `meta_hash` is that of the checkpoint's JSON, `meta` what it says; `automatic`: nobody asked for it."""

    meta_hash: str
    meta: Meta
    request: Export
    automatic: bool = False

    @property
    def run(self) -> str:
        return self.meta.content.run

    @property
    def name(self) -> str:
        """What the export is called: the same checkpoint in the same precision has the same name."""
        request = self.request
        rounding = (f"-b{request.block}" + ("" if request.symmetric else "-zero")) if request.precision in ("int4", "int8") else ""
        return f"{self.meta_hash[:BRIEF]}-{request.precision}{rounding}"


def make_plan(request: Export, newest: str | None, store: Store, automatic: bool = False) -> Plan:
    """The export that `request` asks for; `newest` is the hash of the JSON of the checkpoint announced last. Raises CommandRefused."""
    meta_hash = request.checkpoint or newest
    if meta_hash is None:
        raise CommandRefused("no_checkpoint", "no checkpoint has been announced yet: wait for a train.checkpoint, or name one")
    try:
        meta = read_meta(meta_hash, store)
        store.path(meta.weights)  # which newer ones may have replaced
    except (NotInStore, BadCheckpoint) as error:
        where = "want a `meta_hash` from `checkpoints` in run.json, of one that is kept (`hash` is that of its weights)"
        raise CommandRefused("no_checkpoint", f"{error}: {where}") from error
    return Plan(meta_hash=meta_hash, meta=meta, request=request, automatic=automatic)
