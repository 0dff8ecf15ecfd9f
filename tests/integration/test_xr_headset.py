"""A headset in a real browser and the agent itself: what is worn is on the bus, also after the agent was killed."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import PATIENCE, browsing, headset
from conftest import Appliance
from playwright.sync_api import Page, expect

from bus.client import Client
from bus.event import Event
from bus.topic import Nothing
from schemas import xr

WAIT = 15.0


@pytest.fixture
def client(appliance: Appliance) -> Client:
    """An appliance with the agent, whose page stays at one address."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    appliance.start("hub", "recorder", "xr", BUS_XR_PORT=str(port))
    client = appliance.connect()
    appliance.wait_for_agent(client, "xr")
    return client


@pytest.fixture
def page(client: Client, tmp_path: Path) -> Iterator[Page]:
    """The agent's page with a headset on."""
    worn, address = headset(tmp_path), client.call(xr.STATUS, Nothing(), timeout=WAIT).page
    assert address is not None
    with browsing() as browser:
        page = browser.new_page()
        page.set_default_timeout(PATIENCE)
        page.add_init_script(worn)
        page.goto(address)
        yield page


def next_head(client: Client) -> Event[xr.Pose]:
    return next(client.events(xr.HEAD, timeout=WAIT))


def test_the_poses_of_a_headset_are_on_the_bus_and_come_back_after_the_agent_was_killed(
    appliance: Appliance, client: Client, page: Page
) -> None:
    page.evaluate("headset.position.set(0.25, 1.75, -0.5); headset.controllers.left.updateButtonValue('trigger', 0.75)")
    page.click("#immersive-vr")
    before, held = next_head(client), next(client.events(xr.CONTROLLER_LEFT, timeout=WAIT))

    appliance.kill("xr")
    expect(page.locator("#connection")).to_contain_text("away")
    expect(page.locator("#connection")).to_have_text("connected")
    after = next_head(client)

    assert before.data.position == after.data.position == (0.25, 1.75, -0.5)
    assert (before.data.kind, before.data.origin, held.data.buttons[0].value) == ("simulated", "webxr", 0.75)
    assert before.time < after.time and before.data.sequence < after.data.sequence
    assert before.data.uncertainty is not None and before.data.sent is not None
    first, again = (event.data for event in list(client.events(xr.STARTED, since="5m", timeout=1)))
    assert (first.session, first.mode) == (again.session, "immersive-vr")
