"""Unreal's UAutomationBlueprintFunctionLibrary: screenshots."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from msgspec import Meta, Struct

from agents.engine.remote.answer import Refused, shown
from agents.engine.remote.context import Context, NoShot
from agents.engine.remote.paths import actor_at
from agents.engine.remote.tables import Class, Function
from agents.engine.remote.values import ActorRef, ObjectRef

SUFFIX = ".png"

Pixels = Annotated[int, Meta(ge=16, le=4096, title="int32")]
FileName = Annotated[str, Meta(min_length=1, max_length=1024, title="FString")]


class Shoot(Struct, frozen=True, forbid_unknown_fields=True):
    """What comes after the camera is for Unreal's comparison of pictures, and changes nothing here."""

    ResX: Pixels
    ResY: Pixels
    Filename: FileName
    Camera: ActorRef = ""
    bMaskEnabled: bool = False
    bCaptureHDR: bool = False
    ComparisonTolerance: str = "Low"
    ComparisonNotes: str = ""
    Delay: float = 0.0
    bForceGameView: bool = True


class Shooting(Struct, frozen=True):
    """Unreal names a task here, which may be asked whether it is done. There is none here: the file tells."""

    ReturnValue: ObjectRef = ""


def shoot(context: Context, library: None, told: Shoot) -> Shooting:
    """Have a picture written after one of the next frames. The file lies below the engine's folder for them."""
    file = _placed(context.shots, told.Filename)
    try:
        context.backend.shoot(_camera(context, told.Camera), told.ResX, told.ResY, file)
    except NoShot as error:
        raise Refused(f"No screenshot is taken: {error}.") from None
    return Shooting()


def _camera(context: Context, path: str) -> str | None:
    """A camera's label. None: no camera was named. Raises Refused."""
    if not path:
        return None
    actor = actor_at(context.world, path)
    if actor is None:
        raise Refused(f"Object: {shown(path)} does not exist.")
    if actor.looks.optics is None:
        raise Refused(f"Object: {shown(path)} is no camera.")
    return actor.label


def _placed(folder: Path, name: str) -> Path:
    """Where a picture is written: always a PNG. Raises Refused for a place that is not below the folder."""
    whole = name if name.lower().endswith(SUFFIX) else f"{name}{SUFFIX}"
    try:
        file = (folder / whole).resolve()  # also through links
    except (OSError, RuntimeError, ValueError):
        raise Refused(f"Filename: {shown(name)!r} is no name of a file.") from None
    if not file.is_relative_to(folder.resolve()):
        raise Refused(f"Filename: {shown(name)!r} is not below {folder}: screenshots are only written there.")
    return file


LIBRARY: Class[None] = Class(
    "/Script/FunctionalTesting.AutomationBlueprintFunctionLibrary",
    functions=(Function("TakeHighResScreenshot", Shoot, Shooting, shoot),),
)
