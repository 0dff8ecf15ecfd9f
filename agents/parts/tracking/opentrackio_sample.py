"""OpenTrackIO's sample, as far as a camera's pose needs it.

Source: OpenTrackIO 1.0.1's JSON schema (opentrackio.org/schema.json), names and bounds alike.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Annotated, Any, NoReturn

import cbor2
import msgspec
from msgspec import Meta, Struct

from agents.parts.tracking.errors import NotTaken
from agents.parts.tracking.opentrackio_packet import Encoding

PROTOCOL = "OpenTrackIO"
DEEPEST = 16
"""Of what in a sample of CBOR lies in what; the schema's deepest is 6."""

Text = Annotated[str, Meta(min_length=1, max_length=1023)]
Uuid = Annotated[str, Meta(pattern="^urn:uuid:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")]
Unsigned32 = Annotated[int, Meta(ge=0, le=2**32 - 1)]
Unsigned48 = Annotated[int, Meta(ge=0, le=2**48 - 1)]


class Part(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A part of a sample: all that it has is optional, and what is not given is not sent."""


class Protocol(Part, frozen=True, kw_only=True):
    name: Text
    version: tuple[int, int, int]


class Size(Part, frozen=True, kw_only=True):
    """Millimetres."""

    height: Annotated[float, Meta(ge=0)]
    width: Annotated[float, Meta(ge=0)]


class Camera(Part, frozen=True, kw_only=True):
    active_sensor_physical_dimensions: Size | None = None
    label: Text | None = None


class Static(Part, frozen=True, kw_only=True):
    """What stays as it is from sample to sample."""

    camera: Camera | None = None


class Tracker(Part, frozen=True, kw_only=True):
    notes: Text | None = None


class Rate(Part, frozen=True, kw_only=True):
    """Samples a second, as a fraction."""

    num: Annotated[int, Meta(ge=1, le=2**31 - 1)]
    denom: Annotated[int, Meta(ge=1, le=2**32 - 1)]


class Timestamp(Part, frozen=True, kw_only=True):
    seconds: Unsigned48
    nanoseconds: Unsigned32


class Timing(Part, frozen=True, kw_only=True):
    """`mode` is `internal` where the sample itself says when it was taken. With `recorded_timestamp` it is played back."""

    mode: Text | None = None
    recorded_timestamp: Timestamp | None = None
    sample_rate: Rate | None = None
    sample_timestamp: Timestamp | None = None
    sequence_number: Unsigned32 | None = None


class Lens(Part, frozen=True, kw_only=True):
    """`pinhole_focal_length` in millimetres."""

    pinhole_focal_length: Annotated[float, Meta(gt=0)] | None = None


class Translation(Struct, frozen=True, kw_only=True):
    """Metres: X right, Y forward, Z up."""

    x: float = 0.0
    y: float = 0.0
    z: float = 0.0


class Rotation(Struct, frozen=True, kw_only=True):
    """Degrees: pan about Z (positive to the left), then tilt about X (up), then roll about Y (clockwise from behind)."""

    pan: float = 0.0
    tilt: float = 0.0
    roll: float = 0.0


class Scale(Struct, frozen=True, kw_only=True):
    """Factors."""

    x: float = 1.0
    y: float = 1.0
    z: float = 1.0


class Transform(Part, frozen=True, kw_only=True):
    translation: Translation
    rotation: Rotation
    scale: Scale | None = None
    id: Text | None = None


class Sample(Part, frozen=True, kw_only=True):
    """`transforms` go from the stage to the camera, each within the one before. A source's number is from 1 to 200."""

    protocol: Protocol | None = None
    sample_id: Uuid | None = None
    source_id: Uuid | None = None
    source_number: Annotated[int, Meta(ge=1, le=200)] | None = None
    static: Static | None = None
    tracker: Tracker | None = None
    timing: Timing | None = None
    lens: Lens | None = None
    transforms: Annotated[tuple[Transform, ...], Meta(min_length=1, max_length=16)]


def write(sample: Sample, encoding: Encoding) -> bytes:
    """The sample as a payload."""
    if encoding == "json":
        return msgspec.json.encode(sample)
    return cbor2.dumps(msgspec.to_builtins(sample))


def read(payload: bytes, encoding: Encoding) -> Sample:
    """The sample that a payload is; what it has besides is ignored. Raises NotTaken."""
    try:
        if encoding == "json":
            return msgspec.json.decode(payload, type=Sample)
        return msgspec.convert(_plain(payload), Sample)
    except (msgspec.MsgspecError, cbor2.CBORDecodeError, ValueError, RecursionError) as error:  # a ValueError: no UTF-8
        raise NotTaken("unreadable sample", f"a sample in {encoding} that is none: {error}") from error


def _plain(payload: bytes) -> Any:  # Any: whatever it is, msgspec judges
    """CBOR without tags, which make objects of many kinds out of a few bytes. Raises CBORDecodeError."""
    return cbor2.loads(payload, max_depth=DEEPEST, tag_hook=_refuse_tag, semantic_decoders=defaultdict(lambda: _refuse_tag))


def _refuse_tag(*_: object) -> NoReturn:
    raise ValueError("a tag: OpenTrackIO has none")
