"""A camera's pose by OpenTrackIO, SMPTE RIS OSVP's protocol of camera tracking.

Format: OpenTrackIO 1.0.1 (opentrackio.org). The axes are those of stage.py, with pan positive to the left: turns are by the right hand.
Times are seconds since the Unix epoch by this machine's clock. A sample has a field of view only as a focal length and a sensor's size:
virtual cameras have no sensor, so theirs is called 36 by 20.25 mm, and the focal length is what gives the field of view on it.
"""

from __future__ import annotations

import math
from uuid import UUID, uuid5

from msgspec import Struct

from agents.parts.rigid import Rigid
from agents.parts.tracking.errors import NotTaken, OutOfRange
from agents.parts.tracking.opentrackio_packet import LARGEST, Encoding, Packet, pack
from agents.parts.tracking.opentrackio_sample import (
    PROTOCOL,
    Camera,
    Lens,
    Protocol,
    Rate,
    Rotation,
    Sample,
    Scale,
    Size,
    Static,
    Timestamp,
    Timing,
    Tracker,
    Transform,
    Translation,
    write,
)
from agents.parts.tracking.stage import StagePose, from_stage, to_stage
from schemas.scene import CameraPose

VERSION = (1, 0, 1)
SENSOR = Size(height=20.25, width=36.0)
"""Of a virtual camera, by agreement: full frame's width, at 16 to 9."""
SOURCES = 200
"""The largest number of a source, which has the multicast group 239.135.1.<number>."""

FARTHEST = 1e6
"""Metres, and degrees, that a transform of somebody else may have."""
OURS = "zeropoint-bus: scene.camera.pose"
"""What the notes of our own samples say: they are of a scene's camera."""

_SECOND = 1_000_000_000
_TRACKER = Tracker(notes=OURS)


class Moment(Struct, frozen=True, kw_only=True):
    """Which sample of a source this is, counted from 0, and when it was taken. `interval_ns` is since the sample before it."""

    source: UUID
    number: int
    sequence: int
    time_ns: int
    interval_ns: int | None = None


def encode(pose: CameraPose, moment: Moment, encoding: Encoding) -> bytes:
    """The packet of a pose. Raises OutOfRange."""
    if not 0 < moment.number <= SOURCES:
        raise OutOfRange(f"source number {moment.number}: OpenTrackIO counts from 1 to {SOURCES}")
    payload = write(_sample(pose, moment), encoding)
    packet = pack(Packet(encoding=encoding, sequence=moment.sequence % (1 << 16), payload=payload))
    if len(packet) > LARGEST:
        raise OutOfRange(f"the sample of {pose.camera!r} takes {len(packet)} bytes, want at most {LARGEST}: give it a shorter label")
    return packet


def place(sample: Sample) -> Rigid:
    """Where the camera is in the frame of the bus: its transforms, composed in their order. Raises NotTaken."""
    composed = Rigid()
    for transform in sample.transforms:
        composed = composed.then(from_stage(_staged(transform)))
    return composed


def time_ns(sample: Sample) -> int | None:
    """When it was taken, in ns of whatever clock its source has; None: it does not say."""
    stamp = sample.timing and sample.timing.sample_timestamp
    return stamp.seconds * _SECOND + stamp.nanoseconds if stamp else None


def _sample(pose: CameraPose, moment: Moment) -> Sample:
    return Sample(
        protocol=Protocol(name=PROTOCOL, version=VERSION),
        sample_id=uuid5(moment.source, str(moment.sequence)).urn,
        source_id=moment.source.urn,
        source_number=moment.number,
        static=Static(camera=Camera(active_sensor_physical_dimensions=SENSOR, label=pose.camera)),
        tracker=_TRACKER,
        timing=_timing(moment),
        lens=None if pose.field_of_view is None else Lens(pinhole_focal_length=SENSOR.width / 2 / math.tan(pose.field_of_view / 2)),
        transforms=(_transform(to_stage(pose)),),
    )


def _timing(moment: Moment) -> Timing:
    """The rate is that of the last interval, as the schema asks of systems whose rate varies."""
    seconds, nanoseconds = divmod(moment.time_ns, _SECOND)
    interval = moment.interval_ns
    return Timing(
        mode="internal",
        sample_rate=Rate(num=_SECOND, denom=interval) if interval is not None and 0 < interval < 1 << 32 else None,
        sample_timestamp=Timestamp(seconds=seconds, nanoseconds=nanoseconds),
        sequence_number=moment.sequence % (1 << 32),
    )


def _transform(pose: StagePose) -> Transform:
    x, y, z = pose.position
    return Transform(translation=Translation(x=x, y=y, z=z), rotation=Rotation(pan=-pose.pan, tilt=pose.tilt, roll=pose.roll), id="Camera")


def _staged(transform: Transform) -> StagePose:
    at, turn = transform.translation, transform.rotation
    numbers = (at.x, at.y, at.z, turn.pan, turn.tilt, turn.roll)
    if not all(abs(number) <= FARTHEST for number in numbers):  # so written, it also says no to what is no number
        raise NotTaken("out of range", f"a transform has {numbers}: want finite numbers, at most {FARTHEST:g}")
    if transform.scale not in (None, Scale()):
        raise NotTaken("scaled", f"a transform has {transform.scale}: want a stage in metres, as OpenTrackIO's is")
    return StagePose((at.x, at.y, at.z), -turn.pan, turn.tilt, turn.roll)
