"""From turns to rows. Ratios and shares are taken within each round, so that a slow moment of the machine is in both sides."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

from agents.parts.recipes import Recipe
from benchmarks._results import Figures
from benchmarks._training import PRODUCTS, PYTORCH, Trained

TITLES = {
    "speed": "Training in float32, medians of the rounds (ratio: to PyTorch in the same round; share: of the fastest product in it)",
    "start": "Seconds from the start of a process to the end of its first step, and the peak of its memory",
    "agreement": "How far the losses of the first steps are from PyTorch's, from the same weights over the same text",
    "products": "What the machine can do: products of two large float32 matrices, in GFLOP/s",
}

Runs = Mapping[str, Trained]


def speed(recipe: Recipe, runs: Runs, product: int) -> list[Figures]:
    return [_speed(recipe, name, trained, runs, 2 * product**3) for name, trained in trainers(runs).items()]


def start(recipe: Recipe, runs: Runs) -> list[Figures]:
    return [
        {
            "contender": name,
            "recipe": recipe.name,
            "empty cache, s": trained.cold,
            "warm cache, s": trained.warm,
            "peak RSS, MB": trained.last.peak_rss / 1e6,
        }
        for name, trained in trainers(runs).items()
    ]


def agreement(recipe: Recipe, runs: Runs) -> list[Figures]:
    expected = runs[PYTORCH].losses
    return [
        {
            "contender": name,
            "recipe": recipe.name,
            "steps": len(trained.losses),
            "first loss": trained.losses[0],
            "last loss": trained.losses[-1],
            "largest relative difference": max(abs(loss / other - 1) for loss, other in zip(trained.losses, expected, strict=True)),
        }
        for name, trained in trainers(runs).items()
    ]


def products(recipe: Recipe, runs: Runs, size: int) -> list[Figures]:
    return [
        {
            "product": name,
            "device": runs[name].last.device,
            "beside": recipe.name,
            **_spread("GFLOP/s", rates(runs[name], 2 * size**3 / 1e9)),
        }
        for name in PRODUCTS
    ]


def trainers(runs: Runs) -> Runs:
    return {name: trained for name, trained in runs.items() if name not in PRODUCTS}


def rates(trained: Trained, amount: float) -> list[float]:
    """What was done in a second of each round, where a step does `amount`."""
    return [amount / seconds for seconds in trained.seconds]


def _speed(recipe: Recipe, name: str, trained: Trained, runs: Runs, product: float) -> Figures:
    tokens, plain = (rates(each, recipe.batch * recipe.context) for each in (trained, runs[PYTORCH]))
    most = map(max, *(rates(runs[name], product) for name in PRODUCTS))
    ratios = [rate / other for rate, other in zip(tokens, plain, strict=True)]
    return {
        "contender": name,
        "recipe": recipe.name,
        "device": trained.last.device,
        **_spread("tokens/s", tokens),
        "ratio": statistics.median(ratios),
        "lowest ratio": min(ratios),
        "highest ratio": max(ratios),
        "GFLOP/s": statistics.median(tokens) * recipe.flops_per_token / 1e9,
        "share": statistics.median(rate * recipe.flops_per_token / other for rate, other in zip(tokens, most, strict=True)),
    }


def _spread(unit: str, values: Sequence[float]) -> Figures:
    return {unit: statistics.median(values), "lowest": min(values), "highest": max(values)}
