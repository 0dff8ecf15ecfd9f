"""`bus tail`: follow events."""

from __future__ import annotations

import shutil
import time as clock
from collections.abc import Callable, Iterator
from typing import Annotated, Any

import typer

from bus.cli.exits import TIMED_OUT, Mistyped
from bus.cli.line import event_line, json_line
from bus.cli.options import Json, seconds
from bus.cli.output import has_colour, is_terminal, say, warn
from bus.cli.vocabulary import complete_source, complete_topic, read_patterns
from bus.client import Client, connect
from bus.errors import CorruptFrame
from bus.event import Event
from bus.history import since_time
from bus.lifecycle import HEARTBEAT
from bus.wire import CONTROL_PREFIXES, Envelope, decode_envelope, to_event

UNASKED = (*CONTROL_PREFIXES, HEARTBEAT.name)
"""Prefixes of what is only shown when it is asked for: the bus's own traffic, and what repeats each second."""


def tail(
    topics: Annotated[list[str] | None, typer.Argument(metavar="TOPIC", autocompletion=complete_topic)] = None,
    since: Annotated[str | None, typer.Option(metavar="AGO", help="First what was recorded since: 30s, 10m, 2h, 1d.")] = None,
    count: Annotated[int | None, typer.Option(metavar="N", min=1, help="Exit after N events.")] = None,
    source: Annotated[str | None, typer.Option("--from", metavar="SOURCE", autocompletion=complete_source, help="Only from it.")] = None,
    timeout: Annotated[float | None, typer.Option(metavar="S", parser=seconds, help="Exit after S seconds without an event.")] = None,
    json: Json = False,
) -> None:
    """Follow events as they happen.

    TOPIC is a name (train.step) or a domain (train.). Without one: every fact but heartbeats. Commands and replies are shown when
    asked for, as command. and reply.

    \b
    bus tail train.step --since 10m
    bus tail train. power.sample --json --count 100 --timeout 5
    """
    check_duration(since, "--since")
    patterns, warnings = read_patterns(topics or [])
    for warning in warnings:
        warn(f"{warning}: waiting for it all the same")
    show = printer(json)
    with connect() as client:
        shown = 0
        for event in _follow(client, patterns, since, source, timeout):
            show(event)
            shown += 1
            if shown == count:
                return
        if client.rejections.total:
            warn(f"{client.rejections.total} frames did not decode: the recorder publishes agent.rejected with the reason")
    if count is not None or not shown:
        warn(f"{shown} of {count} events, then none for {timeout} s" if count else f"no event within {timeout} s")
        raise typer.Exit(TIMED_OUT)


def check_duration(typed: str | None, option: str) -> None:
    """Raises Mistyped for what `since_time` does not read."""
    try:
        since_time(typed or 0)
    except ValueError:
        raise Mistyped(f"{option} {typed!r}: want a number and a unit, as 30s, 10m, 2h or 1d") from None


def printer(json: bool) -> Callable[[Event[Any]], None]:  # of whichever topic
    """Prints events: JSON, else lines, which are cut and coloured for a terminal only."""
    if json:
        return lambda event: say(json_line(event))
    colour = has_colour()
    if not is_terminal():
        return lambda event: say(event_line(event, None, colour))
    return lambda event: say(event_line(event, shutil.get_terminal_size().columns, colour))


def is_wanted(topic: str, patterns: list[str]) -> bool:
    """What is asked for is shown; unasked, everything but `UNASKED`."""
    return bool(patterns) or not topic.startswith(UNASKED)


def _follow(
    client: Client, patterns: list[str], since: str | None, source: str | None, timeout: float | None
) -> Iterator[Event[Any]]:  # of every topic
    """The wanted events, until none came for `timeout` seconds."""
    reader = Reader()
    last = clock.monotonic()
    for received in client.received(patterns, since, timeout):
        if is_wanted(received.topic, patterns) and source in (None, received.envelope.source):
            yield from reader.read(received.topic, received.envelope)
            last = clock.monotonic()
        elif timeout is not None and clock.monotonic() - last >= timeout:
            return


class Reader:
    """Decodes data as plain values; says once a topic what does not decode, and counts it."""

    def __init__(self) -> None:
        self.undecodable = 0
        self._complained: set[str] = set()

    def read(self, topic: str, event_map: Envelope | bytes) -> Iterator[Event[Any]]:  # data as MessagePack has it
        """The event, or nothing."""
        try:
            envelope = event_map if isinstance(event_map, Envelope) else decode_envelope(topic, event_map)
            yield to_event(topic, envelope, object)
        except CorruptFrame as error:
            self.undecodable += 1
            if topic not in self._complained:
                self._complained.add(topic)
                warn(f"{error} (said once a topic)")
