"""The trainer: one run at a time of a Llama-family decoder in tinygrad, steered by commands and followed by events."""

from __future__ import annotations

import asyncio
import math
from importlib.metadata import version
from pathlib import Path

from agents.parts.checkpoint import BadCheckpoint, Content, read_meta
from agents.trainer import plan
from agents.trainer.journal import Journal, unfinished
from agents.trainer.worker import Worker
from bus.agent import Agent, Bus, answers, on
from bus.errors import CommandRefused
from bus.event import Event
from bus.store import NotInStore, Store
from bus.topic import Nothing
from schemas import power, train
from schemas.system import ARTIFACT, REMOVED

STOP_PATIENCE = 0.8
"""Seconds that the agent waits for the step in progress when it has to end."""
LONGEST_SAMPLE = 10_000
"""Tokens of one sample at most."""


class Trainer(Agent):
    """Trains a decoder on text, measures it on held-out text, and keeps its weights as checkpoints."""

    nice = 10
    publishes = (
        train.RUN_STARTED,
        train.RUN_SUSPENDED,
        train.RUN_RESUMED,
        train.STEP,
        train.EVAL,
        train.SAMPLED,
        train.CHECKPOINT,
        train.RUN_COMPLETED,
        train.RUN_FAILED,
        train.RECIPE_CHECKED,
        ARTIFACT,
        REMOVED,
    )
    Settings = plan.Settings
    settings: plan.Settings

    def __init__(self, bus: Bus, settings: plan.Settings, artifacts: Path) -> None:
        super().__init__(bus, settings, artifacts)
        self.worker = Worker(artifacts, artifacts.parent / "cache" / "datasets", self.publish, bus.flush, self.set_state)

    def start(self) -> None:
        self.declare("training", "real", "tinygrad computes every loss and weight; the device is named by train.run.started")
        self.versions = {"tinygrad": version("tinygrad"), "numpy": version("numpy")}
        self.worker.open()
        if journal := unfinished(self.artifacts):
            self._launch(journal.plan, journal)
        elif self.settings.autostart:
            self._start_by_itself()
        else:
            self.set_state("waiting", "a run begins with `bus call trainer.start`")

    async def stop(self) -> None:
        await asyncio.to_thread(self.worker.close, STOP_PATIENCE)

    @on(power.SAMPLE)
    def measure(self, event: Event[power.Sample]) -> None:
        self.worker.energy.update(event)

    @answers(train.START)
    def start_run(self, request: train.Start) -> train.Run:
        self._refuse_if_busy()
        return self._start(request)

    @answers(train.STOP)
    def stop_run(self, request: Nothing) -> train.Run:
        run = self._run_in_progress()
        self.worker.controls.stop()
        return run

    @answers(train.PAUSE)
    def pause(self, request: Nothing) -> train.Run:
        return self._hold(True)

    @answers(train.RESUME)
    def resume(self, request: Nothing) -> train.Run:
        return self._hold(False)

    @answers(train.CHECK_RECIPES)
    def check_recipes(self, request: train.CheckRecipes) -> train.Checking:
        self._refuse_if_busy()
        recipes = plan.recipes_named(request.recipes)
        self.set_state("running", f"checking {len(recipes)} recipes")
        self.worker.check(recipes, self.settings)
        return train.Checking(recipes=len(recipes))

    @answers(train.STATUS)
    def status(self, request: Nothing) -> train.Status:
        return self.worker.status()

    @answers(train.SAMPLE)
    async def sample(self, request: train.Sample) -> train.Sampled:
        _check(request)
        if not self.worker.has_weights:
            raise CommandRefused("no_weights", "no step has been trained yet: start a run, and wait for its first train.step")
        return await asyncio.wrap_future(self.worker.controls.sample(request).result)

    def _start_by_itself(self) -> None:
        try:
            self._start(train.Start())
        except CommandRefused as refusal:
            self.set_state("degraded", f"the settings start no run: {refusal}")

    def _refuse_if_busy(self) -> None:
        if self.worker.busy:
            raise CommandRefused("busy", f"{self.worker.run} is in progress: stop it first with `bus call trainer.stop`")
        if self.worker.checking:
            raise CommandRefused("busy", "recipes are being checked: wait for the last train.recipe.checked")

    def _start(self, request: train.Start) -> train.Run:
        return self._launch(plan.make_plan(request, self.settings, self._parent(request)))

    def _parent(self, request: train.Start) -> Content | None:
        """The checkpoint that a run is to start from. Raises CommandRefused."""
        if request.checkpoint is None:
            return None
        try:
            store = Store(self.artifacts)
            meta = read_meta(request.checkpoint, store)
            store.path(meta.weights)  # which newer ones may have replaced
            return meta.content
        except (NotInStore, BadCheckpoint) as error:
            where = "want a `meta_hash` from `checkpoints` in run.json, of one that is kept (`hash` is that of its weights)"
            raise CommandRefused("no_checkpoint", f"{error}: {where}") from error

    def _launch(self, planned: plan.Plan, journal: Journal | None = None) -> train.Run:
        goes_on = " go on: `bus call trainer.stop` ends it" if journal else ""
        self.set_state("running", f"{planned.run}: {planned.hyper.steps} steps of {planned.recipe.name}{goes_on}")
        self.worker.start(planned, journal)
        return train.Run(run=planned.run)

    def _hold(self, paused: bool) -> train.Run:
        run = self._run_in_progress()
        self.worker.controls.pause(paused)
        self.log.info("the run pauses after its present step" if paused else "the run goes on", run=run.run)
        return run

    def _run_in_progress(self) -> train.Run:
        if not self.worker.busy or self.worker.run is None:
            raise CommandRefused("no_run", "no run is in progress: begin one with `bus call trainer.start`")
        return train.Run(run=self.worker.run)


def _check(request: train.Sample) -> None:
    if not 1 <= request.length <= LONGEST_SAMPLE:
        raise CommandRefused("bad_request", f"length is {request.length}: want 1 to {LONGEST_SAMPLE}")
    if not (math.isfinite(request.temperature) and request.temperature >= 0):
        raise CommandRefused("bad_request", f"temperature is {request.temperature}: want 0 or more")
    if request.seed < 0 or (request.picture or 0) < 0:
        raise CommandRefused("bad_request", f"seed is {request.seed}, picture {request.picture}: want 0 or more")
