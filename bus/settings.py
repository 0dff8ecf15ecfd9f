"""An agent's settings: the struct's defaults, then its table in bus.toml, then the environment (`BUS_TRAINER_STEPS=30`)."""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from bus.errors import BusError

S = TypeVar("S", bound=Struct)


class BadSettings(BusError):
    """A setting that no struct has, or of the wrong type; the message names it and where it stands."""


def load(kind: type[S], name: str, file: Path, environ: Mapping[str, str] = os.environ) -> S:
    """The settings of the agent `name`. Raises BadSettings."""
    values = {**_from_file(file, name), **_from_environment(kind, name, environ)}
    known = [field.name for field in msgspec.structs.fields(kind)]
    for key in values:
        if key not in known:
            near = difflib.get_close_matches(key, known, 1)
            raise BadSettings(f"{file}: [{name}] has no setting {key!r}{f': did you mean {near[0]!r}?' if near else f', only {known}'}")
    try:
        return msgspec.convert(values, kind, strict=False)
    except msgspec.ValidationError as error:
        raise BadSettings(f"settings of {name}: {error} (from {file.name} or BUS_{name.upper()}_…)") from error


def _from_file(file: Path, name: str) -> dict[str, Any]:  # Any: TOML values, converted by `load`
    try:
        table = tomllib.loads(file.read_text()).get(name, {})
    except FileNotFoundError:
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadSettings(f"{file}: {error}") from error
    if not isinstance(table, dict):
        raise BadSettings(f"{file}: {name} must be a table, as [{name}]")
    return table


def _from_environment(kind: type[Struct], name: str, environ: Mapping[str, str]) -> dict[str, str]:
    names = {field.name: f"BUS_{name}_{field.name}".upper().replace("-", "_") for field in msgspec.structs.fields(kind)}
    return {field: environ[variable] for field, variable in names.items() if variable in environ}
