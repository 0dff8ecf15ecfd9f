"""Renders pictures of scenes with Panda3D's software renderer, which needs neither screen nor GPU, in a process of its own.

    python -m agents.trainer.data.render FOLDER SEED COUNT SIZE [--held-out]

writes images.npy [count, size, size, 3] and labels.npy [count, 5] (bytes) and renderer.txt into FOLDER. The process ends with its
standard input, a pipe from whoever started it.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from panda3d.core import (
    AmbientLight,
    Camera,
    DirectionalLight,
    FrameBufferProperties,
    GraphicsEngine,
    GraphicsOutput,
    GraphicsPipe,
    GraphicsPipeSelection,
    NodePath,
    PandaSystem,
    PerspectiveLens,
    Texture,
    WindowProperties,
    load_prc_file_data,
)

from agents.parts.solids import Profile, geometry, lathe, squares
from agents.trainer.data.scenes import COLOURS, FIELD_OF_VIEW, SHAPES, Scene, draw
from bus.parent import end_with_input

DISPLAY = "p3tinydisplay"
PIPE = "TinyOffscreenGraphicsPipe"
AMBIENT, SUN = 0.35, 0.75
"""Shares of white light: from everywhere, and from the sun."""


class Studio:
    """A camera, two lights and the solids, in one offscreen buffer of `size` pixels square."""

    def __init__(self, size: int) -> None:
        load_prc_file_data("", f"load-display {DISPLAY}\naudio-library-name null")
        self._size = size
        self._engine = GraphicsEngine.get_global_ptr()
        self._root = NodePath("scene")
        self._buffer = self._open_buffer()
        self._texture = Texture()
        self._buffer.add_render_texture(self._texture, GraphicsOutput.RTM_copy_ram)
        self._camera = self._place_camera()
        self._sun = self._place_lights()
        cube = squares([*np.eye(3), *-np.eye(3)], HALF, HALF)
        solids = {"cube": cube, **{name: lathe(profile) for name, profile in PROFILES.items()}}
        self._solids = [NodePath(geometry(solids[name])) for name in SHAPES]

    def picture(self, scene: Scene) -> NDArray[np.uint8]:
        """The scene [size, size, 3], its first row on top."""
        self._camera.set_pos(*scene.camera)
        self._camera.look_at(0, 0, 0)
        self._sun.set_hpr(*scene.light, 0)
        self._buffer.set_clear_color((scene.background, scene.background, scene.background, 1))
        placed = [self._place(solid.kind.shape, tuple(COLOURS.values())[solid.kind.colour]) for solid in scene.solids]
        for node, solid in zip(placed, scene.solids, strict=True):
            node.set_pos_hpr_scale(tuple(solid.position), (solid.heading, 0, 0), (solid.scale,) * 3)
        self._engine.render_frame()
        for node in placed:
            node.remove_node()
        rows = np.frombuffer(self._texture.get_ram_image_as("RGB"), np.uint8)
        return rows.reshape(self._size, self._size, 3)[::-1]

    def _open_buffer(self) -> GraphicsOutput:
        pipe = GraphicsPipeSelection.get_global_ptr().make_pipe(PIPE)
        properties = FrameBufferProperties()
        properties.set_rgba_bits(8, 8, 8, 8)
        properties.set_depth_bits(24)
        size = WindowProperties.size(self._size, self._size)
        buffer = pipe and self._engine.make_output(pipe, "picture", 0, properties, size, GraphicsPipe.BF_refuse_window)
        if not buffer:
            raise SystemExit(f"Panda3D {PandaSystem.get_version_string()} opens no buffer of {PIPE}")
        return buffer

    def _place_camera(self) -> NodePath:
        lens = PerspectiveLens()
        lens.set_fov(FIELD_OF_VIEW)
        camera = self._root.attach_new_node(Camera("camera", lens))
        self._buffer.make_display_region().set_camera(camera)
        return camera

    def _place_lights(self) -> NodePath:
        nodes = []
        for light, share in ((AmbientLight("ambient"), AMBIENT), (DirectionalLight("sun"), SUN)):
            light.set_color((share, share, share, 1))
            nodes.append(self._root.attach_new_node(light))
            self._root.set_light(nodes[-1])
        return nodes[-1]

    def _place(self, shape: int, colour: Sequence[float]) -> NodePath:
        node = self._solids[shape].copy_to(self._root)
        node.set_color(*colour, 1)
        return node


_SLOPE = math.hypot(1, 2)
PROFILES: dict[str, Profile] = {
    "sphere": [(math.cos(a), math.sin(a), math.cos(a), math.sin(a)) for a in np.linspace(-math.pi / 2, math.pi / 2, 12)],
    "cone": [(0, -1, 0, -1), (1, -1, 0, -1), (1, -1, 2 / _SLOPE, 1 / _SLOPE), (0, 1, 2 / _SLOPE, 1 / _SLOPE)],
}
"""Of the solids that are round."""
HALF = 0.8
"""Of a cube's edge."""


def main() -> None:
    parser = argparse.ArgumentParser(description="Render pictures of scenes into a folder.")
    parser.add_argument("folder", type=Path)
    for number in ("seed", "count", "size"):
        parser.add_argument(number, type=int)
    parser.add_argument("--held-out", action="store_true")
    asked = parser.parse_args()
    end_with_input()
    studio = Studio(asked.size)
    scenes = [draw(asked.seed, number, asked.held_out) for number in range(asked.count)]
    np.save(asked.folder / "images.npy", np.stack([studio.picture(scene) for scene in scenes]))
    labels = [[*scene.labels.first, scene.labels.relation, *scene.labels.second] for scene in scenes]
    np.save(asked.folder / "labels.npy", np.array(labels, np.uint8))
    (asked.folder / "renderer.txt").write_text(f"Panda3D {PandaSystem.get_version_string()} {DISPLAY}")


if __name__ == "__main__":
    main()
