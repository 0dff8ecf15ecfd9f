"""Bodies under gravity, by Bullet: in steps of 1/60 s, and the same to the last bit each time that the same steps are taken."""

from __future__ import annotations

from panda3d.bullet import (
    BulletBoxShape,
    BulletConeShape,
    BulletCylinderShape,
    BulletRigidBodyNode,
    BulletShape,
    BulletSphereShape,
    BulletWorld,
    ZUp,
)
from panda3d.core import TransformState, Vec3

from agents.engine.basic_shapes import CONE, CYLINDER, SPHERE
from agents.engine.render.meshes import Mesh
from agents.engine.world import Actor, Body, Transform, World
from agents.parts.frames import Vector, panda_to_unreal, rotation_panda_to_unreal, scale_unreal_to_panda

STEP = 1 / 60
"""Seconds."""
GRAVITY = 9.81
"""Metres per second squared."""
CONE_MARGIN = 0.001
"""Metres that Bullet puts around a cone, by itself 0.04: it would float. Other shapes have their margin inside."""
THINNEST = 0.005
"""Half the least thickness of a box, in metres: a plane has none, and bodies would fall through it."""


class Physics:
    """Owns the bodies; whoever draws them places their nodes. `bodies` counts them, `awake` those that moved in the last step."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._dynamic: dict[str, tuple[Actor, BulletRigidBodyNode]] = {}
        self.bodies = 0
        self.begin()

    def begin(self) -> None:
        """Forget what was, once all bodies are removed: Bullet computes by the order in which bodies met before."""
        self._bullet = BulletWorld()
        self._bullet.set_gravity(Vec3(0, 0, -GRAVITY))
        self._rouse = False
        self.awake = 0

    def add(self, actor: Actor, body: Body, mesh: Mesh, scale: Vector) -> BulletRigidBodyNode:
        """The node of a new body: as large as the mesh, by `scale` along the actor's axes."""
        node = BulletRigidBodyNode(actor.name)
        node.set_mass(body.mass)
        node.set_friction(body.friction)
        node.set_restitution(body.restitution)
        factors = scale_unreal_to_panda(scale)
        node.add_shape(_shape(mesh, factors), TransformState.make_pos(_centre(mesh, factors)))
        self._bullet.attach(node)
        self.bodies += 1
        if body.mass > 0:
            self._dynamic[actor.name] = (actor, node)
        return node

    def remove(self, node: BulletRigidBodyNode) -> None:
        self._bullet.remove(node)
        self._dynamic.pop(node.get_name(), None)
        self._rouse = True
        self.bodies -= 1

    def put(self, node: BulletRigidBodyNode) -> None:
        """Somebody has put the body elsewhere: it is at rest there."""
        node.set_linear_velocity(Vec3(0))
        node.set_angular_velocity(Vec3(0))
        node.clear_forces()
        self._rouse = True

    def step(self) -> None:
        """Go on by 1/60 s."""
        if self._rouse:  # Bullet lets bodies sleep on in the air when what bore them has gone
            self._wake_all()
        self._bullet.do_physics(STEP, 1, STEP)
        self._world.time += STEP
        self._write_back()

    def _wake_all(self) -> None:
        self._rouse = False
        for _, node in self._dynamic.values():
            node.set_active(True)

    def _write_back(self) -> None:
        """Tell the world where the bodies are that moved: one that has fallen asleep was still in this step."""
        awake = [body for body in self._dynamic.values() if body[1].is_active()]
        for actor, node in awake:
            self._world.settle(actor, _transform(node, actor.transform.scale))
        self.awake = len(awake)


def _transform(node: BulletRigidBodyNode, scale: Vector) -> Transform:
    place = node.get_transform()
    w, x, y, z = place.get_quat()
    return Transform(panda_to_unreal(tuple(place.get_pos())), rotation_panda_to_unreal((x, y, z, w)), scale)


def _shape(mesh: Mesh, scale: Vector) -> BulletShape:
    """Its own for a basic shape that is scaled alike around its axis, else the box around the mesh."""
    x, y, z = map(abs, scale)
    if mesh.path == SPHERE and x == y == z:
        return BulletSphereShape(x / 2)
    if mesh.path == CYLINDER and x == y:
        return BulletCylinderShape(x / 2, z, ZUp)
    if mesh.path == CONE and x == y:
        cone = BulletConeShape(x / 2, z, ZUp)
        cone.set_margin(CONE_MARGIN)
        return cone
    return BulletBoxShape(Vec3(*_half(mesh, scale)))


def _half(mesh: Mesh, scale: Vector) -> Vector:
    x, y, z = (max(abs(s) * (high - low) / 2, THINNEST) for s, low, high in zip(scale, mesh.low, mesh.high, strict=True))
    return (x, y, z)


def _centre(mesh: Mesh, scale: Vector) -> Vec3:
    """Of the box; what has no thickness ends at its surface."""
    x, y, z = (s * (high + low) / 2 for s, low, high in zip(scale, mesh.low, mesh.high, strict=True))
    flat = mesh.low[2] == mesh.high[2]
    return Vec3(x, y, z - THINNEST if flat else z)
