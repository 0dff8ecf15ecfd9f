"""Topics and commands: declared once, in code, with all that the system needs to know about them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Generic, TypeVar

from msgspec import Meta, Struct

T = TypeVar("T")
Request = TypeVar("Request")
Reply = TypeVar("Reply")

# `$` alone also matches before a final newline, in Python but not in JSON Schema's dialect.
NAME_PATTERN = r"^[a-z0-9][a-z0-9_-]{0,62}$(?!\n)"
RECIPE_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$(?!\n)"

Name = Annotated[str, Meta(pattern=NAME_PATTERN)]
"""A source, agent or run: safe as a file name, a topic segment and a part of an id."""
RecipeName = Annotated[str, Meta(pattern=RECIPE_PATTERN)]
ArtifactPath = Annotated[str, Meta(pattern=r"^(?!/)(?!(?:.*/)?\.\.(?:/|$))[^\x00-\x1f]+$(?!\n)", max_length=512)]
"""A path below `artifacts/`: relative, without `..`."""
Sha256 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$(?!\n)")]

_LONGEST_NAME = 200  # a frame's topic may have 255 bytes, of which `command.` takes some
_WORD = r"[a-z][a-z0-9_]*"
_TOPIC_NAME = re.compile(rf"{_WORD}(\.{_WORD}){{1,3}}")
_COMMAND_NAME = re.compile(rf"{_WORD}\.{_WORD}")


class Nothing(Struct, frozen=True, kw_only=True):
    """A command without arguments."""


class Delivery(StrEnum):
    """How a topic's events travel: see docs/guarantees.md."""

    DURABLE = "durable"
    LATEST = "latest"


DURABLE = Delivery.DURABLE
LATEST = Delivery.LATEST


@dataclass(frozen=True, slots=True)
class Topic(Generic[T]):
    """A fact that happens: its name, the struct that says it, and how it is delivered.

    `rate_hz` is the rate that a healthy publisher keeps; `bus top` calls a slower topic late.
    Raises ValueError for a name that is not `domain.noun` with up to two further words.
    """

    name: str
    type: type[T]
    delivery: Delivery = DURABLE
    rate_hz: float | None = None

    def __post_init__(self) -> None:
        if len(self.name) > _LONGEST_NAME or not _TOPIC_NAME.fullmatch(self.name):
            raise ValueError(f"topic name {self.name!r}: want two to four lower-case words joined by dots, as train.step")


@dataclass(frozen=True, slots=True)
class Command(Generic[Request, Reply]):
    """A request that one agent answers: `agent.verb`, the request's struct and the reply's.

    Raises ValueError for a name that is not `agent.verb`.
    """

    name: str
    request: type[Request]
    reply: type[Reply]

    def __post_init__(self) -> None:
        if len(self.name) > _LONGEST_NAME or not _COMMAND_NAME.fullmatch(self.name):
            raise ValueError(f"command name {self.name!r}: want agent.verb, as trainer.start")

    @property
    def agent(self) -> str:
        return self.name.partition(".")[0]

    @property
    def verb(self) -> str:
        return self.name.partition(".")[2]

    @property
    def topic(self) -> str:
        """The wire topic that the request travels on."""
        return f"command.{self.name}"
