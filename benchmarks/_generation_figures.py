"""From turns to rows. Ratios are taken within each round, so that a slow moment of the machine is in both sides."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence

from benchmarks._generation import GENAI, Model
from benchmarks._results import Figures
from benchmarks.generators.job import Turn

TITLES = {
    "prompt": "Tokens of a prompt read in a second, up to the first that is written (ratio: to onnxruntime-genai in the same round)",
    "text": "Tokens written in a second, from the second on",
    "agreement": "Tokens that are the same as onnxruntime-genai's; what a new text takes before its prompt is read; memory at most",
}

Turns = Mapping[str, Sequence[Turn]]


def prompt(model: Model, turns: Turns) -> list[Figures]:
    return _speeds(model, turns, lambda turn: model.prompt / turn.first)


def text(model: Model, turns: Turns) -> list[Figures]:
    return _speeds(model, turns, lambda turn: (model.tokens - 1) / turn.later)


def agreement(model: Model, turns: Turns) -> list[Figures]:
    expected = turns[GENAI][-1].text
    return [
        {
            **_row(model, name),
            "tokens": len(answers[-1].text),
            "same": sum(token == other for token, other in zip(answers[-1].text, expected, strict=True)),
            "ms to begin": statistics.median(answer.begin for answer in answers) * 1e3,
            "peak RSS, MB": answers[-1].peak_rss / 1e6,
        }
        for name, answers in turns.items()
    ]


def _speeds(model: Model, turns: Turns, rate: Callable[[Turn], float]) -> list[Figures]:
    rates = {name: [rate(turn) for turn in answers] for name, answers in turns.items()}
    ratios = {name: [own / other for own, other in zip(rates[name], rates[GENAI], strict=True)] for name in turns}
    return [
        {
            **_row(model, name),
            "tokens/s": statistics.median(rates[name]),
            "lowest": min(rates[name]),
            "highest": max(rates[name]),
            "ratio": statistics.median(ratios[name]),
            "lowest ratio": min(ratios[name]),
            "highest ratio": max(ratios[name]),
        }
        for name in turns
    ]


def _row(model: Model, name: str) -> Figures:
    return {"contender": name, "recipe": model.recipe.name, "precision": model.precision}
