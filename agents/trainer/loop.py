"""One run of training, from its data to its last checkpoint."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from agents.parts.checkpoint import Content
from agents.parts.model import initial_weights
from agents.trainer import origin
from agents.trainer.controls import Controls, SampleOrder
from agents.trainer.data.corpus import BadData, Corpus
from agents.trainer.data.files import Progress as Reading
from agents.trainer.data.opening import open_corpus
from agents.trainer.devices import implementation_for
from agents.trainer.energy import Energy, EnergyMeter
from agents.trainer.errors import CrashLoop, DataChanged, Diverged, Interrupted
from agents.trainer.journal import MOST_DEATHS, Journal
from agents.trainer.learner import Learner
from agents.trainer.plan import Plan
from agents.trainer.progress import Preparation, Progress
from agents.trainer.report import Report
from agents.trainer.sampling import written
from agents.trainer.schedule import learning_rate
from agents.trainer.shelf import Loaded, Shelf
from agents.trainer.state import State, Weights
from schemas import train

_log = structlog.get_logger()


@dataclass(slots=True)
class Run:
    """One run. `execute` is its whole life, in the training thread; other threads read `step`, `loss` and `tokens_per_second`.

    With a `journal` it goes on where that says.
    """

    plan: Plan
    device: str
    controls: Controls
    energy: EnergyMeter
    shelf: Shelf
    cache: Path
    report: Report
    journal: Journal | None = None
    step: int = 0
    loss: float | None = None
    tokens_per_second: float | None = None
    _heldout: tuple[int, float] | None = None  # the step of the last evaluation, and its loss
    _best_loss: float | None = None  # the lowest held-out loss
    _stale: int = 0  # evaluations since then
    _has_said_final: bool = False
    took_a_step: bool = False  # in this life
    _seconds_before: float = 0.0  # of the run's earlier lives
    _began: float = field(default_factory=time.monotonic)
    _preparation: Preparation = field(default_factory=Preparation)
    _progress: Progress = field(init=False)
    _corpus: Corpus = field(init=False)
    _learner: Learner = field(init=False)

    def __post_init__(self) -> None:
        self._progress = Progress(self.plan.hyper.steps)

    def execute(self) -> None:
        """Train to the last step or until told to stop. Raises BadData, Diverged, and what tinygrad, the disk and the bus raise."""
        plan = self.plan
        self._corpus = open_corpus(plan, self.cache, self._show_reading)
        _log.info("data read", run=plan.run, files=self._corpus.dataset.files, left_out=self._corpus.skipped)
        state = self._begin() if self.journal is None else self._resume(self.journal)
        _log.info("compiling the first step, which may take a minute", parameters=plan.recipe.parameters, device=self.device)
        self._learner = self._learner_of(state)
        self.energy.lap(time.time_ns())
        try:
            while not self._has_finished and self._may_step():
                self._learn()
                self._follow_up()
        except Diverged:
            self._fall_back()
            raise
        self._end()

    def _follow_up(self) -> None:
        """Measure, show and keep what was learnt, where it is time for it."""
        plan = self.plan
        if self._due(plan.eval_every) or self._due(plan.checkpoint_every):
            self._evaluate()
        if self._due(plan.sample_every):
            self.sample(train.Sample(seed=self.step, length=plan.hyper.context) if plan.recipe.vision else train.Sample())
        if self._due(plan.checkpoint_every):
            self._save()

    def sample(self, request: train.Sample) -> train.Sampled:
        """Generate text from the present weights and publish it; short where the agent ends meanwhile."""
        context, learner = self.plan.hyper.context, self._learner
        sampled = written(learner.logits, self._corpus, request, context, self.step, lambda: not self.controls.closed)
        self.report.publish_event(train.SAMPLED, sampled, run=self.plan.run)  # a run that has ended can still be asked
        return sampled

    def serve(self, order: SampleOrder) -> None:
        """Answer one request for text, unless its caller has given up."""
        if not order.result.set_running_or_notify_cancel():
            return
        try:
            order.result.set_result(self.sample(order.request))
        except Exception as error:  # the caller gets it, and the run goes on
            order.result.set_exception(error)

    @property
    def remaining_seconds(self) -> float | None:
        """Estimate for the steps that are left."""
        return self._progress.remaining_seconds(self.step)

    def _show_reading(self, reading: Reading) -> None:
        """Raises Interrupted where the run is to end before it has begun."""
        if self.controls.stopping:
            raise Interrupted("told to stop while its data was prepared")
        self._preparation.show(reading)

    def _begin(self) -> State:
        """Say that the run begins, and give what it starts from."""
        plan, dataset = self.plan, self._corpus.dataset
        if not self.report.started(plan, dataset, self.device):
            raise Interrupted("told to end before it began")
        self.shelf.put(self._corpus.manifest(), "dataset-manifest", "application/json", [dataset.hash])
        if self._corpus.tokenizer_file is not None:
            self.shelf.put(self._corpus.tokenizer_file, "tokenizer", "application/json", [dataset.hash])
        self._keep_sample()
        self.shelf.open(Journal(plan=plan, dataset_hash=dataset.hash, device=self.device, versions=origin.versions()))
        return State.begun(self._first_weights())

    def _resume(self, journal: Journal) -> State:
        """Say that the run goes on, and give what it goes on from. Raises DataChanged, CrashLoop."""
        if journal.deaths >= MOST_DEATHS:
            raise CrashLoop(f"the process died {journal.deaths} times since the last checkpoint: the run is not tried again")
        if self._corpus.dataset.hash != journal.dataset_hash:
            raise DataChanged(f"{self._corpus.dataset.path} is not what the run began with: bring it back, or begin a new run")
        self._seconds_before = journal.seconds
        loaded = self.shelf.newest_state()
        state = State.begun(self._first_weights()) if loaded is None else self._restore(loaded)
        self.report.publish(train.RUN_RESUMED, self._resumed(loaded))
        self._keep_sample()
        if (self.device, origin.versions()) != (journal.device, journal.versions):
            _log.warning("device or versions are not those that the run began with: its losses may differ", run=self.plan.run)
        _log.info(f"going on after step {self.step} of {self.plan.hyper.steps}", run=self.plan.run)
        return state

    def _keep_sample(self) -> None:
        """Keep some held-out rows for others to measure by, again where the run goes on: a trainer before this one kept none."""
        self.shelf.put(self._corpus.heldout_sample, "heldout-sample", None, [self._corpus.dataset.hash])

    def _resumed(self, loaded: Loaded | None) -> train.RunResumed:
        return train.RunResumed(
            step=self.step,
            checkpoint=loaded.kept.weights if loaded else None,
            tokens=self.step * self.plan.hyper.tokens_per_step,
            loss=self.loss,
            heldout_loss=self._heldout[1] if self._heldout else None,
            device=self.device,
            versions=origin.versions(),
        )

    def _fall_back(self) -> None:
        """Take the weights of the last checkpoint for those that this step has spoilt; without one there are none to sample from."""
        loaded = self.shelf.newest_state()
        if loaded is None:
            self.step = 0
        else:
            self._learner = self._learner_of(self._restore(loaded))

    def _restore(self, loaded: Loaded) -> State:
        content = loaded.content
        self.step, self.loss = content.step, content.loss
        self._heldout = content.evaluated
        self._best_loss, self._stale = content.best_loss, content.stale
        return loaded.state

    def _first_weights(self) -> Weights:
        """Raises BadData where they belong to another tokenizer."""
        plan = self.plan
        if plan.parent is None:
            return initial_weights(plan.recipe, plan.hyper.seed)
        content, weights = self.shelf.load(plan.parent)
        if content.dataset.tokenizer_hash not in (None, self._corpus.dataset.tokenizer_hash):  # bytes have none, nor had captions once
            raise BadData(
                "the checkpoint has learnt another tokenizer's tokens: this data makes one of its own; train on the data it was made of"
            )
        return weights

    def _learner_of(self, state: State) -> Learner:
        plan = self.plan
        return Learner(plan.recipe, plan.hyper, implementation_for(self.device, plan.hyper.precision, plan.threads), state)

    @property
    def _has_stalled(self) -> bool:
        return 0 < self.plan.hyper.patience <= self._stale

    @property
    def _has_finished(self) -> bool:
        return self.step == self.plan.hyper.steps or self._has_stalled

    @property
    def _is_over(self) -> bool:
        """Whether the run ends here, rather than with its process."""
        return self._has_finished or (self.controls.stopping and not self.controls.closed)

    @property
    def _seconds(self) -> float:
        return self._seconds_before + time.monotonic() - self._began

    def _due(self, every: int) -> bool:
        return self.step == self.plan.hyper.steps or (every > 0 and self.step % every == 0)

    def _may_step(self) -> bool:
        """Serve what was asked for, wait while paused, and say whether to go on."""
        was_paused = self.controls.paused
        while isinstance(order := self.controls.may_step(), SampleOrder):
            self.serve(order)
        if was_paused:
            self.energy.lap(time.time_ns())  # what was used meanwhile is no step's
        return order

    def _learn(self) -> None:
        hyper = self.plan.hyper
        rate = learning_rate(self.step + 1, hyper)
        batches = [self._corpus.training_batch(self.step * hyper.accumulate + index) for index in range(hyper.accumulate)]
        began = time.perf_counter()
        loss, norm = self._learner.step(batches, rate)
        seconds = time.perf_counter() - began
        energy = self.energy.lap(time.time_ns())
        if not (math.isfinite(loss) and math.isfinite(norm)):
            raise Diverged(
                f"step {self.step + 1} has a loss of {loss} and gradients of norm {norm}: try a learning rate below {hyper.learning_rate}"
            )
        self.took_a_step = True
        self.step, self.loss, self.tokens_per_second = self.step + 1, loss, self.plan.hyper.tokens_per_step / seconds
        self._progress.add(loss, seconds)
        self._say_step(rate, norm, seconds, energy)
        self._progress.show(self.step, loss, self.tokens_per_second)

    def _say_step(self, rate: float, norm: float, seconds: float, energy: Energy) -> None:
        tokens = self.plan.hyper.tokens_per_step
        event = train.Step(
            step=self.step,
            loss=self.loss or 0.0,
            learning_rate=rate,
            grad_norm=norm,
            seconds=seconds,
            tokens=tokens,
            tokens_per_second=tokens / seconds,
            joules=energy.joules,
            energy_source=energy.source,
            joules_per_token=None if energy.joules is None else energy.joules / tokens,
            energy_reason=energy.reason,
            tokens_seen=self.step * tokens,
            remaining_seconds=self.remaining_seconds,
        )
        self.report.publish(train.STEP, event)

    def _evaluate(self) -> None:
        batches, chance = list(self._corpus.held_out_batches()), self._corpus.chance
        loss = self._learner.loss(batches)
        best = self._best_loss is None or loss < self._best_loss
        self._heldout, self._stale = (self.step, loss), 0 if best else self._stale + 1
        self._best_loss = loss if best else self._best_loss
        event = train.Eval(
            step=self.step,
            loss=loss,
            bits_per_byte=loss / math.log(2) / self._corpus.bytes_per_token,
            tokens=len(batches) * self.plan.hyper.batch * self.plan.hyper.context,
            best=best,
            accuracy=None if chance is None else self._learner.accuracy(batches),
            chance=chance,
        )
        self.report.publish(train.EVAL, event)
        right = {} if event.accuracy is None else {"accuracy": round(event.accuracy, 3)}
        _log.info("held out", loss=round(loss, 3), step=self.step, **right)

    def _save(self) -> None:
        if self.loss is None:  # stopped before the first step: these weights were drawn, not learnt
            return
        content = Content(
            run=self.plan.run,
            step=self.step,
            recipe=self.plan.recipe,
            hyperparameters=self.plan.hyper,
            dataset=self._corpus.dataset,
            loss=self.loss,
            heldout_loss=self._heldout[1] if self._heldout and self._heldout[0] == self.step else None,
            versions=origin.versions(),
            evaluated=self._heldout,
            best_loss=self._best_loss,
            stale=self._stale,
        )
        self._has_said_final = self._is_over
        self.shelf.save(self._learner.state(), content, self._seconds, final=self._is_over)

    def _end(self) -> None:
        """Keep what was learnt, and say how the run ended, or that it goes on when the agent starts again."""
        if self._is_over and self.step and (self._heldout is None or self._heldout[0] != self.step):
            self._evaluate()
        if self.shelf.newest is None or self.shelf.newest.step != self.step or (self._is_over and not self._has_said_final):
            self._save()
        if self._is_over:
            self.report.end(train.RUN_COMPLETED, self._summary())
            self.shelf.end()
        else:
            self.report.end(train.RUN_SUSPENDED, train.RunSuspended(step=self.shelf.resumes_at))
            _log.info(f"kept at step {self.shelf.resumes_at}: the next start goes on from there", run=self.plan.run)
            self.shelf.suspend()

    def _summary(self) -> train.RunCompleted:
        best = "" if self._best_loss is None else f" than {self._best_loss:.4g}"
        stalled = f"no lower held-out loss{best} in {self._stale} evaluations" if self._has_stalled else None
        return train.RunCompleted(
            outcome="finished" if self._has_finished else "stopped",
            steps=self.step,
            loss=self.loss,
            heldout_loss=self._heldout[1] if self._heldout else None,
            tokens=self.step * self.plan.hyper.tokens_per_step,
            seconds=self._seconds,
            checkpoint=self.shelf.newest.weights if self.shelf.newest else None,
            reason=stalled,
        )
