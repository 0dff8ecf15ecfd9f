"""Every export against the checkpoint that it is of, and what it says that it left."""

from __future__ import annotations

from collections.abc import Iterator, Set
from dataclasses import dataclass, field
from typing import Any

from bus.cli.verify.finding import Finding
from bus.event import Event
from schemas import export

KINDS = frozenset({"onnx", "onnx-data", "huggingface", "parity"})
"""Of artifacts that only an export makes."""


@dataclass
class Exports:
    """What the log says of exports. It grows with them.

    `checkpoints` are the hashes, by run, of those that are exported; `told` is what was said of an export, and whether it had begun;
    `failed` the ids of completions whose own parity had not passed.
    """

    checkpoints: dict[str, set[str]] = field(default_factory=dict)
    told: list[tuple[Event[export.Parity] | Event[export.Completed], bool]] = field(default_factory=list)
    failed: set[str] = field(default_factory=set)
    _begun: set[tuple[str, str, str]] = field(default_factory=set)
    _passed: dict[tuple[str, str, str], bool] = field(default_factory=dict)  # the last parity since it began

    def take(self, event: Event[Any]) -> None:  # Any: Started, Parity or Completed
        """One event, in log order."""
        run, data = event.run or "", event.data
        begun = run, data.export, data.checkpoint
        if isinstance(data, export.Started):
            self._begun.add(begun)
            self._passed.pop(begun, None)
            self.checkpoints.setdefault(run, set()).add(data.checkpoint)
            return
        self.told.append((event, begun in self._begun))
        if isinstance(data, export.Parity):
            self._passed[begun] = data.passed
        elif data.parity is not None and not self._passed.get(begun, False):
            self.failed.add(event.id)

    def findings(self, checkpoints: Set[tuple[str, str]], artifacts: Set[str]) -> Iterator[Finding]:
        """What does not hold: `checkpoints` are those that were made, by run and hash, `artifacts` the hashes of all files."""
        for event, had_begun in self.told:
            data = event.data
            if not had_begun:
                yield _unexplained(event.id, f"no export.started of {data.export}, of the same checkpoint, comes before it")
            if (event.run or "", data.checkpoint) not in checkpoints:
                yield _unexplained(event.id, f"no train.checkpoint of the run {event.run or '(none)'} made its {data.checkpoint}")
            if isinstance(data, export.Completed) and data.parity is not None and data.parity not in artifacts:
                yield _unexplained(event.id, f"no artifact.created has its parity {data.parity}")
            if event.id in self.failed:
                yield _unexplained(event.id, "no export.parity of this export that passed comes before it")


def _unexplained(event_id: str, what: str) -> Finding:
    return Finding(kind="unexplained", where=event_id, what=what, mend="find out who published it; do not rely on what it says")
