"""The JSON Schema of a topic's event map: the envelope, with the topic's struct as its data."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from bus.wire import Envelope

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def event_schema(name: str, data: type[Struct] | None) -> bytes:
    """JSON Schema (draft 2020-12) of the event maps of one topic; without a struct, `data` is free."""
    types: list[type[Struct]] = [Envelope] if data is None else [Envelope, data]
    references, definitions = msgspec.json.schema_components(types, ref_template="#/$defs/{name}")
    envelope = definitions.pop(references[0]["$ref"].removeprefix("#/$defs/"))
    if data is not None:
        envelope["properties"]["data"] = references[1]
    return msgspec.json.encode({"$schema": _DIALECT, **envelope, "title": name, "$defs": definitions})
