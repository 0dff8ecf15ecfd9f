"""What clients send, as the server reads it: with what is inside left as it came, for whoever it is meant for.

A client's side of the same messages is in agents/parts/remote_control.py.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Raw, Struct

from agents.parts.remote_control import BATCH_LIMIT

NO_ID = -1
"""Whose answer names this, has not said what its request is called."""
NO_BODY = Raw(b"null")

Id = Annotated[int, Meta(ge=-(1 << 31), lt=1 << 31)]
Access = Literal["READ_ACCESS", "WRITE_ACCESS", "WRITE_TRANSACTION_ACCESS", "WRITE_MANUAL_TRANSACTION_ACCESS"]


class Call(Struct, frozen=True, forbid_unknown_fields=True):
    """`PUT /remote/object/call`. There is no history of transactions here: asking for one changes nothing."""

    objectPath: str
    functionName: str
    parameters: Raw = Raw(b"{}")
    generateTransaction: bool = False
    access: str = ""


class PropertyAccess(Struct, frozen=True, forbid_unknown_fields=True):
    """`PUT /remote/object/property`. Without a name: all properties."""

    objectPath: str
    access: Access = "READ_ACCESS"
    propertyName: str = ""
    propertyValue: dict[str, Raw] = {}
    generateTransaction: bool = False


class ObjectName(Struct, frozen=True, forbid_unknown_fields=True):
    """`PUT /remote/object/describe` and `/remote/object/thumbnail`."""

    objectPath: str


class Request(Struct, frozen=True, forbid_unknown_fields=True):
    """One request of a batch."""

    URL: str
    Verb: str
    RequestId: Id = NO_ID
    Body: Raw = NO_BODY


class Batch(Struct, frozen=True, forbid_unknown_fields=True):
    """`PUT /remote/batch`."""

    Requests: Annotated[list[Request], Meta(max_length=BATCH_LIMIT)]


class Enclosed(Struct, frozen=True, forbid_unknown_fields=True):
    """An HTTP request in a message of a WebSocket; other messages leave all of it out."""

    RequestId: Id = NO_ID
    Url: str = ""
    Verb: str = ""
    Body: Raw = NO_BODY


class Message(Struct, frozen=True, forbid_unknown_fields=True):
    """A message of a WebSocket."""

    MessageName: str
    Parameters: Enclosed = Enclosed()
    Id: Any = None  # Any: the client's own, which nothing here looks at
