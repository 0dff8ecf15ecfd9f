"""The learning rate over a run: linear warm-up, then half a cosine down to a floor."""

from __future__ import annotations

import math

from schemas.train import Hyperparameters


def learning_rate(step: int, hyper: Hyperparameters) -> float:
    """The rate of `step`, counted from 1. The last step of the warm-up has the peak, the last of the run the floor."""
    if step <= hyper.warmup_steps:
        return hyper.learning_rate * step / hyper.warmup_steps
    progress = (step - hyper.warmup_steps) / (hyper.steps - hyper.warmup_steps)
    return hyper.learning_rate_floor + (hyper.learning_rate - hyper.learning_rate_floor) * (1 + math.cos(math.pi * progress)) / 2
