"""An offscreen buffer: what is drawn, and the pixels of it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from panda3d.core import FrameBufferProperties, GraphicsEngine, GraphicsOutput, GraphicsPipe, NodePath, Texture, WindowProperties

from agents.engine.render.pipes import PIPES, VERSION, NoRenderer
from agents.engine.world import Colour
from schemas.engine import Renderer

Pixels = NDArray[np.uint8]
"""[height, width, 3], blue, green, red, the first row on top: as OpenCV has it. A layer has alpha as a fourth."""

BACKGROUND, NOTHING = (0.30, 0.34, 0.40, 1.0), (0.0, 0.0, 0.0, 0.0)
"""What is where nothing is drawn: of a picture, and of a layer."""

_FLAGS = GraphicsPipe.BF_refuse_window | GraphicsPipe.BF_resizeable


class Canvas:
    """`width` x `height` pixels that Panda3D draws into when it is told to. Raises NoRenderer.

    For what changes its size, change a canvas's: Panda3D's rasterizer never gives back the memory of one that is closed.
    """

    def __init__(self, engine: GraphicsEngine, pipe: GraphicsPipe, width: int, height: int) -> None:
        self._engine = engine
        self.width, self.height = width, height
        self._buffer = engine.make_output(pipe, "canvas", 0, _depths(), WindowProperties.size(width, height), _FLAGS)
        if not self._buffer:
            raise NoRenderer(f"{pipe.get_interface_name()} opens no buffer of {width}x{height} pixels")
        self._buffer.set_active(False)
        self._read = Texture("canvas")
        self._buffer.add_render_texture(self._read, GraphicsOutput.RTM_triggered_copy_ram)
        self._region = self._buffer.make_display_region()

    def show(self, camera: NodePath) -> None:
        """Draw what this camera sees from now on."""
        self._region.set_camera(camera)

    def resize(self, width: int, height: int) -> None:
        """From the next drawing on."""
        self.width, self.height = width, height
        self._buffer.set_size(width, height)

    def draw(self, background: Colour = BACKGROUND, *, read: bool = False) -> None:
        """Draw now, and nothing in other canvases. What is to be looked at is `read`.

        That waits for the driver, which as a part of the drawing keeps nobody from Python's lock; a screenshot, taken afterwards, does.
        """
        if read:
            self._buffer.trigger_copy()
        self._buffer.set_clear_color(background)
        self._buffer.set_active(True)
        self._engine.render_frame()
        self._buffer.set_active(False)

    def pixels(self) -> Pixels:
        """What was read last."""
        return self.with_alpha()[..., :3]

    def with_alpha(self) -> Pixels:
        """What was read last, and how much of it: 0 where there is nothing, else that of its colour."""
        image = self._read.get_ram_image()  # its memory is used again
        return np.frombuffer(image, np.uint8).reshape(self.height, self.width, -1)[::-1].copy()

    def driver(self, renderer: Renderer) -> str:
        """What OpenGL calls itself; Panda3D's rasterizer is its own."""
        name: str = self._buffer.get_gsg().get_driver_renderer()
        return name or f"{PIPES[renderer][1]} of Panda3D {VERSION}"


def _depths() -> FrameBufferProperties:
    properties = FrameBufferProperties()
    properties.set_rgba_bits(8, 8, 8, 8)
    properties.set_depth_bits(24)
    return properties
