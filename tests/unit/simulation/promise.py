"""What the log must hold, whatever happened: checked against what was published and what was acknowledged."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import msgspec

from bus.errors import CorruptLog
from bus.log.reader import read_folder
from bus.wire import decode_data, decode_envelope
from schemas import system

Key = tuple[str, int]
"""A stream: its source and epoch."""


class BrokenPromise(AssertionError):
    """What a user was told and does not get."""


@dataclass
class Ledger:
    """What the world knows: each event has a token of its own, also where two of them claim one seq.

    `acknowledged` are the tokens that their publishers believe to be on disk; `taken_away` what was in a log that
    somebody removed.
    """

    tokens: dict[tuple[Key, int], set[int]] = field(default_factory=lambda: defaultdict(set))
    acknowledged: set[int] = field(default_factory=set)
    taken_away: set[int] = field(default_factory=set)


class Line(NamedTuple):
    """One durable event of the log."""

    key: Key
    seq: int
    token: int | None
    gap: system.Gap | None


def read_lines(folder: Path) -> list[Line]:
    try:
        entries = list(read_folder(folder))
    except CorruptLog as error:
        raise BrokenPromise(f"the log cannot be read: {error}") from error
    lines = []
    for entry in entries:
        envelope = decode_envelope(entry.topic, entry.data)
        gap = decode_data(entry.topic, envelope.data, system.Gap) if entry.topic == system.GAP.name else None
        token = None if gap else msgspec.msgpack.decode(envelope.data)["token"]
        lines.append(Line((envelope.source, envelope.epoch), envelope.seq, token, gap))
    return lines


def check(lines: list[Line], ledger: Ledger) -> None:
    """Raises BrokenPromise."""
    check_order(lines)
    recorded = {line.token for line in lines if line.token is not None}
    lost = ledger.acknowledged - ledger.taken_away - recorded
    if lost:
        raise BrokenPromise(f"acknowledged, and not in the log: {sorted(lost)}")
    for gap in filter(None, (line.gap for line in lines)):
        check_gap(gap, recorded, ledger)


def check_order(lines: list[Line]) -> None:
    """Each stream's events once, in their order, from 1, with no hole that no gap event before it explains."""
    last: dict[Key, int] = defaultdict(int)
    explained: dict[Key, set[int]] = defaultdict(set)
    for line in lines:
        holes = set(range(last[line.key] + 1, line.seq)) - explained[line.key]
        if line.seq <= last[line.key]:
            raise BrokenPromise(f"{line.key}: {line.seq} is recorded after {last[line.key]}: twice, or out of order")
        if holes:
            raise BrokenPromise(f"{line.key}: {line.seq} is recorded without {sorted(holes)}, and nothing says why")
        last[line.key] = line.seq
        if line.gap is not None:
            explained[line.gap.source, line.gap.epoch] |= set(range(line.gap.first, line.gap.last + 1))


def check_gap(gap: system.Gap, recorded: set[int], ledger: Ledger) -> None:
    """Only what its publisher no longer holds, because it was acknowledged, may be given up; and not what the log has."""
    for seq in range(gap.first, gap.last + 1):
        tokens = ledger.tokens.get(((gap.source, gap.epoch), seq), set())
        if tokens - ledger.acknowledged:
            raise BrokenPromise(f"{gap} gives up {seq}, which its publisher still holds")
        if tokens & recorded:
            raise BrokenPromise(f"{gap} gives up {seq}, which the log has")
