"""Serves an agent that a test defines, as its process would: on a real hub, by the real runtime, in a thread of the test."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from conftest import Appliance, wait_for

from bus.address import ipc_addresses
from bus.agent import Agent
from bus.client import Client
from bus.runtime import AgentBus, Runtime


@contextmanager
def serving(appliance: Appliance, kind: type[Agent]) -> Iterator[Agent]:
    """The agent, once it takes commands; at the end it is stopped and all that it published is on disk."""
    served: list[tuple[asyncio.AbstractEventLoop, asyncio.Event, Agent, Client]] = []
    thread = threading.Thread(target=lambda: asyncio.run(_serve(appliance, kind, served)), daemon=True)
    thread.start()
    loop, stopping, agent, client = wait_for(lambda: served, f"the agent {kind.name} to start")[0]
    appliance.wait_for_agent(client, kind.name)
    try:
        yield agent
    finally:
        loop.call_soon_threadsafe(stopping.set)
        thread.join(10)
        assert not thread.is_alive(), f"{kind.name} did not stop"


async def _serve(appliance: Appliance, kind: type[Agent], served: list[Any]) -> None:
    client = Client(kind.name, ipc_addresses(appliance.home))
    stopping = asyncio.Event()
    agent = kind(AgentBus(client), kind.Settings(), appliance.artifacts)
    runtime = Runtime(agent, client, stopping)
    try:
        assert await runtime.reach_hub()
        served.append((asyncio.get_running_loop(), stopping, agent, client))
        await runtime.run()
    finally:
        client.abandon()
