"""A camera as Panda3D draws by it and as OpenCV computes with it, and the files that its pictures become."""

from __future__ import annotations

import math

import cv2
from msgspec import Struct
from panda3d.core import Camera, GeometricBoundingVolume, NodePath, PerspectiveLens

from agents.engine.render.canvas import Pixels
from agents.engine.render.layers import REAL, VIRTUAL
from agents.engine.render.places import place
from agents.engine.world import Optics, Transform
from agents.parts.frames import rotation_of_rotator
from schemas.engine import Intrinsics, Renderer

NEAR, FAR = 0.05, 500.0
"""Metres: nothing nearer or farther is drawn."""
LOST = 0.5
"""Pixels: Panda3D's rasterizer squeezes the film into so much less than the picture, on the right and below (TinyGL's viewport)."""
JPEG_QUALITY = 80
_NARROWEST, _WIDEST = 1.0, 170.0
"""Degrees, as Unreal's camera takes them."""


class View(Struct, frozen=True):
    """A camera as it was at one moment. A `layer` has what is virtual alone, on nothing."""

    label: str
    transform: Transform
    optics: Optics
    layer: bool = False


ASIDE = View("", Transform(position=(-600.0, 0.0, 250.0), orientation=rotation_of_rotator((-20.0, 0.0, 0.0))), Optics())
"""What is seen where there is no camera, or one that is nowhere: the origin, from behind and above."""


class Lens:
    """The one camera that draws: it is aimed as the actors that are cameras are. `node` is below the scene's root."""

    def __init__(self, root: NodePath, renderer: Renderer) -> None:
        self._lost = LOST if renderer == "software" else 0.0
        self._lens = PerspectiveLens()
        self._lens.set_near_far(NEAR, FAR)
        self.node = root.attach_new_node(Camera("camera", self._lens))

    def aim(self, view: View, width: int, height: int) -> None:
        """See what a camera sees in a picture of this size. The picture decides what is seen above and below, not `aspect_ratio`."""
        place(self.node, view.transform)
        self.node.node().set_camera_mask(VIRTUAL if view.layer else REAL)
        self._lens.set_film_size(width - self._lost, height - self._lost)
        self._lens.set_film_offset(-self._lost / 2, self._lost / 2)
        self._lens.set_focal_length(intrinsics(view.optics, width, height).fx)

    def seen(self) -> GeometricBoundingVolume:
        """The space that it sees, in the frame of the scene."""
        space = self._lens.make_bounds()
        space.xform(self.node.get_mat())
        return space


def intrinsics(optics: Optics, width: int, height: int) -> Intrinsics:
    """The pinhole camera of a picture: square pixels, its axis through the middle of the picture."""
    focal = width / 2 / math.tan(math.radians(_angle(optics)) / 2)
    return Intrinsics(width=width, height=height, fx=focal, fy=focal, cx=(width - 1) / 2, cy=(height - 1) / 2)


def jpeg(pixels: Pixels) -> bytes:
    """Raises ValueError."""
    return _encoded(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])


def png(pixels: Pixels) -> bytes:
    """A file that is small. Raises ValueError."""
    return _encoded(".png", pixels, [])


def quick_png(pixels: Pixels) -> bytes:
    """A file that is made in a quarter of the time: of a layer, which is empty for the most part, not much larger. Raises ValueError."""
    return _encoded(".png", pixels, [cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_NONE])


def _angle(optics: Optics) -> float:
    return min(max(optics.field_of_view, _NARROWEST), _WIDEST)


def _encoded(kind: str, pixels: cv2.typing.MatLike, options: list[int]) -> bytes:
    done, data = cv2.imencode(kind, pixels, options)
    if not done:
        raise ValueError(f"OpenCV makes no {kind} of {pixels.shape[1]}x{pixels.shape[0]} pixels")
    return data.tobytes()
