"""The scene in USD: an Xform for each actor, and below it what it looks like.

Format: https://openusd.org/release/ (UsdGeom, UsdLux). Y is up and a unit is a metre, as on the bus; cameras and lights look along -Z
there, too.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from pxr import Gf, Sdf, Tf, Usd, UsdGeom, UsdLux

from agents.parts.frames import normalised
from agents.ue5.exports.shapes import ASPECT_RATIO, FACES, FAR, GREY, NEAR, Basic, shape
from agents.ue5.exports.snapshot import Snapshot
from schemas.scene import Actor, Vector

ROOT = "/Scene"
FILM = 0.36
"""Width of the picture in a camera, in tenths of a metre as UsdGeomCamera wants it: the 36 mm of a full frame."""

_SHAPES: dict[Basic, tuple[type[UsdGeom.Gprim], dict[str, float | str]]] = {
    "Cube": (UsdGeom.Cube, {"size": 1.0}),
    "Sphere": (UsdGeom.Sphere, {"radius": 0.5}),
    "Cylinder": (UsdGeom.Cylinder, {"height": 1.0, "radius": 0.5, "axis": "Y"}),
    "Cone": (UsdGeom.Cone, {"height": 1.0, "radius": 0.5, "axis": "Y"}),
    "Plane": (UsdGeom.Plane, {"width": 1.0, "length": 1.0, "axis": "Y"}),
}
_LIGHTS = {
    "PointLight": UsdLux.SphereLight,
    "SpotLight": UsdLux.SphereLight,
    "DirectionalLight": UsdLux.DistantLight,
    "RectLight": UsdLux.RectLight,
    "SkyLight": UsdLux.DomeLight,
}


def write(snapshot: Snapshot, path: Path) -> None:
    """Write the scene, which `check` has passed, to a file that is not there yet. Raises OSError."""
    stage = Usd.Stage.CreateInMemory()
    _describe(stage, snapshot.engine)
    places = [f"{ROOT}/{name}" for name in prim_names(actor.label for actor in snapshot.actors)]
    _make_xforms(stage.GetRootLayer(), places)
    for place, actor in zip(places, snapshot.actors, strict=True):
        _place(stage, place, actor)
        _draw(stage, place, snapshot, actor)
    try:
        stage.GetRootLayer().Export(str(path))
    except Tf.ErrorException as error:
        raise OSError(f"USD could not write {path}: {error}") from error


def prim_names(labels: Iterable[str]) -> list[str]:
    """A name for each label that USD allows, and that is no other's: `Box 1` and `Box-1` are `Box_1` and `Box_1_2`."""
    taken, numbers, names = set[str](), Counter[str](), list[str]()
    for label in labels:
        name = stem = Tf.MakeValidIdentifier(label)
        while name in taken:
            numbers[stem] += 1
            name = f"{stem}_{numbers[stem] + 1}"
        taken.add(name)
        names.append(name)
    return names


def _describe(stage: Usd.Stage, engine: str) -> None:
    """Say what everything in the file is relative to, and which engine had it."""
    UsdGeom.SetStageUpAxis(stage, UsdGeom.Tokens.y)
    UsdGeom.SetStageMetersPerUnit(stage, 1.0)
    root = UsdGeom.Xform.Define(stage, ROOT).GetPrim()
    stage.SetDefaultPrim(root)
    stage.GetRootLayer().customLayerData = {"zeropoint": {"engine": engine}}
    stage.GetRootLayer().documentation = f"The scene that {engine} showed"


def _make_xforms(layer: Sdf.Layer, places: list[str]) -> None:
    """All in one change: after each of its own, USD would look at all of their siblings again, 14 s of 20,000 actors."""
    with Sdf.ChangeBlock():
        for place in places:
            spec = Sdf.CreatePrimInLayer(layer, place)
            spec.specifier, spec.typeName = Sdf.SpecifierDef, "Xform"


def _place(stage: Usd.Stage, place: str, actor: Actor) -> None:
    xform = UsdGeom.Xform.Get(stage, place)
    x, y, z, w = normalised(actor.orientation)
    xform.AddTranslateOp().Set(Gf.Vec3d(*actor.position))
    xform.AddOrientOp(UsdGeom.XformOp.PrecisionDouble).Set(Gf.Quatd(w, x, y, z))  # of floats, USD makes turns that are 3e-6 off
    xform.AddScaleOp().Set(Gf.Vec3f(*actor.scale))
    prim = xform.GetPrim()
    prim.SetDisplayName(actor.label)
    prim.SetCustomDataByKey("zeropoint:class", actor.kind)
    if actor.mesh is not None:
        prim.SetCustomDataByKey("zeropoint:mesh", actor.mesh)


def _draw(stage: Usd.Stage, place: str, snapshot: Snapshot, actor: Actor) -> None:
    """What the actor looks like, below its Xform."""
    if actor.path in snapshot.cameras:
        _film(stage, f"{place}/Camera", snapshot.cameras[actor.path])
    elif actor.kind in _LIGHTS:
        _extend(_LIGHTS[actor.kind].Define(stage, f"{place}/Light").GetPrim())
    else:
        _model(stage, place, shape(snapshot, actor))


def _model(stage: Usd.Stage, place: str, shape: Basic | list[Vector] | None) -> None:
    match shape:
        case str():
            _basic(stage, f"{place}/Shape", shape)
        case list():
            _proxy(stage, f"{place}/Bounds", shape)


def _basic(stage: Usd.Stage, path: str, shape: Basic) -> None:
    schema, attributes = _SHAPES[shape]
    gprim = schema.Define(stage, path)
    for name, value in attributes.items():
        gprim.GetPrim().GetAttribute(name).Set(value)
    gprim.CreateDisplayColorAttr([Gf.Vec3f(*GREY)])
    _extend(gprim.GetPrim())


def _proxy(stage: Usd.Stage, path: str, corners: list[Vector]) -> None:
    """A box in place of a mesh, which says that it is one."""
    mesh = UsdGeom.Mesh.Define(stage, path)
    mesh.CreatePointsAttr([Gf.Vec3f(*corner) for corner in corners])
    mesh.CreateFaceVertexCountsAttr([len(face) for face in FACES])
    mesh.CreateFaceVertexIndicesAttr([corner for face in FACES for corner in face])
    mesh.CreateSubdivisionSchemeAttr(UsdGeom.Tokens.none)
    mesh.CreateDisplayColorAttr([Gf.Vec3f(*GREY)])
    mesh.GetPrim().SetCustomDataByKey("zeropoint:proxy", "bounds")
    _extend(mesh.GetPrim())


def _film(stage: Usd.Stage, path: str, field_of_view: float) -> None:
    camera = UsdGeom.Camera.Define(stage, path)
    camera.CreateHorizontalApertureAttr(FILM)
    camera.CreateVerticalApertureAttr(FILM / ASPECT_RATIO)
    camera.CreateFocalLengthAttr(FILM / 2 / math.tan(field_of_view / 2))
    camera.CreateClippingRangeAttr(Gf.Vec2f(NEAR, FAR))


def _extend(prim: Usd.Prim) -> None:
    """Write how large it is into the file, where it has a size, so that readers need not work it out."""
    if prim.IsA(UsdGeom.Boundable):
        boundable = UsdGeom.Boundable(prim)
        boundable.CreateExtentAttr(UsdGeom.Boundable.ComputeExtentFromPlugins(boundable, Usd.TimeCode.Default()))
