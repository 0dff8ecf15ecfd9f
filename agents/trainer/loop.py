"""One run of training, from its data to its last checkpoint."""

from __future__ import annotations

import functools
import itertools
import math
import time
from dataclasses import dataclass, field

import structlog

from agents.trainer import checkpoint, origin
from agents.trainer.controls import Controls, SampleOrder
from agents.trainer.corpus import Batch, Corpus
from agents.trainer.energy import EnergyMeter
from agents.trainer.implementations import implementation_for
from agents.trainer.learner import Learner
from agents.trainer.plan import Plan
from agents.trainer.report import Report
from agents.trainer.sampling import generate
from agents.trainer.schedule import learning_rate
from agents.trainer.sources import open_corpus
from bus.store import Store
from schemas import train

COMPILING_STEPS = 2
PROGRESS_SECONDS = 10.0
"""Between two lines for the operator; who wants each step follows the events."""

_log = structlog.get_logger()


class Diverged(ArithmeticError):
    """The loss is no number any more: the learning rate is too high for this text."""


@dataclass(slots=True)
class Run:
    """One run. `execute` is its whole life, in the training thread; other threads read `step`, `loss` and `tokens_per_second`."""

    plan: Plan
    device: str
    controls: Controls
    energy: EnergyMeter
    store: Store
    report: Report
    step: int = 0
    loss: float | None = None
    tokens_per_second: float | None = None
    _heldout: tuple[int, float] | None = None  # the step of the last evaluation, and its loss
    _saved: tuple[int, str] | None = None  # the step of the last checkpoint, and its hash
    _shown: float = -math.inf  # when the operator was last told how it goes
    _paced_seconds: float = 0.0  # of the steps behind the ones that compile
    _began: float = field(default_factory=time.monotonic)
    _corpus: Corpus = field(init=False)
    _learner: Learner = field(init=False)

    def execute(self) -> None:
        """Train to the last step or until told to stop. Raises what open_corpus, tinygrad, the disk and the bus raise, and Diverged."""
        plan, hyper = self.plan, self.plan.hyper
        self._corpus = open_corpus(plan)
        _log.info("data read", run=plan.run, files=self._corpus.dataset.files, left_out=self._corpus.skipped)
        self.report.started(plan, self._corpus.dataset, self.device)
        self._learner = Learner(plan.recipe, hyper, implementation_for(self.device))
        _log.info("compiling the first step, which may take a minute", parameters=plan.recipe.parameters, device=self.device)
        while self.step < hyper.steps and self._may_step():
            self._learn(self._corpus.training_batch(self.step))
            if self._due(plan.eval_every):
                self._evaluate()
            if self._due(plan.sample_every):
                self.sample(train.Sample(seed=self.step, length=hyper.context) if plan.recipe.vision else train.Sample())
            if self._due(plan.checkpoint_every):
                self._save()
        if self._saved is None or self._saved[0] != self.step:
            self._save()
        self.report.end(train.RUN_COMPLETED, self.summary())

    def sample(self, request: train.Sample) -> train.Sampled:
        """Generate text from the present weights and publish it; short where the agent ends meanwhile."""
        prompt = self._corpus.prompt if request.prompt is None else request.prompt
        shown = self._corpus.shown(request.seed if request.picture is None else request.picture)
        logits = functools.partial(self._learner.logits, *shown.inputs)
        tokens = generate(logits, self.plan.hyper.context, bytes(self._corpus.encode(prompt)), request.temperature, request.seed)
        wanted = itertools.takewhile(self._goes_on, itertools.islice(tokens, request.length))
        sampled = train.Sampled(
            step=self.step,
            prompt=prompt,
            text=self._corpus.decode(list(wanted)),
            temperature=request.temperature,
            seed=request.seed,
            picture=shown.picture,
            caption=shown.caption,
        )
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

    def summary(self) -> train.RunCompleted:
        """How the run ends if it ends now."""
        return train.RunCompleted(
            outcome="finished" if self.step == self.plan.hyper.steps else "stopped",
            steps=self.step,
            loss=self.loss,
            heldout_loss=self._heldout[1] if self._heldout else None,
            tokens=self.step * self._tokens_per_step,
            seconds=time.monotonic() - self._began,
            checkpoint=self._saved[1] if self._saved else None,
        )

    @property
    def remaining_seconds(self) -> float | None:
        """Estimate for the steps that are left, at the mean pace so far; the first two compile and say nothing about it."""
        paced = self.step - COMPILING_STEPS
        return (self.plan.hyper.steps - self.step) * self._paced_seconds / paced if paced > 0 else None

    @property
    def _tokens_per_step(self) -> int:
        return self.plan.hyper.batch * self.plan.hyper.context

    def _goes_on(self, token: int) -> bool:
        return token != self._corpus.end and not self.controls.closed

    def _due(self, every: int) -> bool:
        return self.step == self.plan.hyper.steps or (every > 0 and self.step % every == 0)

    def _may_step(self) -> bool:
        """Serve what was asked for, wait while paused, and say whether to go on."""
        while isinstance(order := self.controls.may_step(), SampleOrder):
            self.serve(order)
        return order

    def _learn(self, batch: Batch) -> None:
        rate = learning_rate(self.step + 1, self.plan.hyper)
        self.energy.lap()
        began = time.perf_counter()
        loss, norm = self._learner.step(batch, rate)
        seconds = time.perf_counter() - began
        joules, source = self.energy.lap()
        if not math.isfinite(loss):
            raise Diverged(f"the loss of step {self.step + 1} is {loss}: try a learning rate below {self.plan.hyper.learning_rate}")
        self.step, self.loss, self.tokens_per_second = self.step + 1, loss, self._tokens_per_step / seconds
        self._paced_seconds += seconds if self.step > COMPILING_STEPS else 0.0
        event = train.Step(
            step=self.step,
            loss=loss,
            learning_rate=rate,
            grad_norm=norm,
            seconds=seconds,
            tokens=self._tokens_per_step,
            tokens_per_second=self.tokens_per_second,
            joules=joules,
            energy_source=source,
        )
        self.report.publish(train.STEP, event)
        self._show_progress()

    def _show_progress(self) -> None:
        """One line for the operator, every ten seconds."""
        now, steps = time.monotonic(), self.plan.hyper.steps
        if self.step not in (1, steps) and now - self._shown < PROGRESS_SECONDS:
            return
        self._shown = now
        left = "" if self.remaining_seconds is None else f", {self.remaining_seconds / 60:.1f} minutes left"
        _log.info(f"step {self.step} of {steps}{left}", loss=round(self.loss or 0.0, 3), tokens_s=round(self.tokens_per_second or 0.0))

    def _evaluate(self) -> None:
        batches, chance = list(self._corpus.held_out_batches()), self._corpus.chance
        loss = self._learner.loss(batches)
        self._heldout = self.step, loss
        event = train.Eval(
            step=self.step,
            loss=loss,
            bits_per_byte=loss / math.log(2) / self._corpus.bytes_per_token,
            tokens=len(batches) * self._tokens_per_step,
            accuracy=None if chance is None else self._learner.accuracy(batches),
            chance=chance,
        )
        self.report.publish(train.EVAL, event)
        right = {} if event.accuracy is None else {"accuracy": round(event.accuracy, 3)}
        _log.info("held-out text", loss=round(loss, 3), step=self.step, **right)

    def _save(self) -> None:
        if self.loss is None:  # stopped before the first step: these weights were drawn, not learnt
            return
        content = checkpoint.Content(
            run=self.plan.run,
            step=self.step,
            recipe=self.plan.recipe,
            hyperparameters=self.plan.hyper,
            dataset=self._corpus.dataset,
            loss=self.loss,
            heldout_loss=self._heldout[1] if self._heldout and self._heldout[0] == self.step else None,
            versions=origin.versions(),
        )
        saved = checkpoint.save(self._learner.weights(), content, self.store)
        self._saved = self.step, saved.weights.hash
        self.report.saved(saved, final=self.controls.stopping or self.step == self.plan.hyper.steps)
