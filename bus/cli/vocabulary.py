"""What may be typed: declared topics, commands and agents, the nearest one to a typo, and what the shell completes."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import Any

from bus.cli.exits import Mistyped
from bus.history import FETCH, LAST
from bus.home import find_home
from bus.lifecycle import TOPICS
from bus.supervisor import names
from bus.topic import Command, Topic
from bus.wire import CONTROL_PREFIXES
from schemas import catalogue

_PATTERN = re.compile(r"[a-z0-9][a-z0-9._-]{0,254}")


def topics() -> dict[str, Topic[Any]]:
    """Every declared topic by name: the schemas' and the bus's own."""
    return dict(sorted({**catalogue.topics(), **{topic.name: topic for topic in TOPICS}}.items()))


def commands() -> dict[str, Command[Any, Any]]:
    """Every declared command by name."""
    return dict(sorted({**catalogue.commands(), FETCH.name: FETCH, LAST.name: LAST}.items()))


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known name that `word` was probably meant to be."""
    return next(iter(difflib.get_close_matches(word, list(known), 1)), None)


def find_topic(name: str) -> Topic[Any]:
    """The declared topic. Raises Mistyped."""
    declared = topics()
    if name not in declared:
        raise Mistyped(f"no declared topic {name!r}{_hint(name, declared)}")
    return declared[name]


def find_command(name: str) -> Command[Any, Any]:
    """The declared command. Raises Mistyped, which says what its agent does answer."""
    declared = commands()
    if name in declared:
        return declared[name]
    agent, _, verb = name.partition(".")
    answered = [each for each in declared if each.startswith(f"{agent}.")]
    if not answered:
        raise Mistyped(f"no command {name!r}{_hint(name, declared)}")
    near = nearest(verb, [each.partition(".")[2] for each in answered])  # the verb alone: the agent's name makes all of them alike
    onward = f"did you mean {agent}.{near}?" if near else f"{agent} answers {', '.join(answered)}"
    raise Mistyped(f"no command {name!r}: {onward}")


def find_process(name: str) -> str:
    """NAME of a line in the Procfile. Raises Mistyped."""
    known = names(find_home())
    if name not in known:
        raise Mistyped(f"no process {name!r}{_hint(name, known, 'the Procfile has ' + ', '.join(known))}")
    return name


def read_patterns(typed: Iterable[str]) -> tuple[list[str], list[str]]:
    """What to subscribe to, and warnings. A word without a dot is a domain: no topic has such a name. Raises Mistyped."""
    patterns, warnings = [], []
    for word in typed:
        if not _PATTERN.fullmatch(word):
            raise Mistyped(f"{word!r} is no topic: want a name as train.step, or a domain as train. (lower case, no wildcards)")
        pattern = word if "." in word else f"{word}."
        patterns.append(pattern)
        warnings += _doubts(pattern)
    return patterns, warnings


def _doubts(pattern: str) -> list[str]:
    """A topic of somebody else's may well be undeclared, so this is a warning and not an error."""
    known = [*topics(), *(command.topic for command in commands().values())]
    if pattern in known or pattern.startswith(CONTROL_PREFIXES) or any(name.startswith(pattern) for name in known if pattern.endswith(".")):
        return []
    candidates = {f"{name.partition('.')[0]}." for name in known} if pattern.endswith(".") else known
    near = nearest(pattern, candidates)
    return [f"no declared topic {pattern}{f' (did you mean {near}?)' if near else ''}"]


def _hint(word: str, known: Iterable[str], otherwise: str = "bus topics lists all") -> str:
    near = nearest(word, known)
    return f": did you mean {near}?" if near else f": {otherwise}"


def complete_topic(incomplete: str) -> list[str]:
    return [name for name in topics() if name.startswith(incomplete)]


def complete_command(incomplete: str) -> list[str]:
    return [name for name in commands() if name.startswith(incomplete)]


def complete_process(incomplete: str) -> list[str]:
    return [name for name in names(find_home()) if name.startswith(incomplete)]


def complete_source(incomplete: str) -> list[str]:
    """Agents publish under their own names; so does the recorder, and the hub publishes nothing."""
    return [name for name in complete_process(incomplete) if name != "hub"]
