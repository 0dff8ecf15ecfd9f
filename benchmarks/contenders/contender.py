"""The face that every contender shows: the servers that it needs, and four roles that are processes of their own."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from msgspec import Struct

SYSTEM_FOLDERS = "/usr/sbin:/usr/local/sbin"
"""Where Debian puts servers, and where a user's PATH does not look."""


class Job(Struct, frozen=True, kw_only=True):
    """What one role is to do. `folder` is the servers', `size` the bytes of an event's data.

    `count` events go out as fast as the contender takes them, or `rate` a second. A reader gives up after `quiet` seconds without an event.
    """

    contender: str
    module: str
    role: str
    folder: str
    topic: str
    size: int
    count: int
    rate: float = 0.0
    quiet: float = 5.0


class Result(Struct, frozen=True, kw_only=True):
    """What a role measured.

    A publisher: `count` events sent within `seconds`, from the first until all were as safe as the contender makes them.
    A subscriber: `count` events received, `seconds` between the first and the last; `disordered` of them were not above the one before,
    None where it does not look into them.
    A pinger: `count` round trips that came back, and how long they took, in ns, in no order.
    """

    count: int
    seconds: float = 0.0
    disordered: int | None = None
    round_trips: list[int] = []


class Gate(Protocol):
    """How a role and the benchmark agree on the start."""

    def ready(self) -> None:
        """Say that all is connected, and return when the others are too."""


Role = Callable[[Job, Gate], Result]


@dataclass(frozen=True, slots=True)
class Server:
    """A process that runs while the roles do. `is_up` says when they may connect."""

    name: str
    command: list[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    is_up: Callable[[], bool] = lambda: True


@dataclass(frozen=True, slots=True)
class Contender:
    """`promise` is what holds for an event when its publisher's flush, or the reply that stands for it, returns.

    `roles`: publish, subscribe, ping, echo. `is_durable`: whether its events are on disk, or on their way there.
    """

    name: str
    module: str
    promise: str
    is_durable: bool
    servers: Callable[[Path], list[Server]]
    roles: Mapping[str, Role]
    versions: Mapping[str, str] = field(default_factory=dict)


def find_program(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:{SYSTEM_FOLDERS}")


class Missing(Exception):
    """A contender that cannot run here; the text says what to install."""
