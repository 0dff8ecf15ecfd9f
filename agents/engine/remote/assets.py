"""The assets that there are: Unreal's basic shapes, and the meshes that actors of the scene show."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from agents.engine import basic_shapes
from agents.engine.remote.context import Context
from agents.engine.world import Box

MESH_CLASS = "/Script/Engine.StaticMesh"
SEARCH_LIMIT = 100
"""Assets in an answer, where a client does not say how many."""

_Names = Annotated[list[str], Meta(max_length=100)]
"""Each is compared with each asset."""


class Filter(Struct, frozen=True, forbid_unknown_fields=True):
    """Empty: everything. Here all assets are of one class, which has no other classes below it."""

    PackageNames: _Names = []
    ClassNames: _Names = []
    PackagePaths: _Names = []
    RecursiveClassesExclusionSet: _Names = []
    RecursivePaths: bool = False
    RecursiveClasses: bool = False


class Search(Struct, frozen=True, forbid_unknown_fields=True):
    """`PUT /remote/search/assets`: assets whose name contains `Query`."""

    Query: str = ""
    Limit: Annotated[int, Meta(ge=0, le=10_000)] = SEARCH_LIMIT
    Filter: Filter = Filter()


class Asset(Struct, frozen=True):
    Name: str
    Class: str
    Path: str
    Metadata: dict[str, str] = {}


class Assets(Struct, frozen=True):
    Assets: list[Asset]


def mesh_box(context: Context, path: str) -> Box | None:
    """None: there is no such mesh."""
    return basic_shapes.BOXES.get(path) or context.backend.bounds(path)


def search(context: Context, asked: Search) -> Assets:
    found = [path for path in _meshes(context) if _matches(path, asked)]
    return Assets([Asset(_name(path), MESH_CLASS, path) for path in found[: asked.Limit]])


def _meshes(context: Context) -> list[str]:
    shown = {actor.looks.mesh for actor in list(context.world.actors.values())}  # one operation: a scene may be loaded meanwhile
    return [*basic_shapes.BOXES, *sorted(path for path in shown if path is not None and path not in basic_shapes.BOXES)]


def _matches(path: str, asked: Search) -> bool:
    """Whether one asset is meant."""
    where, package = asked.Filter, path.partition(".")[0]
    return (
        asked.Query.lower() in _name(path).lower()
        and (not where.PackageNames or package in where.PackageNames)
        and (not where.ClassNames or any(_is_mesh_class(name) for name in where.ClassNames))
        and not any(_is_mesh_class(name) for name in where.RecursiveClassesExclusionSet)
        and (not where.PackagePaths or any(_lies_in(package, folder, where.RecursivePaths) for folder in where.PackagePaths))
    )


def _lies_in(package: str, folder: str, below: bool) -> bool:
    parent, folder = package.rpartition("/")[0], folder.rstrip("/")
    return parent == folder or (below and parent.startswith(f"{folder}/"))


def _is_mesh_class(name: str) -> bool:
    """By its path, or by its name alone, as before Unreal 5.1."""
    return name in (MESH_CLASS, "StaticMesh")


def _name(path: str) -> str:
    return path.rpartition(".")[2]
