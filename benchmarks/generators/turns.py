"""A contender's side of the pipe: told a number of texts, it writes them and answers with a Turn; otherwise it stands still."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version

import msgspec
import numpy as np

from benchmarks.generators.job import Turn
from benchmarks.trainers.turns import Turns, peak_rss

SHORT = 5
"""Texts of two tokens in a turn."""

Begin = Callable[[], Iterator[int]]


def take_turns(turns: Turns, begin: Begin, *packages: str, short: Begin | None = None) -> None:
    """`begin` prepares for a text and gives its tokens, one as each is asked for; `short` one behind a single token."""
    versions = {package: version(package) for package in packages}

    def work(texts: int) -> dict[str, object]:
        seconds = np.zeros(3)
        for _ in range(texts):
            began = time.perf_counter()
            tokens = begin()
            ready = time.perf_counter()
            text = [next(tokens)]
            came = time.perf_counter()
            text += tokens
            seconds += (ready - began, came - ready, time.perf_counter() - came)
        means = dict(zip(("begin", "first", "later"), (seconds / texts).tolist(), strict=True))
        cost = None if short is None else statistics.median(opening(short) for _ in range(SHORT))
        return msgspec.structs.asdict(Turn(**means, text=text, peak_rss=peak_rss(), versions=versions, open=cost))

    turns.answer(work)


def opening(begin: Begin) -> float:
    """Seconds that the first token took longer than the second."""
    tokens, times = begin(), [time.perf_counter()]
    for _ in range(2):
        next(tokens)
        times.append(time.perf_counter())
    for _ in tokens:  # to its end, which closes what was opened
        continue
    return (times[1] - times[0]) - (times[2] - times[1])
