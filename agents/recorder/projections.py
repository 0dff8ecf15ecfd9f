"""Turns recorded events into the files of runs, live as the log grows and again from the log on command."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import structlog

from agents.parts.links import point
from agents.recorder.audit import audit
from agents.recorder.beside import Beside
from agents.recorder.bridge import bridge
from agents.recorder.drawing import draw
from agents.recorder.entries import by_name, event_of
from agents.recorder.expired import has_expired
from agents.recorder.exports import TOPICS as EXPORTED
from agents.recorder.exports import Exports
from agents.recorder.recipe_results import TOPIC as RECIPE_CHECKED
from agents.recorder.recipe_results import RecipeResults
from agents.recorder.run_files import CURVE, HELDOUT, PICTURE, POWER, RunFiles
from agents.recorder.xr import overlay
from bus.event import Event
from bus.log.errors import DamagedSegment
from bus.log.log import Log
from bus.log.reader import OnDamage, read_folder
from bus.log.records import Entry
from schemas import power, system, train

TOPICS = by_name(
    train.RUN_STARTED,
    train.STEP,
    train.EVAL,
    train.CHECKPOINT,
    train.RUN_COMPLETED,
    train.RUN_FAILED,
    train.RUN_SUSPENDED,
    train.RUN_RESUMED,
    system.ARTIFACT,
    system.REMOVED,
    power.SAMPLE,
)
"""What run files are made of."""
LINKS = {
    "train/run.json": "run.json",
    "train/loss_curve.csv": CURVE,
    "train/loss_curve.png": PICTURE,
    "train/heldout_loss.csv": HELDOUT,
    "train/sys_power.jsonl": POWER,
    "train/checkpoints": "checkpoints",
    "metrics/tinygrad.jsonl": "tinygrad.jsonl",
}
"""Fixed paths below `artifacts/`, as symlinks to the newest run's files."""
PAUSE = 0.5
"""Seconds between two looks at the log, where no commit says that it has grown."""

RETRY_SECONDS = 5.0
"""Between two attempts to write run files."""
CLOSE_TIMEOUT = 2.0

_log = structlog.get_logger()


class Projection:
    """Feeds events in log order to the files of the run that they belong to. With `only`, other runs are left alone.

    `finished` collects the runs that ended, `undrawn` the folders whose loss curve is to be drawn: at a checkpoint, and at a run's end.
    `newest` is the run that began last. Whoever reads the log for it sets `is_damaged` where that was damaged since.
    """

    def __init__(self, artifacts: Path, only: str | None = None) -> None:
        self.finished: list[RunFiles] = []
        self.undrawn: set[Path] = set()
        self.newest: str | None = None
        self.is_damaged = False
        self._artifacts = artifacts
        self._only = only
        self._open: RunFiles | None = None
        self._begun = self._reached = 0  # log times of the open run's beginning, and of the last event

    @property
    def topics(self) -> list[str]:
        """What the next event may be of: while no run is open, only the beginning of one matters."""
        return [train.RUN_STARTED.name] if self._open is None else list(TOPICS)

    def add(self, entry: Entry) -> None:
        """Take one recorded event. What is not of these schemas, and what is a replay, belongs to no run."""
        event = event_of(entry, TOPICS)
        if event is None or (event.run is None and not isinstance(event.data, power.Sample)):
            return
        self._reached = entry.log_time
        if isinstance(event.data, train.RunStarted):
            self._begin(event)
        elif self._open is not None:
            self._add(self._open, event)

    def flush(self) -> None:
        """Let readers see what was added."""
        if self._open is not None:
            self._open.flush()

    def close(self) -> None:
        """No more events: a run that is still open says so in its run.json."""
        if self._open is not None:
            self._open.close()
            self._open = None

    def _begin(self, event: Event[train.RunStarted]) -> None:
        if self._open is not None:
            self._open.interrupt()
            self.undrawn.add(self._open.folder)
            self._open = None
        self.newest = event.run
        self._begun = self._reached
        self.is_damaged = False
        if self._only in (None, event.run):
            self._open = RunFiles(self._artifacts, event, self._has_lost)

    def _has_lost(self, name: str) -> bool:
        expires = name == POWER and has_expired(self._artifacts / "log", power.SAMPLE.name, self._begun, self._reached)
        return self.is_damaged or expires

    def _add(self, files: RunFiles, event: Event[Any]) -> None:  # Any: one of TOPICS
        if isinstance(event.data, power.Sample) or event.run == files.run:
            files.add(event)
        if isinstance(event.data, train.Checkpoint | train.RunCompleted | train.RunFailed) and event.run == files.run:
            self.undrawn.add(files.folder)
        if isinstance(event.data, train.RunCompleted | train.RunFailed) and event.run == files.run:
            files.close()
            self.finished.append(files)
            self._open = None


def say_damage(damage: DamagedSegment) -> None:
    _log.error("the log is damaged: run files are made of what can be read", reason=str(damage))


def say_unwritten(error: Exception | None) -> None:
    if error is not None:
        _log.error("files that belong to no run are not written", reason=str(error))


class Projector:
    """Keeps the newest run's files up with the log, on a thread of its own.

    `on_finished` is called with each run whose files are complete, `on_curve` with each folder whose loss curve is to be drawn, `on_error`
    with what keeps files from being written, and with None when they are again, `on_damage` each time that a damaged place of the log
    is met: they are made of what lies around it. `on_audit`, `on_bridge` and `on_xr` are as `on_error`, of the Petals peer's audit, of the
    bridge's files and of those of poses alone.
    """

    def __init__(
        self,
        artifacts: Path,
        log: Log,
        on_finished: Callable[[RunFiles], None],
        on_curve: Callable[[Path], None],
        on_error: Callable[[Exception | None], None],
        on_damage: OnDamage = say_damage,
        on_audit: Callable[[Exception | None], None] = say_unwritten,
        on_bridge: Callable[[Exception | None], None] = say_unwritten,
        on_xr: Callable[[Exception | None], None] = say_unwritten,
    ) -> None:
        self._artifacts = artifacts
        self._log = log
        self._on_finished = on_finished
        self._on_curve = on_curve
        self._on_error = on_error
        self._on_damage = on_damage
        self._projection = Projection(artifacts)
        self._recipes = RecipeResults(artifacts)
        self._exports = Exports(artifacts)
        self._beside = (Beside([audit(artifacts)], on_audit), Beside(bridge(artifacts), on_bridge), Beside(overlay(artifacts), on_xr))
        self._cursor = 0
        self._failed = False
        self._lock = threading.Lock()
        self._grown = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="projector", daemon=True)
        self._thread.start()

    def grown(self) -> None:
        """The log has more committed events."""
        self._grown.set()

    def again(self, run: str | None) -> list[Path]:
        """Make files again from the log, then go on with the newest run. Returns the folders. Raises CorruptLog, LookupError."""
        with self._lock:
            self._projection.close()
            try:
                return project(self._artifacts, run)
            finally:
                self._projection, self._cursor = Projection(self._artifacts), self._newest_start()
                for files in self._beside:
                    files.look_again()

    def close(self) -> None:
        """Catch up with the log, and end."""
        self._stopping.set()
        self._grown.set()
        self._thread.join(CLOSE_TIMEOUT)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._follow()
            except Exception as error:  # a full disk, a damaged log: the files are made anew when it is mended
                if not self._failed:
                    self._on_error(error)
                self._failed = True
                self._stopping.wait(RETRY_SECONDS)

    def _follow(self) -> None:
        """Make the newest run's files again, then keep them up with the log until the end."""
        with self._lock:
            self._projection, self._cursor = Projection(self._artifacts), self._newest_start()
        self._catch_up()
        self._failed = False
        self._on_error(None)
        while not self._stopping.is_set():
            self._grown.wait(PAUSE)
            self._grown.clear()
            self._catch_up()
        self._catch_up()
        self._projection.close()
        for files in self._beside:
            files.close()

    def _newest_start(self) -> int:
        """The log time just before the newest run began: its files are made again from there.

        The log's end is read first: a run that begins while the newest one is looked for, which may take seconds, lies behind it.
        """
        end = self._log.end
        newest = self._log.last(train.RUN_STARTED.name, self._on_damage)
        return end if newest is None else newest.log_time - 1

    def _catch_up(self) -> None:
        with self._lock:
            end = self._log.end
            while self._cursor < end:
                self._cursor = self._advance(end)
            self._projection.flush()
            self._recipes.catch_up(self._log, self._on_damage)
            self._exports.catch_up(self._log, end, self._on_damage)
            finished, self._projection.finished = self._projection.finished, []
            undrawn, self._projection.undrawn = self._projection.undrawn, set()
            for files in self._beside:
                files.follow(self._log, end, self._on_damage)
        for folder in undrawn:
            self._on_curve(folder)
        for run in finished:
            self._on_finished(run)

    def _advance(self, end: int) -> int:
        """Project up to `end`, or to where a run begins or ends and other topics count. Returns the log time reached."""
        topics = self._projection.topics
        if not self._has_news(topics):
            return end
        for entry in self._log.read(topics=topics, after=self._cursor, until=end, on_damage=self._met_damage):
            newest = self._projection.newest
            self._projection.add(entry)
            if self._projection.newest != newest and self._projection.newest is not None:
                link_newest(self._artifacts, self._projection.newest)
            if self._projection.topics != topics:
                return entry.log_time
        return end

    def _met_damage(self, damage: DamagedSegment) -> None:
        self._projection.is_damaged = True
        self._on_damage(damage)

    def _has_news(self, topics: list[str]) -> bool:
        """Whether anything of these topics lies behind the cursor: what fills the log under load is seldom of a run."""
        return any((newest := self._log.last(topic, self._on_damage)) is not None and newest.log_time > self._cursor for topic in topics)


def project(artifacts: Path, run: str | None = None) -> list[Path]:
    """Make the files of `run`, or of every run, again from the log. Returns their folders. Raises CorruptLog, LookupError."""
    projection = Projection(artifacts, run)
    folders: dict[str, Path] = {}

    def met_damage(damage: DamagedSegment) -> None:
        projection.is_damaged = True
        say_damage(damage)

    for entry in read_folder(artifacts / "log", topics=list(TOPICS), on_damage=met_damage):
        projection.add(entry)
        if projection.newest is not None and run in (None, projection.newest):
            folders[projection.newest] = artifacts / "runs" / projection.newest
    projection.close()
    RecipeResults(artifacts).add(read_folder(artifacts / "log", topics=[RECIPE_CHECKED.name], on_damage=say_damage))
    Exports(artifacts, run).add(read_folder(artifacts / "log", topics=list(EXPORTED), on_damage=say_damage))
    if run is None:
        _project_beside(artifacts)
    if run is not None and run not in folders:
        raise LookupError(f"the log has no run {run!r}: bus log cat --topic train.run.started lists them")
    if projection.newest is not None and (artifacts / "runs" / projection.newest).is_dir():
        link_newest(artifacts, projection.newest)
    if folders:
        draw(artifacts, list(folders.values()))
    return list(folders.values())


def _project_beside(artifacts: Path) -> None:
    """Make the files that belong to no run again."""
    for files in (audit(artifacts), *bridge(artifacts), *overlay(artifacts)):
        files.make_again(read_folder(artifacts / "log", topics=list(files.topics), on_damage=say_damage))


def link_newest(artifacts: Path, run: str) -> None:
    """Point the fixed paths at this run's files."""
    for fixed, name in LINKS.items():
        point(artifacts / fixed, Path("..", "runs", run, name))
