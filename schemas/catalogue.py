"""Every topic and command that is declared anywhere in `schemas`, by name."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from typing import Any

import schemas
from bus.topic import Command, Topic


def declared() -> Iterator[Topic[Any] | Command[Any, Any]]:  # Any: of every struct
    """The topics and commands of all domain modules, in the order of the modules' names."""
    for module in pkgutil.iter_modules(schemas.__path__):
        if module.name != "catalogue":
            values = vars(importlib.import_module(f"schemas.{module.name}")).values()
            yield from (value for value in values if isinstance(value, Topic | Command))


def topics() -> dict[str, Topic[Any]]:
    """Declared topics by name."""
    return {each.name: each for each in declared() if isinstance(each, Topic)}


def commands() -> dict[str, Command[Any, Any]]:
    """Declared commands by name."""
    return {each.name: each for each in declared() if isinstance(each, Command)}
