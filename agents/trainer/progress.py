"""How far a run is, as a person follows it: one line now and then, with the loss so far as a sparkline."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field

import structlog

from agents.trainer.data.files import Progress as Reading

SECONDS = 10.0
"""Between two lines for the operator; who wants each step follows the events."""
WIDTH = 24
"""Characters of the sparkline."""
COMPILING_STEPS = 2
"""Steps that take long because they compile, and say nothing about the pace."""
_BARS = "▁▂▃▄▅▆▇█"

_log = structlog.get_logger()


@dataclass(slots=True)
class Progress:
    """Of a run of `steps` steps, from the first step that this process takes: a run that goes on has been compiled anew."""

    steps: int
    _losses: list[float] = field(default_factory=list)  # means of `_stride` steps each
    _stride: int = 1
    _pending: list[float] = field(default_factory=list)
    _taken: int = 0
    _paced_seconds: float = 0.0
    _shown: float = -math.inf

    def add(self, loss: float, seconds: float) -> None:
        """Count a step."""
        self._taken += 1
        self._paced_seconds += seconds if self._taken > COMPILING_STEPS else 0.0
        self._pending.append(loss)
        if len(self._pending) >= self._stride:
            self._losses.append(sum(self._pending) / len(self._pending))
            self._pending.clear()
        if len(self._losses) >= 2 * WIDTH:
            self._losses = [(first + second) / 2 for first, second in zip(self._losses[::2], self._losses[1::2], strict=True)]
            self._stride *= 2

    def remaining_seconds(self, step: int) -> float | None:
        """Estimate for the steps after `step`, at the mean pace so far; null while only steps that compile were taken."""
        paced = self._taken - COMPILING_STEPS
        return (self.steps - step) * self._paced_seconds / paced if paced > 0 else None

    def show(self, step: int, loss: float, tokens_per_second: float) -> None:
        """Tell the operator, at the first step, the last, and every ten seconds."""
        now, left = time.monotonic(), self.remaining_seconds(step)
        if self._taken > 1 and step != self.steps and now - self._shown < SECONDS:
            return
        self._shown = now
        remaining = "" if left is None else f", {left / 60:.1f} minutes left"
        line = f"step {step} of {self.steps}{remaining} {sparkline(self._losses)}"
        _log.info(line.rstrip(), loss=round(loss, 3), tokens_s=round(tokens_per_second))


@dataclass(slots=True)
class Preparation:
    """How far the preparation of data is, for the operator."""

    _shown: float = field(default_factory=time.monotonic)

    def show(self, reading: Reading) -> None:
        """Tell the operator every ten seconds; what takes less is not worth a line."""
        now = time.monotonic()
        if now - self._shown >= SECONDS:
            self._shown = now
            _log.info(f"{reading.stage}: {reading.done >> 20} of {reading.total >> 20} MiB")


def sparkline(values: list[float], width: int = WIDTH) -> str:
    """The last of `values` drawn between their lowest and highest, in at most `width` characters, each the mean of as many."""
    if len(values) < 2:
        return ""
    stride = math.ceil(len(values) / width)
    means = [sum(part) / len(part) for part in (values[at : at + stride] for at in range(0, len(values), stride))]
    low, span = min(means), (max(means) - min(means)) or 1.0
    return "".join(_BARS[round((mean - low) / span * (len(_BARS) - 1))] for mean in means)
