"""The thread that has one export after the other made, and says on the bus what comes of each."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import structlog

from agents.exporter.child import ExportCrashed, run_job
from agents.exporter.messages import MESSAGE, Begun, Broken, Finished, Leaving, Order, Step
from agents.exporter.names import MODEL, mark_told
from agents.exporter.plan import Plan
from agents.exporter.queue import Queue
from bus.agent import Publish
from bus.errors import BusError
from bus.lifecycle import AgentState
from bus.topic import Topic
from schemas import export
from schemas.system import ARTIFACT, REMOVED, Removed

T = TypeVar("T")

FORESEEN = (ExportCrashed, BusError)
"""What says all in a sentence."""
FLUSH_TIMEOUT = 5.0

_log = structlog.get_logger()


@dataclass(slots=True)
class Worker:
    """Owns the exporting thread, from which `publish`, `flush` and `set_state` are called."""

    artifacts: Path
    publish: Publish
    flush: Callable[[float], None]
    set_state: Callable[[AgentState, str | None], None]
    queue: Queue = field(default_factory=Queue)
    present: Plan | None = None
    step: Step | None = None
    newest: str | None = None  # the folder that was put in place last
    _cancelled: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def open(self) -> None:
        """Start the thread."""
        self._thread = threading.Thread(target=self._work, name="exporting", daemon=True)
        self._thread.start()

    def cancel(self) -> None:
        """End the export in progress and the thread. What it has written goes with the next export."""
        self._cancelled.set()
        self.queue.close()

    def join(self, patience: float) -> None:
        """Wait for the thread to say how its export ended."""
        if self._thread is not None:
            self._thread.join(patience)

    def ask(self, plan: Plan) -> None:
        """Export this next; what waited until now is not made, and says so."""
        if (replaced := self.queue.put(plan)) is not None and replaced != plan:
            _log.warning("an export that waited is not made", export=replaced.name, instead=plan.name)
            self._say(replaced, export.FAILED, _failed(replaced, "Replaced", f"{plan.name} came before this one began"))

    def status(self) -> export.Status:
        present, waiting, step = self.present, self.queue.waiting, self.step
        return export.Status(
            state="idle" if present is None else "exporting",
            export=present.name if present else None,
            stage=step.stage if step else None,
            done=step.done if step else 0,
            total=step.total if step else 0,
            waiting=waiting.name if waiting else None,
            newest=self.newest,
        )

    def _work(self) -> None:
        while (plan := self.queue.next()) is not None:
            self.present, self.step = plan, None
            self.set_state("running", f"exporting {plan.name}")
            state, reason = self._attempt(plan)
            self.present = self.step = None
            if not self.queue.closed:
                self.set_state(state, reason)

    def _attempt(self, plan: Plan) -> tuple[AgentState, str]:
        """Have one export made, whatever comes of it. Returns how the agent is afterwards."""
        try:
            return self._make(plan)
        except Exception as error:  # as a run of training: whatever ends an export is an event, and the agent goes on
            _log.error("the export ends early", export=plan.name, exc_info=None if isinstance(error, FORESEEN) else error)
            try:
                return self._fail(plan, type(error).__name__, str(error))
            except Exception as trouble:  # the thread goes on whatever it is
                _log.error("the failure could not be said", export=plan.name, reason=str(trouble))
                return "degraded", f"{plan.name} failed: {error}"

    def _make(self, plan: Plan) -> tuple[AgentState, str]:
        began = time.monotonic()
        for message in run_job(_order(plan, self.artifacts), self._cancelled):
            match message:
                case Finished():
                    return self.finish(plan, message, time.monotonic() - began)
                case Broken():
                    return self._fail(plan, message.error, message.message)
                case Begun():
                    self._say(plan, export.STARTED, message.started)
                case Step():
                    self.step = message
                    self._say(plan, export.PROGRESS, _progress(plan, message))
        return self._fail(plan, "Interrupted", "the agent ended")

    def finish(self, plan: Plan, done: Finished, seconds: float) -> tuple[AgentState, str]:
        """Say what came of an export that took so many seconds. Returns how the agent is afterwards."""
        for file in done.files:
            self._say(plan, ARTIFACT, file)
        if done.parity is not None:
            self._say(plan, export.PARITY, done.parity)
            if not done.parity.passed:
                return self._fail(plan, "ParityFailed", _differences(done.parity), done.folder)
        self._say(plan, export.COMPLETED, _completed(plan, done, seconds))
        self.newest = done.folder
        self._settle(plan, done)
        return "done", f"{done.folder}: {_verdict(done)}"

    def _settle(self, plan: Plan, done: Finished) -> None:
        """Note that the log knows of the export, and let go what it replaces. What cannot be done now is done after the next export."""
        try:
            self.flush(FLUSH_TIMEOUT)
            mark_told(self.artifacts, done.folder)
            for each in done.leaving:
                self._let_go(plan, each)
        except (BusError, OSError, ValueError) as error:
            _log.warning("an export is in place, and earlier ones are not removed yet", export=plan.name, reason=str(error))

    def _let_go(self, plan: Plan, leaving: Leaving) -> None:
        """Remove an earlier export, once the log says so. Raises BusError, OSError, BadExport."""
        from agents.exporter.placing import Models  # with the library onnx, which nothing else of the agent needs

        for file in leaving.files:
            self._say(plan, REMOVED, Removed(hash=file.hash, kind=file.kind, path=file.path, reason="newer exports took its place"))
        self.flush(FLUSH_TIMEOUT)
        Models(self.artifacts).remove(leaving.folder)

    def _fail(self, plan: Plan, error: str, message: str, kept: str | None = None) -> tuple[AgentState, str]:
        self._say(plan, export.FAILED, _failed(plan, error, message, kept))
        return "degraded", f"{plan.name} failed: {error}: {message}"

    def _say(self, plan: Plan, topic: Topic[T], data: T) -> None:
        self.publish(topic, data, run=plan.run)


def _order(plan: Plan, artifacts: Path) -> Order:
    request = plan.request
    return Order(
        export=plan.name,
        artifacts=str(artifacts),
        meta=plan.meta_hash,
        precision=request.precision,
        block=request.block,
        symmetric=request.symmetric,
    )


def _progress(plan: Plan, step: Step) -> export.Progress:
    return export.Progress(export=plan.name, stage=step.stage, done=step.done, total=step.total, what=step.what)


def _completed(plan: Plan, done: Finished, seconds: float) -> export.Completed:
    content = plan.meta.content
    return export.Completed(
        export=plan.name,
        recipe=content.recipe.name,
        checkpoint=plan.meta.weights,
        step=content.step,
        precision=plan.request.precision,
        folder=done.folder,
        model=f"{done.folder}/{MODEL}",
        bytes=done.bytes,
        seconds=seconds,
        peak_memory=done.peak_memory,
        parity=next((file.hash for file in done.files if file.kind == "parity"), None),
        reason=done.reason,
    )


def _failed(plan: Plan, error: str, message: str, kept: str | None = None) -> export.Failed:
    return export.Failed(
        export=plan.name,
        recipe=plan.meta.content.recipe.name,
        checkpoint=plan.meta.weights,
        precision=plan.request.precision,
        error=error,
        message=message[:MESSAGE],
        kept=kept,
    )


def _verdict(done: Finished) -> str:
    """How well a finished export is proved, in words."""
    if done.parity is None:
        return f"not compared: {done.reason}"
    ran = [each for each in done.parity.agreements if each.reason is None]
    return f"the same model in {len(ran)} of {len(done.parity.agreements)} programs, see artifacts/train/parity.json"


def _differences(parity: export.Parity) -> str:
    """What of a model is not the same everywhere."""
    failed = (_difference(gate) for gate in parity.gates if not gate.passed)
    return f"{'; '.join(failed) or 'no backend ran'}: the files lie aside"


def _difference(gate: export.Gate) -> str:
    worst = "no number" if gate.worst is None else f"{gate.worst:.6g}"
    return f"{gate.measure} of {gate.backend} is {worst}, and may be {gate.limit:g}"
