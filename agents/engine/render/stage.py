"""Panda3D's nodes for the actors of the world: made, placed, coloured and removed as it changes, at the start of a frame."""

from __future__ import annotations

import time
from dataclasses import dataclass

import structlog
from panda3d.bullet import BulletRigidBodyNode
from panda3d.core import BoundingVolume, GeometricBoundingVolume, LColor, NodePath, PandaNode

from agents.engine.render.camera import ASIDE, View
from agents.engine.render.layers import split
from agents.engine.render.lights import light_of, lit_root, shine
from agents.engine.render.meshes import Meshes
from agents.engine.render.physics import Physics
from agents.engine.render.places import fits, place, scale_of
from agents.engine.world import Actor, Looks, Optics, Shine, Transform, World

_log = structlog.get_logger()


@dataclass(slots=True)
class _Shown:
    """An actor's node, and beneath it what is drawn, which has its scale and colour: the same node where physics does not own it."""

    actor: Actor
    looks: Looks
    node: NodePath
    drawn: NodePath


@dataclass(frozen=True, slots=True)
class _Camera:
    """A camera where it was put when the frame began: requests may move it meanwhile, and the next frame has that."""

    actor: Actor
    transform: Transform
    optics: Optics


class Stage:
    """Follows the world. `root` is what cameras look at; `cameras` are those that it has, by name.

    `placed` is when actors were put in place last, in ns since the Unix epoch; None: not yet.
    """

    def __init__(self, world: World, meshes: Meshes, physics: Physics) -> None:
        self._world = world
        self._meshes = meshes
        self._physics = physics
        self._shown: dict[str, _Shown] = {}
        self._refused: set[str] = set()
        self.root = lit_root()
        self._layers = split(self.root)
        self.placed: int | None = None
        self.cameras: dict[str, _Camera] = {}

    def take_over(self) -> None:
        """Show what has changed in the world since the last call."""
        for name in self._world.take_changes():
            self._change(name)
        for actor, transform in self._world.take_moves():
            self._move(actor, transform)
        self.placed = time.time_ns()

    def view(self, label: str) -> View | None:
        """What the first camera of this label sees. One that is nowhere sees the origin."""
        found = next((camera for camera in self.cameras.values() if camera.actor.label == label), None)
        if found is None:
            return None
        return View(label, found.transform if fits(found.transform) else ASIDE.transform, found.optics)

    def draw_calls(self, view: GeometricBoundingVolume) -> int:
        """How many pieces of what is real lie in a view: Panda3D draws them, one call each; it leaves out the others by the same test."""
        real = (shown for shown in self._shown.values() if not shown.looks.virtual)
        return sum(_pieces(shown.drawn) for shown in real if _is_in(shown.node, view))

    def _change(self, name: str) -> None:
        actor, shown = self._world.actors.get(name), self._shown.get(name)
        if shown is not None and actor is not None and _is_alike(shown.looks, actor.looks):
            shown.looks = actor.looks
            _dress(shown)
            return
        self._forget(name)
        if actor is not None:
            self._show(actor, actor.transform)

    def _show(self, actor: Actor, transform: Transform) -> None:
        if actor.kind == "CameraActor":
            self.cameras[actor.name] = _Camera(actor, transform, actor.looks.optics or Optics())
        elif self._takes(actor, transform):
            shown = self._shown[actor.name] = self._make(actor, transform)
            place(shown.node, transform)
            shown.drawn.set_scale(scale_of(transform))
            _dress(shown)

    def _make(self, actor: Actor, transform: Transform) -> _Shown:
        looks, light, layer = actor.looks, light_of(actor), self._layers.of(actor.looks.virtual)
        if light is not None:
            node = self.root.attach_new_node(light)
            self.root.set_light(node)
            return _Shown(actor, looks, node, node)
        if looks.mesh is None:
            node = layer.attach_new_node(PandaNode(actor.name))
            return _Shown(actor, looks, node, node)
        mesh = self._meshes.find(looks.mesh)
        if looks.body is None:
            node = mesh.node.copy_to(layer)
            return _Shown(actor, looks, node, node)
        node = layer.attach_new_node(self._physics.add(actor, looks.body, mesh, transform.scale))
        return _Shown(actor, looks, node, mesh.node.copy_to(node))

    def _move(self, actor: Actor, transform: Transform) -> None:
        shown = self._shown.get(actor.name)
        if not self._takes(actor, transform):
            return
        if shown is None or (_is_body(shown) and scale_of(transform) != shown.drawn.get_scale()):
            self._forget(actor.name)  # a body cannot grow: another one takes its place
            self._show(actor, transform)
        else:
            place(shown.node, transform)
            shown.drawn.set_scale(scale_of(transform))
            if _is_body(shown):
                self._physics.put(shown.node.node())

    def _takes(self, actor: Actor, transform: Transform) -> bool:
        """Whether an actor can be drawn there; what cannot be is said once."""
        if fits(transform):
            return True
        if actor.name not in self._refused:
            self._refused.add(actor.name)
            _log.warning("an actor is not drawn where it was put: that is out of range", actor=actor.name, transform=transform)
        return False

    def _forget(self, name: str) -> None:
        self.cameras.pop(name, None)
        self._refused.discard(name)
        shown = self._shown.pop(name, None)
        if shown is None:
            return
        if _is_body(shown):
            self._physics.remove(shown.node.node())
        if light_of(shown.actor) is not None:
            self.root.clear_light(shown.node)
        shown.node.remove_node()


def _is_body(shown: _Shown) -> bool:
    return isinstance(shown.node.node(), BulletRigidBodyNode)


def _is_alike(one: Looks, other: Looks) -> bool:
    """Whether the same node shows both."""
    return (one.mesh, one.body, one.virtual) == (other.mesh, other.body, other.virtual)


def _dress(shown: _Shown) -> None:
    if light_of(shown.actor) is not None:
        shine(shown.drawn, shown.looks.shine or Shine())
    else:
        red, green, blue, alpha = shown.looks.colour
        shown.drawn.set_color_scale(LColor(red, green, blue, 1 if shown.looks.virtual else alpha))


def _is_in(node: NodePath, view: GeometricBoundingVolume) -> bool:
    return bool(view.contains(node.get_bounds()) != BoundingVolume.IF_no_intersection)


def _pieces(node: NodePath) -> int:
    return sum(found.node().get_num_geoms() for found in node.find_all_matches("**/+GeomNode"))
