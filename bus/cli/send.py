"""`bus send`: publish one event."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from bus.cli.options import seconds
from bus.cli.output import say
from bus.cli.payload import decode_json, read_argument
from bus.cli.vocabulary import complete_topic, find_topic
from bus.client import Client, connect
from bus.topic import LATEST, Topic


def send(
    topic: Annotated[str, typer.Argument(metavar="TOPIC", autocompletion=complete_topic)],
    json: Annotated[str, typer.Argument(metavar="JSON", help="The event's data; - reads it from standard input.")],
    timeout: Annotated[float, typer.Option(metavar="S", parser=seconds, help="Seconds to wait until it is on disk.")] = 5.0,
) -> None:
    """Publish one event, and print its id once it is on disk.

    The data is checked against the topic's struct. An event of a LATEST topic is not waited for: nobody acknowledges those.

    \b
    bus send train.eval '{"step": 10, "loss": 2.1, "bits_per_byte": 1.2, "tokens": 4096}'
    jq .data event.json | bus send train.eval -
    """
    declared = find_topic(topic)
    data = decode_json(read_argument(json), declared.type, topic)
    client = connect()
    try:
        say(_publish(client, declared, data, timeout))
    finally:
        client.abandon()  # what is not acknowledged by now was waited for already


def _publish(client: Client, topic: Topic[Any], data: object, timeout: float) -> str:  # data is of the topic's own struct
    if topic.delivery is LATEST:
        client.publisher.listeners.wait(LATEST, b"", timeout)
        return client.publish(topic, data)
    event_id = client.publish(topic, data)
    client.flush(timeout)
    return event_id
