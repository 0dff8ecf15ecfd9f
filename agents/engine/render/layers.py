"""What is real in a scene and what is virtual: a camera draws the one or the other."""

from __future__ import annotations

from dataclasses import dataclass

from panda3d.core import BitMask32, NodePath

REAL, VIRTUAL = BitMask32.bit(0), BitMask32.bit(1)
"""The masks of cameras that draw the one, or the other."""


@dataclass(frozen=True, slots=True)
class Layers:
    """The two nodes below which all that is drawn hangs: a camera passes over the one that it does not see, whole."""

    real: NodePath
    virtual: NodePath

    def of(self, virtual: bool) -> NodePath:
        return self.virtual if virtual else self.real


def split(root: NodePath) -> Layers:
    """Two layers below the top of a scene, which the same lights fall on."""
    real, virtual = root.attach_new_node("real"), root.attach_new_node("virtual")
    real.hide(VIRTUAL)
    virtual.hide(REAL)
    return Layers(real, virtual)
