"""Scenes to export: one with everything in it, and drawn ones."""

from __future__ import annotations

import math

from hypothesis import strategies as st
from msgspec.structs import replace

from agents.parts.frames import normalised, rotate
from agents.ue5.exports.snapshot import MetricsRow, Snapshot
from schemas.scene import Actor, Vector

ENGINE = "embedded-panda3d 1.10.16"
BASIC = ("Cube", "Sphere", "Cylinder", "Cone", "Plane")
PLACE = "/Game/Level.Level:PersistentLevel.{}"
"""An actor's path, by its name."""
KINDS = ("StaticMeshActor", "CameraActor", "PointLight", "SpotLight", "DirectionalLight", "RectLight", "SkyLight", "Brush")


def actor(label: str, mesh: str | None = None, kind: str = "StaticMeshActor") -> Actor:
    """An actor that is moved, turned by 73.7 degrees and stretched."""
    return Actor(
        label=label,
        path=PLACE.format(label),
        kind=kind,
        mesh=mesh,
        position=(1.0, 2.0, 3.0),
        orientation=(0.0, 0.6, 0.0, 0.8),
        scale=(1.0, 2.0, 0.5),
    )


def basic(name: str) -> Actor:
    return actor(name, f"/Engine/BasicShapes/{name}.{name}")


EVERYTHING = Snapshot(
    engine=ENGINE,
    actors=[
        *map(basic, BASIC),
        actor("chair", "/Game/Chair.Chair"),
        actor("main", kind="CameraActor"),
        *(actor(kind, kind=kind) for kind in KINDS if kind.endswith("Light")),
        actor("start", kind="PlayerStart"),
    ],
    bounds={PLACE.format("chair"): ((1.0, 2.5, 3.0), (0.25, 0.5, 0.75))},
    cameras={PLACE.format("main"): math.pi / 2},
    metrics=[
        MetricsRow(time_ns=1_000_000_000, rate=59.0, frame_time=1 / 59, round_trip_p50=0.0004, round_trip_p99=0.002),
        MetricsRow(time_ns=2_000_000_000),
        MetricsRow(time_ns=3_000_000_000, rate=61.0, frame_time=1 / 61, round_trip_p50=0.0006, round_trip_p99=0.004),
    ],
    settings={"hz": "60"},
)


def seen(actor: Actor, point: Vector) -> Vector:
    """A point of the actor's own, in the scene: scaled, turned, moved."""
    x, y, z = (value * factor for value, factor in zip(point, actor.scale, strict=True))
    turned = rotate(normalised(actor.orientation), (x, y, z))
    return tuple(value + at for value, at in zip(turned, actor.position, strict=True))  # type: ignore[return-value]  # of three


def _floats(most: float) -> st.SearchStrategy[float]:
    return st.floats(-most, most, allow_subnormal=False, width=32)


def _vectors(most: float) -> st.SearchStrategy[Vector]:
    return st.tuples(_floats(most), _floats(most), _floats(most))


_TURNS = st.tuples(*[_floats(1)] * 4).filter(lambda turned: math.hypot(*turned) > 0.01)
_LABELS = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=12)
_MESHES = st.none() | st.sampled_from([*(f"/Engine/BasicShapes/{name}.{name}" for name in BASIC), "/Game/Chair.Chair"])
_PLACED = st.builds(
    Actor,
    label=_LABELS,
    path=st.just("/Game/Level"),
    kind=st.sampled_from(KINDS),
    mesh=_MESHES,
    position=_vectors(1e5),
    orientation=_TURNS,
    scale=_vectors(100),
)


@st.composite
def snapshots(draw: st.DrawFn) -> Snapshot:
    """Whatever an engine may hold: odd and equal labels, mirrored and flattened actors, some of known size, some cameras."""
    actors = [replace(each, path=PLACE.format(number)) for number, each in enumerate(draw(st.lists(_PLACED, max_size=8)))]
    paths = [actor.path for actor in actors]
    some = st.sets(st.sampled_from(paths)) if paths else st.just(set[str]())
    bounds = {path: (draw(_vectors(1e5)), draw(_vectors(100).map(_positive))) for path in sorted(draw(some))}
    cameras = {path: draw(st.floats(0.1, 3.0)) for path in sorted(draw(some))}
    return replace(EVERYTHING, actors=actors, bounds=bounds, cameras=cameras, metrics=[])


def _positive(vector: Vector) -> Vector:
    x, y, z = map(abs, vector)
    return (x, y, z)
