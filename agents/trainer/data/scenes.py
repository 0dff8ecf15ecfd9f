"""The scenes that pictures are rendered of: two coloured solids, one left of the other or above it, and the caption that says so.

A scene is a pure function of a seed and its number. Z is up; lengths are in the half width of a solid, angles in degrees, as in Panda3D.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

FORMAT = 1
"""Goes up with every change of what a seed gives, so that no cache serves older scenes."""

COLOURS = {
    "red": (0.9, 0.1, 0.1),
    "green": (0.1, 0.8, 0.1),
    "blue": (0.15, 0.25, 0.95),
    "yellow": (0.9, 0.85, 0.1),
    "purple": (0.8, 0.15, 0.8),
    "cyan": (0.1, 0.8, 0.85),
}
"""What each colour's name reflects of red, green and blue light."""
SHAPES = ("cube", "sphere", "cone")
RELATIONS = ("left of", "above")
FIELD_OF_VIEW = 40.0
"""Of the camera, across and up and down."""

WORDS = ("a", *COLOURS, *SHAPES, *(word for relation in RELATIONS for word in relation.split()))
"""All that captions are made of."""

Vector = NDArray[np.float64]


class Kind(NamedTuple):
    """A solid as a caption names it, by the numbers of its colour and shape."""

    colour: int
    shape: int


KINDS = tuple(Kind(colour, shape) for colour in range(len(COLOURS)) for shape in range(len(SHAPES)))
CAPTIONS = len(RELATIONS) * len(KINDS) * (len(KINDS) - 1)
"""Captions that a picture may have: its two solids always differ."""
HELD_OUT = 7
"""Of the captions, one in so many is held out: no training picture has it."""


class Labels(NamedTuple):
    """All that a caption says, as numbers."""

    first: Kind
    relation: int
    second: Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Solid:
    kind: Kind
    position: Vector
    heading: float
    scale: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """`solids` in the order of their caption. The camera looks at the origin, from `camera`; `light` falls by heading and pitch."""

    labels: Labels
    solids: tuple[Solid, Solid]
    camera: Vector
    light: tuple[float, float]
    background: float


def caption(labels: Labels) -> str:
    """As in `a red cube left of a blue sphere`."""
    return f"{_named(labels.first)} {RELATIONS[labels.relation]} {_named(labels.second)}"


def is_held_out(labels: Labels) -> bool:
    """Whether a caption is kept from training; its words all stand in others."""
    return (KINDS.index(labels.first) + 2 * KINDS.index(labels.second) + labels.relation) % HELD_OUT == 0


def draw(seed: int, number: int, held_out: bool) -> Scene:
    """The scene with this number, with a caption that is held out or one that is not."""
    generator = np.random.default_rng((seed, number))
    labels = _draw_labels(generator, held_out)
    camera = _draw_camera(generator)
    right, up = view(camera)
    along, across = (-right, up) if labels.relation == 0 else (up, right)
    solids = [
        Solid(
            kind=kind,
            position=side * along * generator.uniform(1.15, 1.45) + across * generator.uniform(-0.6, 0.6),
            heading=generator.uniform(0, 360),
            scale=generator.uniform(0.85, 1.1),
        )
        for kind, side in ((labels.first, 1), (labels.second, -1))
    ]
    ahead = math.degrees(math.atan2(camera[0], -camera[1]))  # lit from behind a cube and a cylinder may look the same
    light = ahead + generator.uniform(-70, 70), generator.uniform(-70, -30)
    background = generator.uniform(0.2, 0.6)
    return Scene(labels=labels, solids=(solids[0], solids[1]), camera=camera, light=light, background=background)


def view(camera: Vector) -> tuple[Vector, Vector]:
    """Right and up, as unit vectors, of a camera that looks at the origin."""
    forward = -camera / np.linalg.norm(camera)
    right = np.cross(forward, (0.0, 0.0, 1.0))
    right /= np.linalg.norm(right)
    return right, np.cross(right, forward)


def _named(kind: Kind) -> str:
    return f"a {tuple(COLOURS)[kind.colour]} {SHAPES[kind.shape]}"


def _draw_labels(generator: np.random.Generator, held_out: bool) -> Labels:
    while True:  # until it is of the wanted set: one draw in seven is held out
        first, second = (KINDS[index] for index in generator.choice(len(KINDS), 2, replace=False))
        labels = Labels(first, int(generator.integers(len(RELATIONS))), second)
        if is_held_out(labels) == held_out:
            return labels


def _draw_camera(generator: np.random.Generator) -> Vector:
    around, above = generator.uniform(0, 2 * math.pi), math.radians(generator.uniform(5, 40))
    direction = np.array([math.sin(around) * math.cos(above), -math.cos(around) * math.cos(above), math.sin(above)])
    return direction * generator.uniform(7.5, 8.5)
