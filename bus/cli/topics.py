"""`bus topics`: what may be said on this bus, by whom, and who answers what."""

from __future__ import annotations

import importlib.util
import pkgutil
from typing import Annotated, Any

import typer
from msgspec import Struct
from rich.console import Group
from rich.table import Table

import agents
from bus.agent import Agent, Answer, table
from bus.cli import asyncapi as document
from bus.cli import vocabulary
from bus.cli.options import Json
from bus.cli.output import json_text, say, show, warn
from bus.cli.payload import field_names
from bus.cli.tables import one_line
from bus.cli.tables import table as drawn
from bus.home import find_home
from bus.lifecycle import SUPERVISED, TOPICS
from bus.process import agent_class
from bus.topic import Command, Topic


class TopicLine(Struct, frozen=True, kw_only=True):
    """A declared topic. `publishers` are agents' names."""

    topic: str
    delivery: str
    rate_hz: float | None
    struct: str
    publishers: list[str]
    summary: str


class CommandLine(Struct, frozen=True, kw_only=True):
    """A declared command. `takes` are the request's fields, in brackets those that may be left out.

    `answered` says whether its agent has a handler for it; null: its table cannot be read.
    """

    command: str
    request: str
    reply: str
    answered: bool | None
    takes: list[str]


def topics(
    json: Json = False,
    asyncapi: Annotated[bool, typer.Option("--asyncapi", help="An AsyncAPI 3.0 document, made from the structs.")] = False,
) -> None:
    """List topics and commands, and the agents that publish and answer them.

    What they publish is read from their tables, whether they run or not.

    \b
    bus topics
    bus topics --asyncapi > asyncapi.json
    """
    if asyncapi:
        say(json_text(document.asyncapi(vocabulary.topics(), vocabulary.commands(), find_home()), indent=2))
        return
    tables, unreadable = agent_tables()
    for name, reason in unreadable.items():
        warn(f"what {name} publishes and answers is unknown here: {reason}")
    lines = topic_lines(tables)
    answers = command_lines(tables, set(unreadable))
    if json:
        for line in (*lines, *answers):
            say(json_text(line))
    else:
        show(Group(_topic_table(lines), _command_table(answers)))


def agent_tables() -> tuple[dict[str, type[Agent]], dict[str, str]]:
    """The agents of this checkout by name, and why others' tables cannot be read: they may need an environment of their own."""
    found, unreadable = {}, {}
    for module in pkgutil.iter_modules(agents.__path__):
        if importlib.util.find_spec(f"agents.{module.name}.agent") is None:
            continue
        try:
            found[module.name] = agent_class(module.name)
        except Exception as error:  # whatever an import of somebody's agent raises: the others are listed all the same
            unreadable[module.name] = f"{type(error).__name__}: {error}"
    return found, unreadable


def topic_lines(tables: dict[str, type[Agent]]) -> list[TopicLine]:
    """Every declared topic."""
    return [_topic_line(topic, tables) for topic in vocabulary.topics().values()]


def command_lines(tables: dict[str, type[Agent]], unreadable: set[str]) -> list[CommandLine]:
    """Every declared command."""
    answered = {entry.command.name for agent in tables.values() for entry in table(agent) if isinstance(entry, Answer)}
    return [_command_line(command, answered, unreadable) for command in vocabulary.commands().values()]


def _topic_line(topic: Topic[Any], tables: dict[str, type[Agent]]) -> TopicLine:  # of any struct
    publishers = sorted(name for name, agent in tables.items() if topic in agent.publishes)
    if topic in TOPICS:
        publishers = ["every supervisor"] if topic in SUPERVISED else ["every agent"]
    return TopicLine(
        topic=topic.name,
        delivery=topic.delivery.value,
        rate_hz=topic.rate_hz,
        struct=topic.type.__name__,
        publishers=publishers,
        summary=_summary(topic.type),
    )


def _command_line(command: Command[Any, Any], answered: set[str], unreadable: set[str]) -> CommandLine:  # of any structs
    return CommandLine(
        command=command.name,
        request=command.request.__name__,
        reply=command.reply.__name__,
        answered=None if command.agent in unreadable else command.name in answered,
        takes=field_names(command.request),
    )


def _summary(kind: type[Any]) -> str:
    """The first sentence of a struct's docstring."""
    return (kind.__doc__ or "").strip().partition("\n")[0].partition(". ")[0].rstrip(".")


def _topic_table(lines: list[TopicLine]) -> Table:
    rows = [(line.topic, line.delivery, _rate(line), line.struct, ", ".join(line.publishers), one_line(line.summary)) for line in lines]
    return drawn(("topic", "delivery", "Hz", "struct", "published by", "what it says"), rows, right=("Hz",))


def _rate(line: TopicLine) -> str:
    return "" if line.rate_hz is None else f"{line.rate_hz:g}"


def _command_table(lines: list[CommandLine]) -> Table:
    marks = {True: "", False: "no handler", None: "unknown"}
    rows = [(line.command, line.request, line.reply, marks[line.answered], ", ".join(line.takes)) for line in lines]
    return drawn(("command", "request", "reply", "", "takes"), rows)
