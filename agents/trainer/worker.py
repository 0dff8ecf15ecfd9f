"""The thread that trains: it takes runs, and requests for text in between, off the event loop."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec
import structlog

from agents.parts.checkpoint import BadCheckpoint
from agents.parts.compiler import NoDevice, open_device
from agents.parts.recipes import Recipe
from agents.trainer.controls import CheckOrder, Controls, SampleOrder
from agents.trainer.data.corpus import BadData
from agents.trainer.data.renderings import RenderingFailed
from agents.trainer.energy import EnergyMeter
from agents.trainer.errors import CrashLoop, DataChanged, Diverged, Interrupted
from agents.trainer.journal import Journal
from agents.trainer.plan import Plan, Settings
from agents.trainer.report import Report
from agents.trainer.shelf import Shelf
from bus.agent import Publish
from bus.errors import BusError, CommandRefused
from bus.lifecycle import AgentState
from schemas import train

if TYPE_CHECKING:
    from agents.trainer.loop import Run

FORESEEN = (BadCheckpoint, BadData, CommandRefused, CrashLoop, DataChanged, Diverged, NoDevice, RenderingFailed)
"""What says all in a sentence: where in our code it was found helps nobody."""
_MESSAGE = 2000
"""Characters of an error's message that are published."""

_log = structlog.get_logger()


@dataclass(slots=True)
class Worker:
    """Owns the training thread; `publish` and `set_state` are called from it. Prepared data is kept in the folder `cache`."""

    artifacts: Path
    cache: Path
    publish: Publish
    flush: Callable[[float], None]
    set_state: Callable[[AgentState, str | None], None]
    controls: Controls = field(default_factory=Controls)
    energy: EnergyMeter = field(default_factory=EnergyMeter)
    checking: bool = False  # recipes, which no run may disturb
    _state: Literal["idle", "busy", "done", "failed"] = "idle"
    _reason: str | None = None
    _plan: Plan | None = None
    _journal: Journal | None = None
    _report: Report | None = None
    _shelf: Shelf | None = None
    _run: Run | None = None  # the one whose weights are in memory
    _thread: threading.Thread | None = None

    def open(self) -> None:
        """Start the thread. It dies with the process: compiling cannot be interrupted, and nothing may wait for it."""
        self._thread = threading.Thread(target=self._work, name="training", daemon=True)
        self._thread.start()

    def close(self, patience: float) -> None:
        """Suspend the run after its present step; if that takes more than `patience` seconds, as of its last checkpoint."""
        self.controls.close()
        if self._thread is None:
            return
        self._thread.join(patience)
        if self._thread.is_alive() and self._report is not None and self._shelf is not None:
            self._suspend(self._report, self._shelf)

    def start(self, plan: Plan, journal: Journal | None = None) -> None:
        """Begin a run, or go on with the one of `journal`; none may be in progress."""
        self._plan, self._state, self._reason, self._journal = plan, "busy", None, journal
        self.controls.start(plan)

    def check(self, recipes: tuple[Recipe, ...], settings: Settings) -> None:
        """Begin to check recipes; no run may be in progress."""
        self.checking = True
        self.controls.check(CheckOrder(recipes, settings))

    @property
    def busy(self) -> bool:
        """Whether a run is in progress, be it paused or about to stop."""
        return self._state == "busy"

    @property
    def has_weights(self) -> bool:
        """Whether there are trained weights to sample from."""
        return self._run is not None and self._run.step > 0

    @property
    def run(self) -> str | None:
        """The run in progress, else the last one."""
        return self._plan.run if self._plan else None

    def status(self) -> train.Status:
        """Where the run in progress stands, else how the last one ended."""
        if self._plan is None:
            return train.Status(state="idle")
        steps, run = self._plan.hyper.steps, self._run
        if run is None or run.plan is not self._plan:
            return train.Status(state=self._present_state(), run=self._plan.run, steps=steps, reason=self._reason)
        return train.Status(
            state=self._present_state(),
            run=self._plan.run,
            step=run.step,
            steps=steps,
            loss=run.loss,
            tokens_per_second=run.tokens_per_second,
            remaining_seconds=run.remaining_seconds if self.busy else None,
            device=run.device,
            reason=self._reason,
        )

    def _present_state(self) -> train.State:
        if self._state != "busy":
            return self._state
        if self.controls.stopping:
            return "stopping"
        if self.controls.paused:
            return "paused"
        return "training" if self.has_weights else "preparing"

    def _work(self) -> None:
        while (order := self.controls.next_order()) is not None:
            if isinstance(order, SampleOrder):
                self._serve(order)
            elif isinstance(order, CheckOrder):
                self._check(order)
            else:
                self._train(order)

    def _serve(self, order: SampleOrder) -> None:
        if self._run is not None:
            self._run.serve(order)
        elif order.result.set_running_or_notify_cancel():
            order.result.set_exception(CommandRefused("no_weights", "the run that had weights is over, and its successor failed early"))

    def _check(self, order: CheckOrder) -> None:
        try:
            device = open_device()
            from agents.trainer.checks import check_recipe  # as in _prepared

            for recipe in order.recipes:
                if not self.controls.closed:
                    checked = check_recipe(recipe, device, self.cache, order.settings)
                    self.publish(train.RECIPE_CHECKED, checked)
                    _log.info(f"{recipe.name}: {checked.reason or f'a step, with compiling, takes {checked.seconds or 0.0:.1f} s'}")
            state: AgentState = "done"
            reason = f"{len(order.recipes)} recipes checked: artifacts/train/recipe_results.json"
        except Exception as error:  # as in _train
            _log.error("the recipes could not be checked", exc_info=error)
            state = "unavailable" if isinstance(error, NoDevice) else "degraded"
            reason = f"the recipes could not be checked: {type(error).__name__}: {error}"[:_MESSAGE]
        if not self.controls.closed:
            self.set_state(state, reason)
        self.checking = False

    def _train(self, plan: Plan) -> None:
        self._report, self._run = Report(plan.run, self.publish, self.flush), None
        self._shelf = Shelf(self.artifacts, self._report, plan.keep_checkpoints)
        try:
            if self._journal is not None:
                self._shelf.reopen(self._journal)
            self._run = self._prepared(plan, self._shelf, self._report)
            self._run.execute()
            early = "" if self._run.step == plan.hyper.steps else ", and no more"
            self._finish("done", "done", f"{plan.run}: {self._run.step} of {plan.hyper.steps} steps{early}")
        except Interrupted as interruption:
            self._end_early(self._report, self._shelf, interruption)
            self._finish("done", "done", f"{plan.run}: {interruption}")
        except Exception as error:  # whatever ends a run is an event, and the agent goes on
            _log.error("the run ends early", run=plan.run, exc_info=None if isinstance(error, FORESEEN) else error)
            reason = f"{plan.run} {self._report_failure(self._report, self._shelf, error)}: {type(error).__name__}: {error}"[:_MESSAGE]
            self._finish("failed", "unavailable" if isinstance(error, NoDevice) else "degraded", reason)

    def _prepared(self, plan: Plan, shelf: Shelf, report: Report) -> Run:
        device = open_device()
        from agents.trainer.devices import precision_for  # tinygrad takes a second to import: not for who only asks for the status
        from agents.trainer.loop import Run

        settled = msgspec.structs.replace(plan.hyper, precision=precision_for(device, plan.hyper.precision))
        self._plan = dataclasses.replace(plan, hyper=settled)
        return Run(self._plan, device, self.controls, self.energy, shelf, self.cache, report, self._journal)

    def _report_failure(self, report: Report, shelf: Shelf, error: Exception) -> str:
        """Say what ended the run, and return it in words. What keeps a resumed run from its first step does not end it."""
        message = str(error)[:_MESSAGE]
        hindered = self._journal is not None and not (self._run and self._run.took_a_step) and not isinstance(error, CrashLoop)
        try:
            if hindered:
                self._suspend(report, shelf, f"{type(error).__name__}: {message}")
            else:
                step, good = self._run.step if self._run else 0, shelf.newest.weights if shelf.newest else None
                report.end(train.RUN_FAILED, train.RunFailed(step=step, error=type(error).__name__, message=message, checkpoint=good))
                shelf.end()
        except (BusError, OSError) as trouble:
            _log.error("the failure could not be said or kept", run=report.run, reason=str(trouble))
        return "does not go on" if hindered else "failed"

    def _end_early(self, report: Report, shelf: Shelf, interruption: Interrupted) -> None:
        """End a run that was told to before this life of it took a step."""
        if self.controls.closed:
            self._suspend(report, shelf)
        elif self._journal is not None:
            report.end(train.RUN_COMPLETED, _stopped(self._journal))
            shelf.end()
        else:
            report.end(train.RUN_FAILED, train.RunFailed(step=0, error="Interrupted", message=str(interruption)))

    def _suspend(self, report: Report, shelf: Shelf, reason: str | None = None) -> None:
        """Leave the run as its journal has it; one without a journal never began."""
        if shelf.is_open:
            report.end(train.RUN_SUSPENDED, train.RunSuspended(step=shelf.resumes_at, reason=reason))
        else:
            report.silence()
        shelf.suspend()

    def _finish(self, state: Literal["done", "failed"], agent_state: AgentState, reason: str) -> None:
        if not self.controls.closed:
            self.set_state(agent_state, reason)
        self._state, self._reason = state, reason  # last: from now on another run may start, and say how that is


def _stopped(journal: Journal) -> train.RunCompleted:
    """The end of a run that was stopped while it was about to go on."""
    newest = journal.checkpoints[-1] if journal.checkpoints else None
    steps = newest.step if newest else 0
    return train.RunCompleted(
        outcome="stopped",
        steps=steps,
        loss=None,
        heldout_loss=newest.heldout_loss if newest else None,
        tokens=steps * journal.plan.hyper.tokens_per_step,
        seconds=journal.seconds,
        checkpoint=newest.weights if newest else None,
    )
