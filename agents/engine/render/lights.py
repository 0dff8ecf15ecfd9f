"""How actors that are lights shine on the scene."""

from __future__ import annotations

from panda3d.core import AmbientLight, DirectionalLight, LightNode, Material, NodePath, PointLight, RescaleNormalAttrib

from agents.engine.world import Actor, Shine

AMBIENT = 0.35
"""Of white, from everywhere: what no light falls on is not black."""


def lit_root() -> NodePath:
    """The top of a scene, which only the ambient light falls on."""
    root = NodePath("scene")
    root.set_attrib(RescaleNormalAttrib.make_default())  # scaled meshes have scaled normals, which shine too little or too much
    light = AmbientLight("ambient")
    light.set_color((AMBIENT, AMBIENT, AMBIENT, 1))
    root.set_light(root.attach_new_node(light))
    return root


def whiten(root: NodePath) -> None:
    """Let Panda3D's rasterizer shine on colours once: without a material it multiplies by them twice. OpenGL would see no other colour."""
    white = Material()
    white.set_ambient((1, 1, 1, 1))
    white.set_diffuse((1, 1, 1, 1))
    root.set_material(white)


def light_of(actor: Actor) -> LightNode | None:
    """The light that an actor is; None: it is none."""
    if actor.kind == "PointLight":
        return PointLight(actor.name)
    return DirectionalLight(actor.name) if actor.kind == "DirectionalLight" else None


def shine(light: NodePath, shine: Shine) -> None:
    """Give a light its colour and intensity."""
    red, green, blue = (share * shine.intensity for share in shine.colour[:3])
    light.node().set_color((red, green, blue, 1))
