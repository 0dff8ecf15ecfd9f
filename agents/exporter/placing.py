"""Where exports lie, below `artifacts/train/models/`: folders that never change, and names that lead to the newest of each recipe.

    exports/<recipe>-<export>/    one export; another of the same name gets .2 behind it
    <recipe>                      a link to the newest one
    <recipe>_model.onnx           its decoder again, which finds its weights in that folder
    failed/<recipe>-<export>/     what was not put in place
    .new-*                        what is being made or removed

A name changes by a rename: who reads it finds the old export or the new one, whole, also where a kill ended the change.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import time
from collections import defaultdict
from pathlib import Path

from agents.exporter.names import EXPORTS, FOLDER, MODEL
from agents.parts.external_data import BadModel, locations, move, read_model
from bus.log.disk import make_folder, sync, sync_folder
from bus.topic import NAME_PATTERN, RECIPE_PATTERN

KEPT = 2
"""Exports of a recipe in one precision that stay: the newest ones."""
_NEW, _FAILED = ".new-", "failed"


class BadExport(ValueError):
    """A folder or name that cannot be put in place; the message says why."""


class Models:
    """The exports below the folder `artifacts`. One process at a time writes there."""

    def __init__(self, artifacts: Path) -> None:
        self.artifacts = artifacts
        self._folder = artifacts / FOLDER
        self._exports, self._failed = self._folder / EXPORTS, self._folder / _FAILED

    def begin(self, recipe: str, export: str) -> Path:
        """An empty folder for the files of an export. What earlier ones left unfinished is removed.

        Raises BadExport also where the names of this recipe are taken by something else, OSError.
        """
        name = _named(recipe, export)
        for folder in (self._folder, self._exports, self._failed):
            self._make(folder)
        self._check_names(recipe)
        self.clear()
        made = self._folder / f"{_NEW}{name}"
        made.mkdir()
        return made

    def clear(self) -> None:
        """Remove what is unfinished. Raises BadExport, OSError."""
        self._refuse_outside(self._folder)
        for remains in self._folder.glob(f"{_NEW}*"):
            _delete(remains)

    def place(self, made: Path, recipe: str, export: str) -> str:
        """Put the complete folder of `begin` in place, synced to disk; from then on nothing writes to it.

        Returns where, relative to `artifacts/`. What was there before stays until the new is there.
        Raises BadExport, BadModel where its weights lie elsewhere, OSError.
        """
        name = self._free(_named(recipe, export))
        link, decoder = self._folder / recipe, self._folder / f"{recipe}_{MODEL}"
        self._check_made(made)
        self._check_names(recipe)
        graph = read_model(made / MODEL)
        move(graph, f"{EXPORTS}/{name}")
        _settle(made)
        new_link, new_decoder = (self._folder / f"{_NEW}{kind}.{recipe}" for kind in ("link", "decoder"))  # no export has a dot
        _write(new_decoder, graph.SerializeToString())
        new_link.unlink(missing_ok=True)
        new_link.symlink_to(f"{EXPORTS}/{name}")
        made.rename(self._exports / name)
        sync_folder(self._exports)
        new_decoder.replace(decoder)
        new_link.replace(link)
        sync_folder(self._folder)
        return f"{FOLDER}/{EXPORTS}/{name}"

    def set_aside(self, made: Path, recipe: str, export: str) -> str:
        """Keep the folder of `begin` where nobody takes it for a model, instead of an earlier one of this recipe and precision.

        Returns where, relative to `artifacts/`. Raises BadExport, OSError.
        """
        kept = self._failed / _named(recipe, export)
        self._check_made(made)
        for earlier in self._failed.glob(f"{recipe}-*"):
            if _precision_of(earlier.name) == _precision_of(kept.name):
                self._discard(earlier)
        made.rename(kept)
        sync_folder(self._failed)
        sync_folder(self._folder)
        return f"{FOLDER}/{_FAILED}/{kept.name}"

    def superfluous(self, recipe: str) -> list[str]:
        """The exports of a recipe that newer ones replace, relative to `artifacts/`.

        Of each precision the newest KEPT stay, and those that a name leads to; of exports of one name only the newest counts.
        Raises BadExport, OSError.
        """
        _check_name(recipe, RECIPE_PATTERN)
        found = [each for each in self._exports.glob(f"{recipe}-*") if _recipe_of(each) == recipe]
        kept: dict[str, dict[str, str]] = defaultdict(dict)  # by precision, then by name
        for folder in sorted(found, key=lambda each: each.stat().st_mtime_ns, reverse=True):
            name = folder.name.partition(".")[0]
            alike = kept[_precision_of(name)]
            if len(alike) < KEPT:
                alike.setdefault(name, folder.name)
        needed = {name for alike in kept.values() for name in alike.values()} | self._in_use(recipe)
        return sorted(f"{FOLDER}/{EXPORTS}/{each.name}" for each in found if each.name not in needed)

    def remove(self, folder: str) -> None:
        """Remove an export that `superfluous` names. Raises BadExport, OSError."""
        path = self.artifacts / folder
        if folder not in self.superfluous(_recipe_of(path)):
            raise BadExport(f"{folder} is no superfluous export: it is needed, or none at all")
        self._refuse_outside(self._exports)
        self._discard(path)

    def _in_use(self, recipe: str) -> set[str]:
        """The exports that the names of a recipe lead to: two, where a kill came between the one and the other."""
        link = self._folder / recipe
        used = {link.readlink().name} if link.is_symlink() else set()
        try:
            graph = read_model(self._folder / f"{recipe}_{MODEL}")
            return used | {Path(each).parent.name for each in locations(graph)}
        except (BadModel, FileNotFoundError):
            return used

    def _free(self, name: str) -> str:
        """The name, or one with the first number behind it that no export has."""
        number, free = 1, name
        while os.path.lexists(self._exports / free):
            number += 1
            free = f"{name}.{number}"
        return free

    def _check_names(self, recipe: str) -> None:
        link, decoder = self._folder / recipe, self._folder / f"{recipe}_{MODEL}"
        if os.path.lexists(link) and not link.is_symlink():
            raise BadExport(f"{link} is no link to an export: move it away")
        if decoder.is_dir():
            raise BadExport(f"{decoder} is a folder: move it away")

    def _check_made(self, made: Path) -> None:
        for folder in (self._folder, self._exports, self._failed):
            self._refuse_outside(folder)
        if made.parent != self._folder or not made.name.startswith(_NEW) or made.is_symlink() or not made.is_dir():
            raise BadExport(f"{made} is no folder that `begin` made")

    def _make(self, folder: Path) -> None:
        self._refuse_outside(folder)
        make_folder(folder)

    def _refuse_outside(self, folder: Path) -> None:
        if not folder.resolve().is_relative_to(self.artifacts.resolve()):
            raise BadExport(f"{folder} leads out of {self.artifacts}: remove that link")

    def _discard(self, path: Path) -> None:
        """Remove a folder whole: half of it is never found under its name."""
        going = self._folder / f"{_NEW}gone.{path.name}"
        if os.path.lexists(going):
            _delete(going)
        path.rename(going)
        sync_folder(path.parent)
        _delete(going)


def _named(recipe: str, export: str) -> str:
    _check_name(recipe, RECIPE_PATTERN)
    _check_name(export, NAME_PATTERN)
    if "-" in recipe or recipe in (EXPORTS, _FAILED):
        raise BadExport(f"no folder can be that of recipe {recipe!r}: want a name without -, and neither {EXPORTS} nor {_FAILED}")
    return f"{recipe}-{export}"


def _recipe_of(folder: Path) -> str:
    return folder.name.partition("-")[0]


def _precision_of(name: str) -> str:
    """Of an export's folder, what stands behind recipe and checkpoint."""
    return name.split("-", 2)[-1]


def _check_name(name: str, pattern: str) -> None:
    if not re.match(pattern, name):
        raise BadExport(f"{name!r} is no name for a folder: want {pattern}")


def _settle(made: Path) -> None:
    """Bring the files to disk, as ones that nobody changes. Raises BadExport for what is no file of its own, OSError."""
    for path in made.iterdir():
        status = path.lstat()
        if not stat.S_ISREG(status.st_mode):
            raise BadExport(f"{path.name} is no plain file: an export is made of such")
        if path.suffix == ".data" and status.st_nlink != 1:
            raise BadExport(f"{path.name} is also a file of another name: the library onnx refuses such weights")
        path.chmod(0o444)
        with path.open("rb") as file:
            sync(file.fileno())
    os.utime(made, ns=(time.time_ns(),) * 2)  # by which the newest is known
    sync_folder(made)


def _write(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        sync(file.fileno())


def _delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()
