"""The AsyncAPI 3.0 document of this bus (asyncapi.com/docs/reference/specification/v3.0.0), made from the structs alone. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib.metadata import version
from typing import Any

import msgspec

from bus.address import ipc_addresses
from bus.home import Home
from bus.topic import Command, Delivery, Topic
from bus.wire import CommandCall, CommandError, Envelope

Node = dict[str, Any]
"""A JSON object of the document."""

_DESCRIPTION = """Typed events between the agents of one appliance; docs/wire.md is the whole protocol.

One ZeroMQ frame carries the topic in UTF-8, one NUL byte, and one MessagePack array of one or more event maps. The payloads here \
describe one event map. Publishers connect an XPUB or PUB socket to a plane's `in`, subscribers a SUB socket to its `out`, and \
subscribe to the topic and its NUL. DURABLE topics, commands and replies travel on the plane `events`, LATEST topics on `latest`."""
_ENVELOPE = "#/components/schemas/EventMap"


def asyncapi(topics: Mapping[str, Topic[Any]], commands: Mapping[str, Command[Any, Any]], home: Home) -> Node:
    """The document, for somebody who joins the bus: an operation to send and to receive each topic, one to call each command."""
    kinds: list[type[Any]] = [*_kinds(topics.values(), commands.values()), Envelope, CommandCall, CommandError]
    references, schemas = _schemas(kinds)
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "zeropoint-bus", "version": version("zeropoint-bus"), "description": _DESCRIPTION},
        "defaultContentType": "application/msgpack",
        "servers": _servers(home),
        "channels": {
            **{topic.name: _topic_channel(topic) for topic in topics.values()},
            **{key: channel for command in commands.values() for key, channel in _command_channels(command).items()},
        },
        "operations": {
            **{key: operation for name in topics for key, operation in _topic_operations(name).items()},
            **{f"call.{command.name}": _call(command) for command in commands.values()},
        },
        "components": {
            "messages": {
                **{topic.name: _message(topic.name, references[topic.type]) for topic in topics.values()},
                **{key: node for command in commands.values() for key, node in _command_messages(command, references).items()},
            },
            "schemas": schemas,
        },
    }


def _kinds(topics: Iterable[Topic[Any]], commands: Iterable[Command[Any, Any]]) -> list[type[Any]]:
    return [*(topic.type for topic in topics), *(kind for command in commands for kind in (command.request, command.reply))]


def _schemas(kinds: list[type[Any]]) -> tuple[dict[type[Any], Node], Node]:
    """A reference for each type, and the schemas that they refer to; the envelope under the name that docs/wire.md gives it."""
    unique = list(dict.fromkeys(kinds))
    references, schemas = msgspec.json.schema_components(unique, ref_template="#/components/schemas/{name}")
    schemas["EventMap"] = {**schemas.pop("Envelope"), "title": "EventMap", "description": "What travels around every topic's data."}
    return dict(zip(unique, references, strict=True)), schemas


def _servers(home: Home) -> Node:
    addresses = ipc_addresses(home)
    planes = {delivery: addresses.plane(delivery) for delivery in Delivery}
    names = {Delivery.DURABLE: "events", Delivery.LATEST: "latest"}
    return {
        **{f"{names[delivery]}-in": _server(plane.inlet, "Publishers connect here.") for delivery, plane in planes.items()},
        **{f"{names[delivery]}-out": _server(plane.outlet, "Subscribers connect here.") for delivery, plane in planes.items()},
    }


def _server(address: str, description: str) -> Node:
    protocol, _, path = address.partition("://")
    return {"host": "localhost", "pathname": path, "protocol": f"zmq+{protocol}", "description": f"{description} {address}"}


def _topic_channel(topic: Topic[Any]) -> Node:
    plane = "latest" if topic.delivery is Delivery.LATEST else "events"
    rate = "" if topic.rate_hz is None else f", {topic.rate_hz:g} a second"
    return {**_channel(topic.name, topic.name, plane), "description": f"{topic.delivery.name}{rate}."}


def _command_channels(command: Command[Any, Any]) -> Node:
    reply = _channel(None, f"reply.{command.name}", "events")
    return {
        command.topic: _channel(command.topic, command.topic, "events"),
        f"reply.{command.name}": {**reply, "description": "The topic `reply.<inbox>`, with the inbox that the request named."},
    }


def _channel(address: str | None, message: str, plane: str) -> Node:
    return {
        "address": address,
        "messages": {"event": {"$ref": f"#/components/messages/{message}"}},
        "servers": [{"$ref": f"#/servers/{plane}-in"}, {"$ref": f"#/servers/{plane}-out"}],
    }


def _topic_operations(name: str) -> Node:
    messages = [{"$ref": f"#/channels/{name}/messages/event"}]
    return {
        f"{action}.{name}": {"action": action, "channel": {"$ref": f"#/channels/{name}"}, "messages": messages}
        for action in ("send", "receive")
    }


def _call(command: Command[Any, Any]) -> Node:
    reply = f"#/channels/reply.{command.name}"
    return {
        "action": "send",
        "channel": {"$ref": f"#/channels/{command.topic}"},
        "messages": [{"$ref": f"#/channels/{command.topic}/messages/event"}],
        "reply": {
            "address": {"location": "$message.payload#/data/inbox", "description": "The reply's topic is `reply.` and this name."},
            "channel": {"$ref": reply},
            "messages": [{"$ref": f"{reply}/messages/event"}],
        },
    }


def _command_messages(command: Command[Any, Any], references: Mapping[type[Any], Node]) -> Node:
    call = {"allOf": [references[CommandCall], {"properties": {"request": references[command.request]}}]}
    # Not from CommandReply: msgspec makes no schema of a struct with a Raw default.
    reply = {"type": "object", "properties": {"result": references[command.reply], "error": references[CommandError]}}
    return {
        command.topic: _message(command.topic, call),
        f"reply.{command.name}": _message(f"reply.{command.name}", reply),
    }


def _message(name: str, data: Node) -> Node:
    return {
        "name": name,
        "contentType": "application/msgpack",
        "payload": {"allOf": [{"$ref": _ENVELOPE}, {"properties": {"data": data}}]},
    }
