"""Where things are in a scene, in the frame of the bus: matrices as glTF nests them, and what an actor keeps of one.

A matrix is [4, 4] and acts on columns. Quaternions are x, y, z, w.
"""

from __future__ import annotations

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from agents.parts.frames import Quaternion, Vector

Matrix = NDArray[np.float64]

_TOLERANCE = 1e-3
"""Of what must be at right angles: exporters write 32-bit floats, and multiply many."""
_FLAT, _FARTHEST = 1e-9, 1e9
_UP: Vector = (0.0, 1.0, 0.0)


class Place(Struct, frozen=True):
    """Where an actor is, and its scale along its own axes."""

    position: Vector
    orientation: Quaternion = (0.0, 0.0, 0.0, 1.0)
    scale: Vector = (1.0, 1.0, 1.0)


class NoPlace(ValueError):
    """No position, orientation and scale say the same as a matrix."""


def matrix_of(place: Place) -> Matrix:
    """Scaled, then turned, then moved: as glTF 2.0 has it (section 3.5.3)."""
    matrix = np.eye(4)
    matrix[:3, :3] = rotation_of(place.orientation) * np.array(place.scale)
    matrix[:3, 3] = place.position
    return matrix


def rotation_of(orientation: Quaternion) -> Matrix:
    """The rotation [3, 3] of a quaternion of length one."""
    x, y, z, w = orientation
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


def place_of(matrix: Matrix) -> tuple[Place, bool] | None:
    """Where a matrix puts an actor, and whether as in a mirror: then its mesh is to have its X turned round, for scales are positive.

    None: the matrix makes everything flat. Raises NoPlace.
    """
    if not np.abs(matrix).max() < _FARTHEST:
        raise NoPlace(f"its scale or position is beyond {_FARTHEST:g}")
    linear = matrix[:3, :3]
    scale = np.linalg.norm(linear, axis=0)
    if scale.min() < _FLAT:
        return None
    mirrored = bool(np.linalg.det(linear / scale) < 0)
    rotation = linear / scale * (np.array([-1, 1, 1]) if mirrored else 1)
    if np.abs(rotation.T @ rotation - np.eye(3)).max() > _TOLERANCE:
        raise NoPlace("it is sheared by the scale of a parent that is turned: apply that scale where the scene was made")
    return Place(vector(matrix[:3, 3]), orientation_of(rotation), vector(scale)), mirrored


def orientation_of(rotation: Matrix) -> Quaternion:
    """The quaternion of a rotation [3, 3], by the largest of its four parts (Shepperd, 1978)."""
    trace = np.trace(rotation)
    largest = int(np.argmax([*np.diag(rotation), trace]))
    if largest == 3:
        parts = [rotation[2, 1] - rotation[1, 2], rotation[0, 2] - rotation[2, 0], rotation[1, 0] - rotation[0, 1], 1 + trace]
    else:
        i, j, k = largest, (largest + 1) % 3, (largest + 2) % 3
        parts = [0.0] * 4
        parts[i], parts[j], parts[k] = 1 - trace + 2 * rotation[i, i], rotation[j, i] + rotation[i, j], rotation[k, i] + rotation[i, k]
        parts[3] = rotation[k, j] - rotation[j, k]
    x, y, z, w = np.array(parts) / np.linalg.norm(parts)
    return (float(x), float(y), float(z), float(w))


def aim(position: Vector, target: Vector) -> Quaternion:
    """How a camera or a light at `position` is turned that looks at `target`, upright; neither is straight above the other."""
    back = np.array(position) - np.array(target)
    right = np.cross(_UP, back)
    axes = np.stack([right, np.cross(back, right), back], axis=1)
    return orientation_of(axes / np.linalg.norm(axes, axis=0))


def vector(numbers: Matrix) -> Vector:
    """Three numbers of an array."""
    x, y, z = numbers
    return (float(x), float(y), float(z))
