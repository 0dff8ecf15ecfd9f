"""The exporter: the last checkpoint of each run, and any on command, becomes an ONNX model and a Hugging Face folder, with its parity."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path

from msgspec import Struct

from agents.exporter.names import is_in_place
from agents.exporter.plan import make_plan
from agents.exporter.speaker import Speaker
from agents.exporter.worker import Worker
from bus.agent import Agent, Bus, answers, every, on
from bus.errors import CommandRefused
from bus.event import Event
from bus.store import Store
from bus.topic import Nothing
from schemas import export, train
from schemas.system import ARTIFACT, REMOVED

STOP_PATIENCE = 0.8
"""Seconds that the agent waits for the process that exports to end."""


class ExporterSettings(Struct, frozen=True, kw_only=True):
    """`automatic`: export the last checkpoint of each run, in `precision`."""

    automatic: bool = True
    precision: export.Precision = "float32"


class Exporter(Agent):
    """Makes models of checkpoints, proves that they are the same models, and writes text with them."""

    nice = 10
    publishes = (
        export.STARTED,
        export.PROGRESS,
        export.PARITY,
        export.COMPLETED,
        export.FAILED,
        export.TEXT,
        ARTIFACT,
        REMOVED,
    )
    Settings = ExporterSettings
    settings: ExporterSettings

    def __init__(self, bus: Bus, settings: ExporterSettings, artifacts: Path) -> None:
        super().__init__(bus, settings, artifacts)
        self.store = Store(artifacts)
        self.worker = Worker(artifacts, self.publish, bus.flush, self.set_state)
        self.speaker = Speaker(artifacts, self.publish)
        self.stopper = ThreadPoolExecutor(1)  # texts that wait for each other may fill the loop's own
        self.newest: str | None = None

    def start(self) -> None:
        self.declare("export", "real", "onnx-ir writes every weight of the checkpoint; export.parity says which programs ran the model")
        self.versions = {name: version(name) for name in ("onnx", "onnx-ir", "onnxruntime", "tinygrad")}
        self.worker.open()
        self.set_state("waiting", "the last checkpoint of a run becomes a model; another does by `bus call exporter.export`")

    async def stop(self) -> None:
        self.speaker.close()
        self.worker.cancel()
        await asyncio.get_running_loop().run_in_executor(self.stopper, self.worker.join, STOP_PATIENCE)

    @on(train.CHECKPOINT, last=True)
    def see(self, event: Event[train.Checkpoint]) -> None:
        self.newest = event.data.meta_hash
        if event.data.final and self.settings.automatic:
            self._export_by_itself()

    @answers(export.EXPORT)
    def make(self, request: export.Export) -> export.Exporting:
        plan = make_plan(request, self.newest, self.store)
        self.worker.ask(plan)
        return export.Exporting(export=plan.name)

    @answers(export.STATUS)
    def status(self, request: Nothing) -> export.Status:
        return self.worker.status()

    @answers(export.GENERATE)
    async def generate(self, request: export.Generate) -> export.Generated:
        cancelled = threading.Event()  # the caller's deadline cancels this coroutine, not the thread
        try:
            return await asyncio.to_thread(self.speaker.write, request, cancelled)
        finally:
            cancelled.set()

    @every(seconds=60)
    def rest(self) -> None:
        self.speaker.rest()

    def _export_by_itself(self) -> None:
        try:
            plan = make_plan(export.Export(precision=self.settings.precision), self.newest, self.store, automatic=True)
        except CommandRefused as refusal:
            self.set_state("degraded", f"the last checkpoint is not exported: {refusal}")
            return
        if not is_in_place(self.artifacts, plan.meta.content.recipe.name, plan.name):  # it was, before the agent started
            self.worker.ask(plan)
