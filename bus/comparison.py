"""Where two outputs of an agent differ: what a log recorded of it, and what a process replay makes of the same input today."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from bus.event import Event


def differences(
    recorded: Iterable[Event[Any]],
    replayed: Iterable[Event[Any]],
    *,
    ignore: Iterable[str] = (),
    tolerances: Mapping[str, float] | None = None,
) -> list[str]:
    """Where two outputs differ, topic by topic, each in its order: in data, `run` and `cause`, not in their times. None: they agree.

    `ignore` names what may differ, `tolerances` by how much numbers may (absolutely, or relatively where they are above 1): a topic
    (`train.step`), a path in its data (`train.step.seconds`), or a field of that name anywhere (`seconds`). A list's items share its path.
    """
    rule = _Rule(frozenset(ignore), tolerances or {})
    ours, theirs = _by_topic(recorded), _by_topic(replayed)
    found: list[str] = []
    for topic in sorted(ours.keys() | theirs.keys()):
        if topic in rule.ignored:
            continue
        if len(ours[topic]) != len(theirs[topic]):
            found.append(f"{topic}: {len(ours[topic])} recorded, {len(theirs[topic])} replayed")
        for number, (then, now) in enumerate(zip(ours[topic], theirs[topic], strict=False), 1):
            found += [f"event {number}: {difference}" for difference in rule.compare(topic, then, now)]
    return found


def _by_topic(events: Iterable[Event[Any]]) -> defaultdict[str, list[dict[str, Any]]]:
    """What is compared of each event: its data as plain values, its run and its cause."""
    found: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for event in events:
        found[event.topic].append({**msgspec.to_builtins(event.data), "run": event.run, "cause": event.cause})
    return found


class _Rule(msgspec.Struct, frozen=True):
    """How exact a comparison is."""

    ignored: frozenset[str]
    tolerances: Mapping[str, float]

    def tolerance(self, path: str) -> float:
        """What may differ here: infinite where it is ignored. The longest path that says something counts."""
        words = path.split(".")
        for name in (*(".".join(words[:end]) for end in range(len(words), 1, -1)), words[-1]):
            if name in self.ignored:
                return math.inf
            if name in self.tolerances:
                return self.tolerances[name]
        return 0.0

    def compare(self, path: str, then: Any, now: Any) -> Iterator[str]:  # plain values
        """The differences at `path` and below."""
        if isinstance(then, dict) and isinstance(now, dict):
            for key in sorted(then.keys() | now.keys(), key=str):
                if self.tolerance(f"{path}.{key}") != math.inf:
                    yield from self.compare(f"{path}.{key}", then.get(key), now.get(key))
        elif isinstance(then, list) and isinstance(now, list) and len(then) == len(now):
            for ours, theirs in zip(then, now, strict=True):
                yield from self.compare(path, ours, theirs)
        elif not _equal(then, now, self.tolerance(path)):
            yield f"{path} was {then!r}, is {now!r}"


def _equal(then: Any, now: Any, tolerance: float) -> bool:
    if {type(then), type(now)} <= {int, float}:
        both_nan = math.isnan(then) and math.isnan(now)
        return both_nan or then == now or abs(then - now) <= max(tolerance, tolerance * max(abs(then), abs(now)))
    return bool(then == now) and type(then) is type(now)
