"""A camera's pose by Open Sound Control: one bundle whose time tag is the pose's time, in the frame of the bus.

    /zeropoint/camera/<label>/position     fff   metres: X right, Y up, Z back
    /zeropoint/camera/<label>/orientation  ffff  quaternion: x, y, z, w
    /zeropoint/camera/<label>/fov          f     horizontal, radians; only where it is known

Format: OSC 1.0. An address must not have spaces or any of `#*,/?[]{}`: a label goes in as in a URL, `Left Eye` as `Left%20Eye`.
"""

from __future__ import annotations

from urllib.parse import quote

from pythonosc.osc_bundle_builder import OscBundleBuilder
from pythonosc.osc_message import OscMessage
from pythonosc.osc_message_builder import OscMessageBuilder

from agents.parts.tracking.errors import OutOfRange
from agents.parts.tracking.stage import unit_orientation
from schemas.scene import CameraPose

LARGEST_FLOAT = (2 - 2**-23) * 2.0**127
"""That an OSC float, of 32 bits, can be."""
NTP_EPOCH = 2_208_988_800
"""Seconds from the start of NTP's clock, which has 32 bits of them, to the Unix epoch. Source: RFC 5905, figure 4."""


def encode(pose: CameraPose, time_ns: int) -> bytes:
    """The bundle of a pose that was taken `time_ns` after the Unix epoch. Raises OutOfRange."""
    orientation = unit_orientation(pose)
    if not -NTP_EPOCH <= time_ns / 1e9 < 2**32 - NTP_EPOCH:
        raise OutOfRange(f"{pose.camera!r} was there {time_ns} ns after 1970: OSC's times are those of NTP, from 1900 to 2036")
    if max(map(abs, pose.position)) > LARGEST_FLOAT:
        raise OutOfRange(f"{pose.camera!r} is at {pose.position}: want less than {LARGEST_FLOAT:.3g} m, the largest float of OSC")
    bundle = OscBundleBuilder(time_ns / 1e9)  # type: ignore[arg-type] # it takes seconds as float, as its docstring says
    bundle.add_content(_message(pose.camera, "position", pose.position))
    bundle.add_content(_message(pose.camera, "orientation", orientation))
    if pose.field_of_view is not None:
        bundle.add_content(_message(pose.camera, "fov", (pose.field_of_view,)))
    return bundle.build().dgram


def address(label: str, what: str) -> str:
    """Where a camera's `position`, `orientation` or `fov` goes."""
    return f"/zeropoint/camera/{quote(label, safe='')}/{what}"


def _message(label: str, what: str, numbers: tuple[float, ...]) -> OscMessage:
    builder = OscMessageBuilder(address(label, what))
    for number in numbers:
        builder.add_arg(number, OscMessageBuilder.ARG_TYPE_FLOAT)
    return builder.build()
