"""`bus top`: agents and topics, live."""

from __future__ import annotations

import contextlib
import time as clock
from collections.abc import Iterator
from typing import Annotated

import psutil
import typer

from bus.cli.gauges import AgentRow, Gauges, Snapshot
from bus.cli.output import console, is_terminal, json_text, say, show
from bus.cli.tables import snapshot_tables
from bus.cli.vocabulary import topics
from bus.client import CONNECT_TIMEOUT, Client, connect
from bus.errors import AgentGone, BusTimeout, CommandRefused, CorruptFrame, NoHub, NoSuchAgent
from bus.home import Home, find_home
from bus.lifecycle import TOPICS
from bus.lock import is_held
from bus.subscriber import Received, Subscriber
from bus.supervisor import names
from bus.wire import to_event
from schemas import system

MEASURE = 2.3
"""Seconds until each agent has sent two heartbeats, whose difference is a rate."""
REFRESH = 1.0
STATUS_TIMEOUT = 1.0
_TYPES = {topic.name: topic.type for topic in TOPICS}


def top(
    once: Annotated[bool, typer.Option("--once", help="Measure for two seconds, print, exit.")] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON object a second, or with --once a single one.")] = False,
) -> None:
    """Watch agents and topics.

    State, uptime, memory, restarts, events a second, what waits to be recorded and what is late. A topic is LATE that falls behind
    the rate it was declared with. An agent is silent after three seconds without a heartbeat, and down where nothing was heard of it.
    Without a terminal it prints once.

    \b
    bus top
    bus top --once --json | jq '.agents[] | select(.state != "running")'
    """
    home = find_home()
    with connect() as client, contextlib.closing(_subscribe(client)) as subscriber:
        snapshots = _snapshots(client, subscriber, home)
        if once or not (json or is_terminal()):
            _print(next(snapshots), json)
        elif json:
            for snapshot in snapshots:
                _print(snapshot, json)
        else:
            _watch(snapshots)


def _subscribe(client: Client) -> Subscriber:
    subscriber = Subscriber(client.context, client.addresses, ["agent."], on_rejected=client.rejections.add)
    subscriber.await_ready(client.publisher, CONNECT_TIMEOUT)
    return subscriber


def _snapshots(client: Client, subscriber: Subscriber, home: Home) -> Iterator[Snapshot]:
    """One after the first measurement, then one each second."""
    gauges = Gauges((name for name in names(home) if name != "hub"), topics())
    _listen(subscriber, gauges, MEASURE)
    while True:
        now, recorder = clock.monotonic(), _recorder(client)
        yield Snapshot(
            time=clock.time_ns(),
            home=str(home.root),
            agents=[hub_row(home), *gauges.agents(now, client.publisher.listeners.agents())],
            topics=gauges.topics(now, recorder),
            recorder=recorder,
        )
        _listen(subscriber, gauges, REFRESH)


def _listen(subscriber: Subscriber, gauges: Gauges, seconds: float) -> None:
    until = clock.monotonic() + seconds
    while (left := until - clock.monotonic()) > 0:
        if subscriber.wait(left):
            for received in subscriber.drain():
                _take(received, gauges)


def _take(received: Received, gauges: Gauges) -> None:
    with contextlib.suppress(CorruptFrame):  # the recorder keeps it and agents report it; a gauge has no use for it
        gauges.add(to_event(received.topic, received.envelope, _TYPES.get(received.topic, object)), clock.monotonic())


def hub_row(home: Home) -> AgentRow:
    """The hub runs no Python per message and says nothing of itself: its lock and the system do."""
    if not is_held(home.lock("hub")):
        return AgentRow(name="hub", state="down", reason="nobody holds its lock")
    try:
        process = psutil.Process(int(home.lock("hub").read_text()))
        uptime = clock.time() - process.create_time()
        return AgentRow(name="hub", state="running", uptime=uptime, memory=process.memory_info().rss)
    except (OSError, ValueError, psutil.Error) as error:
        return AgentRow(name="hub", state="running", reason=f"its process cannot be looked at: {error}")


def _recorder(client: Client) -> system.RecorderStatus | None:
    try:
        return client.call(system.STATUS, timeout=STATUS_TIMEOUT)
    except (NoHub, NoSuchAgent, AgentGone, BusTimeout, CommandRefused):  # its row says so
        return None


def _print(snapshot: Snapshot, json: bool) -> None:
    if json:
        say(json_text(snapshot))
    else:
        show(snapshot_tables(snapshot))


def _watch(snapshots: Iterator[Snapshot]) -> None:
    from rich.live import Live

    with Live(console=console(), screen=True, auto_refresh=False) as live:
        for snapshot in snapshots:
            live.update(snapshot_tables(snapshot), refresh=True)
