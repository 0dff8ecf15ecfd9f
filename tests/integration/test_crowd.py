"""A thousand subscribers that join and leave while a publisher publishes: each is heard and served, and then forgotten."""

from __future__ import annotations

import resource

import psutil
from conftest import Appliance, wait_for
from parties.publish import Numbered
from test_faults import assert_kept, await_progress, publish, start, stop_publishing

from bus.client import Client
from bus.topic import Topic

CROWD = 1000
PROCESSES = 4
EACH = CROWD // PROCESSES
EVERYBODY = Topic("crowd.all", Numbered)
MOST_HUB_BYTES = 128 * 2**20
USUAL_DESCRIPTORS = 1024
"""What a process may open on a usual Linux unless it asks for more."""


def own(n: int) -> Topic[Numbered]:
    return Topic(f"crowd.n{n}", Numbered)


def heard(client: Client) -> set[bytes]:
    """The crowd's own subscriptions as they have arrived at a publisher."""
    with client.publisher.lock:
        return {prefix for prefix in client.publisher.listeners.heard[EVERYBODY.delivery] if prefix.startswith(b"crowd.n")}


def join(appliance: Appliance) -> None:
    for number in range(PROCESSES):
        appliance.party(f"crowd-{number}", "crowd.py", str(number * EACH), str(EACH))


def served(appliance: Appliance) -> tuple[int, int]:
    """How many of the crowd have got an event of their own, and how many one for everybody."""
    lines = [appliance.output(f"crowd-{number}").splitlines()[-1].split() for number in range(PROCESSES)]
    return sum(int(line[0]) for line in lines), sum(int(line[1]) for line in lines)


def leave(appliance: Appliance, number: int) -> None:
    """Half of the processes say goodbye to the hub, half are killed."""
    process = appliance.processes[f"crowd-{number}"]
    if number % 2:
        process.kill()
    else:
        process.terminate()
    process.wait(20)


def test_a_thousand_subscribers_join_are_served_and_are_forgotten(appliance: Appliance) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (USUAL_DESCRIPTORS, hard))
    try:
        start(appliance, "hub", "recorder")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    client = appliance.connect()
    publish(appliance, "publisher", "--rate", "500")
    hub = psutil.Process(appliance.processes["hub"].pid)
    descriptors = hub.num_fds()
    for _ in range(2):
        join(appliance)
        wait_for(lambda: len(heard(client)) == CROWD, f"{CROWD} subscriptions to arrive")
        await_progress(appliance, "publisher")
        for n in range(CROWD):
            client.publish(own(n), Numbered(n=n, filler=b""))
        client.publish(EVERYBODY, Numbered(n=0, filler=bytes(1000)))
        wait_for(lambda: served(appliance) == (CROWD, CROWD), "everybody to be served")
        assert hub.memory_info().rss < MOST_HUB_BYTES
        for number in range(PROCESSES):
            leave(appliance, number)
        wait_for(lambda: not heard(client), "the hub to forget them")
        await_progress(appliance, "publisher")
    wait_for(lambda: hub.num_fds() <= descriptors + 2, "the hub to close their connections")
    stop_publishing(appliance, "publisher")
    assert_kept(appliance)
