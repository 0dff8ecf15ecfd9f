"""Unreal's Remote Control as messages: what goes over HTTP and WebSocket between a client and an engine, either way.

Source: Epic's "Remote Control API HTTP Reference" and "Remote Control API WebSocket Reference", Unreal Engine 5.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct

HTTP_PORT, WEBSOCKET_PORT = 30010, 30020
"""Unreal's own."""
BODY_LIMIT = 4 << 20
"""Bytes of a request or an answer at most."""
BATCH_LIMIT = 2000
"""Requests in a batch at most."""
PASSPHRASE = "Passphrase"
"""The header in which a client proves that it may ask from another machine."""

LEVEL = "PersistentLevel"
ACTORS = "/Script/UnrealEd.Default__EditorActorSubsystem"
SYSTEM = "/Script/Engine.Default__KismetSystemLibrary"
AUTOMATION = "/Script/FunctionalTesting.Default__AutomationBlueprintFunctionLibrary"
SHAPES = "/Engine/BasicShapes"
"""Cube, Sphere, Cylinder, Cone and Plane, one metre across, as `/Engine/BasicShapes/Cube.Cube`."""


class Call(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`PUT /remote/object/call`."""

    objectPath: str
    functionName: str
    parameters: dict[str, Any] = {}  # Any: JSON, by function
    generateTransaction: bool = False


class Property(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`PUT /remote/object/property`. Without a name: all of them."""

    objectPath: str
    access: str = "READ_ACCESS"
    propertyName: str | None = None
    propertyValue: Any = None  # as above


class Request(Struct, frozen=True, kw_only=True):
    """One request of a batch."""

    RequestId: int
    URL: str
    Verb: str
    Body: Any = None  # as above


class Batch(Struct, frozen=True, kw_only=True):
    """`PUT /remote/batch`."""

    Requests: list[Request]


class Error(Struct, frozen=True, kw_only=True):
    """What is said instead of an answer."""

    errorMessage: str


class Parameters(Struct, frozen=True, kw_only=True):
    """An HTTP request inside a WebSocket message."""

    RequestId: int
    Url: str
    Verb: str
    Body: Any = None  # as above
