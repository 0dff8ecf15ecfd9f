"""Places and turns of any kind, and what they are by numpy's matrices, beside the arithmetic of agents.parts.frames."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import strategies as st

from agents.parts.frames import Quaternion
from agents.parts.tracking.stage import StagePose
from schemas.scene import CameraPose

RIGHT, UP, FORWARD = np.eye(3)
BUS = np.column_stack([RIGHT, UP, -FORWARD])
UNREAL = np.column_stack([FORWARD, RIGHT, UP])
PANDA = np.column_stack([RIGHT, FORWARD, UP])
"""A frame's X, Y and Z as columns: where they point. The stage's are Panda3D's."""

_ON_STAGE = PANDA.T @ BUS
"""A direction of the bus, in the stage's axes."""

lengths = st.floats(-1000, 1000)
vectors = st.tuples(lengths, lengths, lengths)
parts = st.floats(-1, 1)
quaternions = (
    st.tuples(parts, parts, parts, parts)
    .filter(lambda parts: math.hypot(*parts) > 0.1)
    .map(lambda parts: tuple(part / math.hypot(*parts) for part in parts))
)
labels = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=128)
near = st.floats(-131, 131)
poses = st.builds(
    CameraPose,
    camera=labels,
    position=st.tuples(near, near, near),
    orientation=quaternions,
    field_of_view=st.none() | st.floats(0.01, 3.09),
)
"""Of cameras within FreeD's reach."""


def matrix(quaternion: Quaternion) -> np.ndarray:
    """The same turn, by Rodrigues's formula."""
    x, y, z, w = quaternion
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + 2 * w * cross + 2 * cross @ cross


def stage_matrix(pan: float, tilt: float, roll: float) -> np.ndarray:
    """The turn in the stage's axes: by the right hand about Z, then about the X of that, then about the Y of both. Degrees."""
    (sin_pan, sin_tilt, sin_roll), (cos_pan, cos_tilt, cos_roll) = (
        np.sin(np.radians((pan, tilt, roll))),
        np.cos(np.radians((pan, tilt, roll))),
    )
    about_z = np.array([[cos_pan, -sin_pan, 0], [sin_pan, cos_pan, 0], [0, 0, 1]])
    about_x = np.array([[1, 0, 0], [0, cos_tilt, -sin_tilt], [0, sin_tilt, cos_tilt]])
    about_y = np.array([[cos_roll, 0, sin_roll], [0, 1, 0], [-sin_roll, 0, cos_roll]])
    return about_z @ about_x @ about_y


def turn_of(pose: StagePose) -> np.ndarray:
    """The turn of the bus that a pose of the stage has."""
    return _ON_STAGE.T @ stage_matrix(-pose.pan, pose.tilt, pose.roll) @ _ON_STAGE


def place_of(pose: StagePose) -> np.ndarray:
    """The place of the bus that a pose of the stage has."""
    return _ON_STAGE.T @ np.array(pose.position)
