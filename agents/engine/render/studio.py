"""All of Panda3D that the engine has: what it draws with, the scene, its physics and the camera. It belongs to one thread."""

from __future__ import annotations

from dataclasses import dataclass

from panda3d.core import GraphicsEngine, RenderState, TransformState

from agents.engine.render.camera import ASIDE, Lens, View, intrinsics, png, view_of
from agents.engine.render.canvas import Canvas, Pixels
from agents.engine.render.gltf_meshes import load_meshes
from agents.engine.render.lights import whiten
from agents.engine.render.meshes import Meshes
from agents.engine.render.physics import Physics
from agents.engine.render.pipes import VERSION, Choice, open_pipe
from agents.engine.render.stage import Stage
from agents.engine.reports import Drawing
from agents.engine.scenes.loading import Loaded
from agents.engine.world import MAIN, Box, World
from agents.parts.frames import from_unreal, rotation_from_unreal
from schemas.engine import ENGINE, Picture, Scene

SMOOTH = 3
"""Neither renderer draws smooth edges: screenshots are drawn so many times as wide and high, and averaged."""
SMOOTH_PIXELS = 1920 * 1080
"""A larger screenshot is not: it would take a gigabyte."""


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
        self._canvas = Canvas(self._engine, self._pipe, width, height)
        self._meshes = Meshes()
        self.physics = Physics(world)
        self.stage = Stage(world, self._meshes, self.physics)
        if choice.renderer == "software":
            whiten(self.stage.root)
        self._lens = Lens(self.stage.root, choice.renderer)
        self._main = self._drawn = ASIDE
        self._canvas.show(self._lens.node)
        self._large: Canvas | None = None

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
        """What a camera sees in the frame that was drawn, of the main one drawn already. Raises NoSuchCamera."""
        view = self._main if label == self._main.label else self.view(label)
        if view is not self._drawn:
            self._draw(view)
        return Shot(self._canvas.pixels(), self._picture(view))

    def screenshot(self, label: str | None, width: int, height: int) -> bytes:
        """A PNG of what a camera sees; None: the main one. Raises NoSuchCamera, NoRenderer."""
        view = self._main_view() if label is None else self.view(label)
        times = SMOOTH if width * height <= SMOOTH_PIXELS else 1
        canvas = self._resized(width * times, height * times)
        self._lens.aim(view, canvas.width, canvas.height)
        canvas.draw()
        return png(canvas.pixels(), width, height)

    def draw_calls(self) -> int:
        """Of the main camera's picture."""
        self._lens.aim(self._main, *self.size)
        return self.stage.draw_calls(self._lens.seen())

    def close(self) -> None:
        self._engine.remove_all_windows()

    def _main_view(self) -> View:
        camera = self.stage.camera(MAIN)
        return ASIDE if camera is None else view_of(camera)

    def view(self, label: str) -> View:
        """Where a camera is now, and its optics. Raises NoSuchCamera."""
        camera = self.stage.camera(label)
        if camera is None:
            labels = sorted(actor.label for actor in self.stage.cameras.values())
            raise NoSuchCamera(f"there is no camera {label!r}: there are {labels}")
        return view_of(camera)

    def _draw(self, view: View) -> None:
        self._lens.aim(view, *self.size)
        self._canvas.draw()
        self._drawn = view

    def _resized(self, width: int, height: int) -> Canvas:
        """The one canvas of screenshots, in this size. Raises NoRenderer."""
        if self._large is None:
            self._large = Canvas(self._engine, self._pipe, width, height)
            self._large.show(self._lens.node)
        self._large.resize(width, height)
        return self._large

    def _picture(self, view: View) -> Picture:
        return Picture(
            engine=ENGINE,
            camera=view.label,
            frame=self._world.frame,
            position=from_unreal(view.transform.position),
            orientation=rotation_from_unreal(view.transform.orientation),
            intrinsics=intrinsics(view.optics, *self.size),
        )
