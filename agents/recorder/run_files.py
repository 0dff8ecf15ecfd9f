"""The plain files of one run, written from its events: run.json, loss_curve.csv, heldout_loss.csv, tinygrad.jsonl, sys_power.jsonl,
checkpoints/. From them curve.py draws loss_curve.png.

Every file is a projection of the log: writing it again from the same events gives the same bytes. Power readings expire, though,
and a disk may spoil anything: where the log has lost some of a run, the lines that a file has stay.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, BinaryIO, TextIO

import msgspec
import structlog
from msgspec import Struct

from agents.recorder.run_summary import CheckpointEntry, begin
from bus.event import Event
from schemas import power, system, train

SUMMARY_STEPS = 10
"""Steps after which run.json is written anew while a run goes on."""
CURVE_COLUMNS = ("step", "loss", "learning_rate", "grad_norm", "tokens_per_second", "seconds")
HELDOUT_COLUMNS = ("step", "loss", "bits_per_byte", "tokens")
CURVE, HELDOUT, PICTURE = "loss_curve.csv", "heldout_loss.csv", "loss_curve.png"
FACTS = {"dataset-manifest": "dataset.json", "tokenizer": "tokenizer.json"}
"""Artifacts of a run that are linked from its folder, by kind: the list of files that it has read, and its tokenizer."""
CHECKPOINT_SUFFIXES = (".safetensors", ".json")
POWER = "sys_power.jsonl"
"""The one file of events that lineage does not need, and that so may be in it and no longer in the log."""

_log = structlog.get_logger()


def _first_cell(line: str) -> int:
    """The step of a CSV row, 0 for the columns' names."""
    return 0 if line.startswith("step") else int(line.partition(",")[0])


STEP_FILES: dict[str, Callable[[str], int]] = {
    CURVE: _first_cell,
    HELDOUT: _first_cell,
    "tinygrad.jsonl": lambda line: int(msgspec.json.decode(line)["step"]),
}
"""Files of which a line is of one step, and how that is read off it."""


class RunFiles:
    """Writes the files of one run into `artifacts/runs/<run>/`, beginning anew. Close it when the run's events are over.

    `has_lost` says whether the log may have lost events of the run that a file, by its name, is made of.
    """

    def __init__(self, artifacts: Path, event: Event[train.RunStarted], has_lost: Callable[[str], bool]) -> None:
        if event.run is None:
            raise ValueError(f"{event.id} starts a run without a name")
        self.folder = artifacts / "runs" / event.run
        (self.folder / "checkpoints").mkdir(parents=True, exist_ok=True)
        for link in (self.folder / "checkpoints").iterdir():
            link.unlink()
        self.summary = begin(event.run, event)
        self._has_lost = has_lost
        self._files = {name: self._new(name).open("w+", newline="") for name in (*STEP_FILES, POWER)}
        self._shown = False
        self._summarised = 0
        self._files[CURVE].write(",".join(CURVE_COLUMNS) + "\n")
        self._files[HELDOUT].write(",".join(HELDOUT_COLUMNS) + "\n")

    @property
    def run(self) -> str:
        return self.summary.run

    @property
    def names(self) -> list[str]:
        """The files of this run, relative to its folder."""
        return ["run.json", *self._files, *(f"checkpoints/{link.name}" for link in sorted((self.folder / "checkpoints").iterdir()))]

    def add(self, event: Event[Any]) -> None:  # Any: one of the topics that `projections.TOPICS` lists
        """Take one event of this run, or a power reading within its times."""
        match event.data:
            case train.Step():
                self._add_step(event.data)
            case power.Sample() if self.summary.outcome != "suspended":
                _write_line(self._files[POWER], {"time": event.time, **msgspec.to_builtins(event.data)})
            case train.Eval():
                self._files[HELDOUT].write(_row(event.data, HELDOUT_COLUMNS))
                self.summary.heldout_loss = event.data.loss
            case train.Checkpoint():
                self._add_checkpoint(event.data)
            case system.Removed():
                self._drop_checkpoint(event.data)
            case system.Artifact(kind=kind) if kind in FACTS:
                _link(self.folder / FACTS[kind], event.data.path)
            case _:
                self._turn(event)

    def _turn(self, event: Event[Any]) -> None:  # Any: how a run ends, or goes on
        match event.data:
            case train.RunCompleted():
                self._complete(event.time, event.data)
            case train.RunFailed():
                self._end("failed", event.time, f"{event.data.error}: {event.data.message}")
            case train.RunSuspended():
                self._end("suspended", event.time, None)
            case train.RunResumed():
                self._rewind(event.data)

    def flush(self) -> None:
        """Let readers see what was added. The first time, the files take the place of earlier ones, which nobody sees half made again."""
        for file in self._files.values():
            file.flush()
        first = not self._shown
        if first:
            self._show()
        if first or self.summary.steps - self._summarised >= SUMMARY_STEPS:
            self._write_summary()

    def interrupt(self) -> None:
        """Another run began, and this one never said how it ended."""
        if self.summary.ended is None:
            self.summary.outcome = "interrupted"
        self.close()

    def close(self) -> None:
        self.flush()
        self._write_summary()
        for file in self._files.values():
            file.close()

    def _show(self) -> None:
        for name in self._files:
            if (self.folder / name).exists() and self._has_lost(name):
                self._go_on(name)
            else:
                self._new(name).replace(self.folder / name)
        self._shown = True

    def _go_on(self, name: str) -> None:
        """Keep what an earlier file has, and add what the log has behind that."""
        _log.warning("the log has lost events of this run: the file keeps what it has of them", run=self.run, file=name)
        self._files[name].close()
        with (self.folder / name).open("a+b") as earlier, self._new(name).open("rb") as made:
            made.seek(_end_of(made, _whole_lines(earlier)))
            following = made.readline()
            if following and name in STEP_FILES:  # the run went on from an earlier step meanwhile
                earlier.truncate(_end_before(earlier, STEP_FILES[name], STEP_FILES[name](following.decode())))
            earlier.write(following)
            shutil.copyfileobj(made, earlier)
        self._new(name).unlink()
        self._files[name] = (self.folder / name).open("a+", newline="")

    def _new(self, name: str) -> Path:
        return self.folder / f".{name}.new"

    def _add_step(self, step: train.Step) -> None:
        self._files[CURVE].write(_row(step, CURVE_COLUMNS))
        line = {
            "step": step.step,
            "step_ms": step.seconds * 1e3,
            "tokens_s": step.tokens_per_second,
            "loss": step.loss,
            "joules": step.joules,
            "energy_source": step.energy_source,
        }
        _write_line(self._files["tinygrad.jsonl"], line)
        self.summary.steps, self.summary.loss = step.step, step.loss
        self.summary.tokens = step.tokens_seen or self.summary.tokens + step.tokens  # an older trainer said only those of the step
        self.summary.energy.add(step)

    def _rewind(self, resumed: train.RunResumed) -> None:
        """The run goes on, and says again what it said of later steps."""
        for name, step_of in STEP_FILES.items():
            _cut(self._files[name], step_of, resumed.step)
        for entry in self.summary.rewind(resumed):
            for suffix in CHECKPOINT_SUFFIXES:
                self._link_to(entry.step, suffix).unlink(missing_ok=True)
        self._write_summary()

    def _add_checkpoint(self, checkpoint: train.Checkpoint) -> None:
        for path, suffix in zip((checkpoint.path, checkpoint.meta_path), CHECKPOINT_SUFFIXES, strict=True):
            _link(self._link_to(checkpoint.step, suffix), Path("..", path))
        entry = CheckpointEntry(
            step=checkpoint.step,
            hash=checkpoint.hash,
            meta_hash=checkpoint.meta_hash,
            path=checkpoint.path,
            loss=checkpoint.loss,
            heldout_loss=checkpoint.heldout_loss,
        )
        self.summary.add_checkpoint(entry)
        self._write_summary()

    def _drop_checkpoint(self, removed: system.Removed) -> None:
        for entry in self.summary.checkpoints:
            if entry.hash == removed.hash and removed.path in (None, entry.path):
                entry.kept = False
                self._link_to(entry.step, CHECKPOINT_SUFFIXES[0]).unlink(missing_ok=True)

    def _link_to(self, step: int, suffix: str) -> Path:
        return self.folder / "checkpoints" / f"step-{step:06d}{suffix}"

    def _complete(self, time: int, completed: train.RunCompleted) -> None:
        self.summary.steps, self.summary.loss, self.summary.tokens = completed.steps, completed.loss, completed.tokens
        self.summary.heldout_loss = completed.heldout_loss
        self.summary.seconds, self.summary.reason = completed.seconds, completed.reason
        self._end(completed.outcome, time, None)

    def _end(self, outcome: str, time: int, error: str | None) -> None:
        self.summary.outcome, self.summary.ended, self.summary.error = outcome, time, error
        self._write_summary()

    def _write_summary(self) -> None:
        """Whole or not at all: a reader never sees half a run.json, nor one that is still being made again."""
        if not self._shown:
            return
        self._summarised = self.summary.steps
        temporary = self._new("run.json")
        temporary.write_bytes(msgspec.json.format(msgspec.json.encode(self.summary), indent=2) + b"\n")
        temporary.replace(self.folder / "run.json")


def _link(link: Path, path: str | Path) -> None:
    """A link in a run's folder to a file of the store; `path` is relative to `artifacts/`."""
    link.unlink(missing_ok=True)
    link.symlink_to(Path("../..", path))


def _cut(file: TextIO, step_of: Callable[[str], int], last: int) -> None:
    """Take away the lines of steps after `last`."""
    file.flush()
    file.seek(_end_before(file.buffer, step_of, last + 1))
    file.truncate()


def _row(data: Struct, columns: Sequence[str]) -> str:
    return ",".join(repr(getattr(data, column)) for column in columns) + "\n"


def _write_line(file: TextIO, value: dict[str, Any]) -> None:  # Any: what JSON holds
    file.write(msgspec.json.encode(value).decode() + "\n")


def _whole_lines(file: BinaryIO) -> set[int]:
    """The hashes of a file's lines, of which a last one is cut that a kill left half written."""
    file.seek(0)
    end, lines = 0, set()
    for line in file:
        if line.endswith(b"\n"):
            end += len(line)
            lines.add(hash(line))
    file.truncate(end)
    return lines


def _end_before(file: BinaryIO, step_of: Callable[[str], int], step: int) -> int:
    """The offset behind the last line of an earlier step."""
    file.seek(0)
    end = 0
    for line in file:
        if step_of(line.decode()) >= step:
            break
        end += len(line)
    return end


def _end_of(file: BinaryIO, lines: set[int]) -> int:
    """The offset behind the last line that is one of these; 0 in a file that has none of them."""
    at = end = 0
    for line in file:
        at += len(line)
        end = at if hash(line) in lines else end
    return end
