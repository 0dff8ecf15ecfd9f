"""All of Panda3D that the engine has: what it draws with, the scene, its physics and the camera. It belongs to one thread."""

from __future__ import annotations

from dataclasses import dataclass

from msgspec.structs import replace
from panda3d.core import GraphicsEngine, RenderState, TransformState

from agents.engine.render.camera import ASIDE, Lens, View, intrinsics, png
from agents.engine.render.canvas import BACKGROUND, NOTHING, Canvas, Pixels
from agents.engine.render.gltf_meshes import load_meshes
from agents.engine.render.lights import whiten
from agents.engine.render.meshes import Meshes
from agents.engine.render.physics import Physics
from agents.engine.render.pipes import VERSION, Choice, open_pipe
from agents.engine.render.smooth import averaged, straight
from agents.engine.render.stage import Stage
from agents.engine.reports import Drawing
from agents.engine.scenes.loading import Loaded
from agents.engine.world import MAIN, Box, World
from agents.parts.frames import from_unreal, rotation_from_unreal
from schemas.engine import ENGINE, Picture, Scene

SMOOTH, SMOOTH_LIVE = 3, 2
"""Neither renderer draws smooth edges: screenshots, and live pictures that are wanted so, are drawn so many times as wide and high, and
averaged."""
SMOOTH_PIXELS = 1920 * 1080
"""What is larger is not: it would take a gigabyte."""
MOST_TOLD = 20
"""Meshes that are not known, of those that a scene asks for: an answer has 64 KiB."""


class NoSuchCamera(LookupError):
    """The level has no camera of this label."""


@dataclass(frozen=True, slots=True)
class Shot:
    """What a camera saw, and what it was then."""

    pixels: Pixels
    picture: Picture


class Studio:
    """Draws the world in `width` x `height` pixels. Raises NoRenderer."""

    def __init__(self, world: World, choice: Choice, width: int, height: int) -> None:
        self._world = world
        self._choice = choice
        self._pipe = open_pipe(choice.renderer)
        self._engine = GraphicsEngine()
        self._meshes = Meshes()
        self.physics = Physics(world)
        self.stage = Stage(world, self._meshes, self.physics)
        if choice.renderer == "software":
            whiten(self.stage.root)
        self._lens = Lens(self.stage.root, choice.renderer)
        self._main = ASIDE
        self._canvas = self._canvas_of(width, height)
        self._large: Canvas | None = None
        self._live: Canvas | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Of what is drawn, in pixels: width and height."""
        return (self._canvas.width, self._canvas.height)

    @property
    def drawing(self) -> Drawing:
        """Known once a frame is drawn."""
        driver = self._canvas.driver(self._choice.renderer)
        return Drawing(renderer=self._choice.renderer, driver=driver, version=VERSION, note=self._choice.note)

    @property
    def boxes(self) -> dict[str, Box]:
        """Around each mesh that is no basic shape, by its path."""
        return self._meshes.boxes

    def load(self, scene: Loaded) -> Scene:
        """Show another scene."""
        meshes = load_meshes(scene.drawable)
        self._world.clear(scene.name)
        self.stage.take_over()
        self.physics.begin()
        self._meshes.replace(meshes)
        scene.populate(self._world)
        self.stage.take_over()
        return Scene(
            scene=scene.name, actors=len(self._world.actors), bodies=self.physics.bodies, unknown_meshes=self._meshes.unknown[:MOST_TOLD]
        )

    def draw(self) -> None:
        """Draw what the main camera sees."""
        self._main = self._main_view()
        self._draw(self._main)
        # Panda3D keeps every state that ever was until somebody clears up; its ShowBase does this in each frame.
        TransformState.garbage_collect()
        RenderState.garbage_collect()

    def shot(self, label: str) -> Shot:
        """What a camera sees in the frame that was drawn. Raises NoSuchCamera."""
        view = self._main if label == self._main.label else self.view(label)
        self._draw(view, read=True)
        return Shot(self._canvas.pixels(), self._picture(view))

    def live(self, label: str, layer: bool) -> Shot:
        """What a camera sees in this frame, with smooth edges; of a `layer` what is virtual alone, with alpha.

        Raises NoSuchCamera, NoRenderer.
        """
        view, canvas = replace(self.view(label), layer=layer), self._live_canvas()
        self._lens.aim(view, canvas.width, canvas.height)
        canvas.draw(NOTHING if layer else BACKGROUND, read=True)
        pixels = averaged(canvas.with_alpha(), *self.size)
        return Shot(straight(pixels) if layer else pixels[..., :3], self._picture(view))

    def screenshot(self, label: str | None, width: int, height: int) -> bytes:
        """A PNG of what a camera sees; None: the main one. Raises NoSuchCamera, NoRenderer."""
        view = self._main_view() if label is None else self.view(label)
        canvas = self._resized(*_larger(SMOOTH, width, height))
        self._lens.aim(view, canvas.width, canvas.height)
        canvas.draw(read=True)
        return png(averaged(canvas.pixels(), width, height))

    def draw_calls(self) -> int:
        """Of the main camera's picture."""
        self._lens.aim(self._main, *self.size)
        return self.stage.draw_calls(self._lens.seen())

    def close(self) -> None:
        self._engine.remove_all_windows()

    def _main_view(self) -> View:
        return self.stage.view(MAIN) or ASIDE

    def view(self, label: str) -> View:
        """Where a camera is in this frame, and its optics. Raises NoSuchCamera."""
        view = self.stage.view(label)
        if view is None:
            labels = sorted(camera.actor.label for camera in self.stage.cameras.values())
            raise NoSuchCamera(f"there is no camera {label!r}: there are {labels}")
        return view

    def _draw(self, view: View, *, read: bool = False) -> None:
        self._lens.aim(view, *self.size)
        self._canvas.draw(read=read)

    def _resized(self, width: int, height: int) -> Canvas:
        """The one canvas of screenshots, in this size. Raises NoRenderer."""
        if self._large is None:
            self._large = self._canvas_of(width, height)
        self._large.resize(width, height)
        return self._large

    def _live_canvas(self) -> Canvas:
        """Raises NoRenderer."""
        if self._live is None:
            self._live = self._canvas_of(*_larger(SMOOTH_LIVE, *self.size))
        return self._live

    def _canvas_of(self, width: int, height: int) -> Canvas:
        """Raises NoRenderer."""
        canvas = Canvas(self._engine, self._pipe, width, height)
        canvas.show(self._lens.node)
        return canvas

    def _picture(self, view: View) -> Picture:
        return Picture(
            engine=ENGINE,
            camera=view.label,
            frame=self._world.frame,
            position=from_unreal(view.transform.position),
            orientation=rotation_from_unreal(view.transform.orientation),
            intrinsics=intrinsics(view.optics, *self.size),
            placed=self.stage.placed,
            layer=view.layer,
            attachments=("image/png",) if view.layer else ("image/jpeg",),
        )


def _larger(times: int, width: int, height: int) -> tuple[int, int]:
    """The size that is drawn, to be averaged."""
    return (width * times, height * times) if width * height <= SMOOTH_PIXELS else (width, height)
