"""The log for tools that read JSON and not MessagePack, as Foxglove: an MCAP file with JSON messages.

Foxglove wants the message encoding `json` and, of the schema encoding `jsonschema`, an object with internal references alone
(https://docs.foxglove.dev/docs/getting-started/custom/custom-schema-encodings).
"""

from __future__ import annotations

from typing import BinaryIO

import msgspec
from mcap.records import Channel, Schema

from bus.log.chunks import ChunkedFile
from bus.log.pending import MAX_CHANNELS
from bus.log.records import MESSAGE, MESSAGE_FIELDS, MESSAGE_HEAD, PREFIX, Entry
from bus.log.schema import event_schema
from bus.log.segment import Schemas


class JsonFile:
    """An MCAP file under way: a channel for each topic and plane, chunks, zstd, indexes."""

    def __init__(self, file: BinaryIO, types: Schemas) -> None:
        self._types = types
        self._schemas: dict[int, Schema] = {}
        self._channels: dict[int, Channel] = {}
        self._numbers: dict[tuple[str, str], int] = {}
        self._file = ChunkedFile(file, self._schemas, self._channels)

    def add(self, entry: Entry, json: bytes) -> None:
        """One event: `json` takes the place of its map. Raises ValueError for more topics than a file can hold."""
        number = self._numbers.get((entry.topic, entry.delivery)) or self._declare(entry.topic, entry.delivery)
        size = MESSAGE_FIELDS.size + len(json)
        record = MESSAGE_HEAD.pack(MESSAGE, size, number, entry.sequence, entry.log_time, entry.publish_time) + json
        self._file.add(record, [(MESSAGE, PREFIX.size, len(record))])

    def finish(self) -> None:
        self._file.finish()

    def _declare(self, topic: str, delivery: str) -> int:
        number = len(self._channels) + 1
        if number > MAX_CHANNELS:
            raise ValueError(f"more than {MAX_CHANNELS} topics in one MCAP file: name fewer with --topic")
        self._schemas[number] = Schema(id=number, name=topic, encoding="jsonschema", data=json_schema(topic, self._types))
        self._channels[number] = Channel(id=number, topic=topic, message_encoding="json", schema_id=number, metadata={"delivery": delivery})
        self._numbers[topic, delivery] = number
        return number


def json_schema(topic: str, types: Schemas) -> bytes:
    """JSON Schema of an exported event: its map, and the id and topic that a line of `bus tail --json` has as well."""
    schema = msgspec.json.decode(event_schema(topic, types.get(topic)))
    schema["properties"] = {"id": {"type": "string"}, "topic": {"type": "string"}, **schema["properties"]}
    return msgspec.json.encode(schema)
