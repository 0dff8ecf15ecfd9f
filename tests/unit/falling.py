"""Lets bodies fall, and says where they are to the last bit: for tests, and as a program for another process of theirs."""

from __future__ import annotations

import hashlib
import sys

from drawn import spawn_mesh

from agents.engine.basic_shapes import CUBE, CYLINDER, SPHERE
from agents.engine.render.meshes import Meshes
from agents.engine.render.physics import Physics
from agents.engine.render.stage import Stage
from agents.engine.world import Actor, Body, Transform, World
from agents.parts.frames import rotation_of_rotator

FLOOR = Transform((0.0, 0.0, -50.0), scale=(100.0, 100.0, 1.0))
"""Its top is at 0."""
STEPS = 600


class Fall:
    """A world under physics that nobody draws, with a floor."""

    def __init__(self) -> None:
        self.world = World()
        self.physics = Physics(self.world)
        self.stage = Stage(self.world, Meshes(), self.physics)
        self.floor = spawn_mesh(self.world, FLOOR, body=Body(0.0))

    def drop(self, transform: Transform, mesh: str = CUBE) -> Actor:
        return spawn_mesh(self.world, transform, mesh, body=Body(1.0))

    def go_on(self, steps: int) -> None:
        self.stage.take_over()
        for _ in range(steps):
            self.physics.step()


def digest() -> str:
    """Of where sixty bodies are that fell onto each other."""
    fall = Fall()
    for number in range(60):
        place = (number % 3 * 7.0, number % 5 * 5.0, 100.0 + 40 * number)
        turned = rotation_of_rotator((number * 7.0 % 90, number * 11.0, 0.0))
        fall.drop(Transform(place, turned, (0.3, 0.3, 0.3)), (CUBE, SPHERE, CYLINDER)[number % 3])
    fall.go_on(STEPS)
    numbers = [(*actor.transform.position, *actor.transform.orientation) for actor in fall.world.actors.values()]
    return hashlib.sha256(repr(numbers).encode()).hexdigest()


if __name__ == "__main__":
    sys.stdout.write(digest())
