"""From turns and outages to rows. Ratios are taken within each round, so that a slow moment of the machine is in both sides."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

from benchmarks._memory import Memory
from benchmarks._petals import ONNX, Case
from benchmarks._petals_outages import WAYS, Outage
from benchmarks._results import Figures
from benchmarks.generators.job import Turn

TITLES = {
    "first": "Milliseconds until the first token behind a prompt (ratio: to local ONNX in the same round), and what of it opens a session",
    "text": "Tokens written in a second, from the second on (ratio: to local ONNX in the same round)",
    "agreement": "Tokens that are the same as local ONNX's",
    "memory": "MB of memory: what was resident of each process at most, and what is of all now, with pages that they share counted once",
    "fallback": "Milliseconds that a token took whose peer failed, until it came from this machine",
}
AIM = 1000.0
"""Milliseconds of a fallback."""

Turns = Mapping[str, Sequence[Turn]]


def first(case: Case, turns: Turns) -> list[Figures]:
    opened = {name: [turn.open for turn in answers if turn.open is not None] for name, answers in turns.items()}
    return [
        {
            **_row(case, name),
            "prompt": case.prompt,
            **_spread("ms", [turn.first * 1e3 for turn in answers]),
            **_ratios([turn.first for turn in answers], [turn.first for turn in turns[ONNX]]),
            "ms to open": statistics.median(opened[name]) * 1e3 if opened[name] else None,
            "ms before": statistics.median(turn.begin for turn in answers) * 1e3,
        }
        for name, answers in turns.items()
    ]


def text(case: Case, turns: Turns) -> list[Figures]:
    rates = {name: [(case.tokens - 1) / turn.later for turn in answers] for name, answers in turns.items()}
    return [{**_row(case, name), **_spread("tokens/s", rates[name]), **_ratios(rates[name], rates[ONNX])} for name in turns]


def agreement(case: Case, turns: Turns) -> list[Figures]:
    expected = turns[ONNX][-1].text
    return [
        {
            **_row(case, name),
            "tokens": len(answers[-1].text),
            "same": sum(token == other for token, other in zip(answers[-1].text, expected, strict=True)),
        }
        for name, answers in turns.items()
    ]


def memory(case: Case, owners: Sequence[Memory]) -> list[Figures]:
    return [
        {
            **_row(case, each.owner),
            "processes": each.processes,
            "peak RSS": each.peak / 1e6,
            "now": None if each.once is None else each.once / 1e6,
        }
        for each in owners
    ]


def fallback(case: Case, outages: Sequence[Outage]) -> list[Figures]:
    return [_fallback(case, way, [outage for outage in outages if outage.way == way]) for way in WAYS]


def _fallback(case: Case, way: str, outages: Sequence[Outage]) -> Figures:
    delays = [outage.delay * 1e3 for outage in outages]
    return {
        "peer": way,
        "recipe": case.recipe.name,
        "times": len(outages),
        "p50": statistics.median(delays),
        "lowest": min(delays),
        "highest": max(delays),
        "aim": AIM,
        "over it": sum(delay >= AIM for delay in delays),
        "same texts": sum(outage.same for outage in outages),
        "s until it is used again": statistics.median(outage.healed for outage in outages),
    }


def _ratios(values: Sequence[float], others: Sequence[float]) -> Figures:
    ratios = [value / other for value, other in zip(values, others, strict=True)]
    return {"ratio": statistics.median(ratios), "lowest ratio": min(ratios), "highest ratio": max(ratios)}


def _spread(unit: str, values: Sequence[float]) -> Figures:
    return {unit: statistics.median(values), "lowest": min(values), "highest": max(values)}


def _row(case: Case, name: str) -> Figures:
    return {"contender": name, "recipe": case.recipe.name}
