"""A camera's pose by OpenTrackIO, SMPTE RIS OSVP's protocol of camera tracking, and back.

Format: OpenTrackIO 1.0.1 (opentrackio.org). The axes are those of stage.py, with pan positive to the left: turns are by the right hand.
Times are seconds since the Unix epoch by this machine's clock. A sample has a field of view only as a focal length and a sensor's size:
virtual cameras have no sensor, so theirs is called 36 by 20.25 mm, and the focal length is what gives the field of view on it.
"""

from __future__ import annotations

import math
from uuid import UUID, uuid5

from msgspec import Struct

from agents.parts.frames import Quaternion, Vector, rotate
from agents.ue5.tracking.errors import BadPacket, OutOfRange
from agents.ue5.tracking.opentrackio_packet import LARGEST, Encoding, Packet, pack, unpack
from agents.ue5.tracking.opentrackio_sample import (
    PROTOCOL,
    Camera,
    Lens,
    Protocol,
    Rate,
    Rotation,
    Sample,
    Size,
    Static,
    Timestamp,
    Timing,
    Tracker,
    Transform,
    Translation,
    read,
    write,
)
from agents.ue5.tracking.stage import StagePose, from_stage, to_stage
from schemas.scene import CameraPose

VERSION = (1, 0, 1)
SENSOR = Size(height=20.25, width=36.0)
"""Of a virtual camera, by agreement: full frame's width, at 16 to 9."""
SOURCES = 200
"""The largest number of a source, which has the multicast group 239.135.1.<number>."""

_SECOND = 1_000_000_000
_TRACKER = Tracker(notes="zeropoint-bus: scene.camera.pose")


class Moment(Struct, frozen=True, kw_only=True):
    """Which sample of a source this is, counted from 0, and when it was taken. `interval_ns` is since the sample before it."""

    source: UUID
    number: int
    sequence: int
    time_ns: int
    interval_ns: int | None = None


class Received(Struct, frozen=True, kw_only=True):
    """What a packet says, in the frame of the bus. Null: it does not say."""

    position: Vector
    orientation: Quaternion
    sequence: int
    label: str | None = None
    field_of_view: float | None = None
    source: str | None = None
    number: int | None = None
    time_ns: int | None = None


def encode(pose: CameraPose, moment: Moment, encoding: Encoding) -> bytes:
    """The packet of a pose. Raises OutOfRange."""
    if not 0 < moment.number <= SOURCES:
        raise OutOfRange(f"source number {moment.number}: OpenTrackIO counts from 1 to {SOURCES}")
    payload = write(_sample(pose, moment), encoding)
    packet = pack(Packet(encoding=encoding, sequence=moment.sequence % (1 << 16), payload=payload))
    if len(packet) > LARGEST:
        raise OutOfRange(f"the sample of {pose.camera!r} takes {len(packet)} bytes, want at most {LARGEST}: give it a shorter label")
    return packet


def decode(data: bytes) -> Received:
    """The pose that a packet carries. Raises BadPacket."""
    packet = unpack(data)
    sample = read(packet.payload, packet.encoding)
    position, orientation = _composed(sample.transforms)
    camera = sample.static.camera if sample.static else None
    return Received(
        position=position,
        orientation=orientation,
        sequence=packet.sequence,
        label=camera.label if camera else None,
        field_of_view=_field_of_view(camera, sample.lens),
        source=sample.source_id,
        number=sample.source_number,
        time_ns=_time(sample.timing),
    )


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


def _composed(transforms: tuple[Transform, ...]) -> tuple[Vector, Quaternion]:
    """Where the last transform is, each lying in the one before it."""
    position, orientation = _placed(transforms[0])
    for transform in transforms[1:]:
        offset, turn = _placed(transform)
        moved = rotate(orientation, offset)
        position = (position[0] + moved[0], position[1] + moved[1], position[2] + moved[2])
        orientation = _product(orientation, turn)
    return position, orientation


def _placed(transform: Transform) -> tuple[Vector, Quaternion]:
    place, turn, scale = transform.translation, transform.rotation, transform.scale
    numbers = (place.x, place.y, place.z, turn.pan, turn.tilt, turn.roll)
    if not all(map(math.isfinite, numbers)):
        raise BadPacket(f"transform {numbers}: want finite numbers")
    if scale is not None and (scale.x, scale.y, scale.z) != (1, 1, 1):
        raise BadPacket(f"scale {scale.x}, {scale.y}, {scale.z}: a camera has none")
    return from_stage(StagePose((place.x, place.y, place.z), -turn.pan, turn.tilt, turn.roll))


def _product(first: Quaternion, second: Quaternion) -> Quaternion:
    """Hamilton's product: the turn `second`, then `first`."""
    ax, ay, az, aw = first
    bx, by, bz, bw = second
    return (
        aw * bx + ax * bw + ay * bz - az * by,
        aw * by - ax * bz + ay * bw + az * bx,
        aw * bz + ax * by - ay * bx + az * bw,
        aw * bw - ax * bx - ay * by - az * bz,
    )


def _field_of_view(camera: Camera | None, lens: Lens | None) -> float | None:
    sensor = camera.active_sensor_physical_dimensions if camera else None
    if sensor is None or lens is None or lens.pinhole_focal_length is None:
        return None
    return 2 * math.atan2(sensor.width / 2, lens.pinhole_focal_length)


def _time(timing: Timing | None) -> int | None:
    stamp = timing.sample_timestamp if timing else None
    return None if stamp is None else stamp.seconds * _SECOND + stamp.nanoseconds
