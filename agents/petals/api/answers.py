"""What the HTTP API needs of the agent behind it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Literal, Protocol

from msgspec import Struct

from agents.parts.generation.text import Request, Written
from bus.topic import Name
from schemas import petals


class ModelCard(Struct, frozen=True, kw_only=True):
    """A model: its name in the swarm, when it was made (seconds since the Unix epoch), and how many tokens it reads at most."""

    id: str
    created: int
    context: int


class Text(Protocol):
    """A text while it is written: iterate over it for its pieces, one for each token and perhaps empty; then `written` is there.

    Iterating raises BadRequest for what this model cannot write, BadModel and Unanswered where it fails, Closing. Who awaits a piece may
    be cancelled. `aclose` ends the model's work on it, at any time and more than once. `generation` names it in events; `served` says who
    has computed its tokens so far, `note` why it was not the swarm.
    """

    @property
    def generation(self) -> Name: ...

    @property
    def served(self) -> Sequence[petals.Stretch]: ...

    @property
    def note(self) -> str | None: ...

    @property
    def written(self) -> Written: ...

    def __aiter__(self) -> AsyncIterator[str]: ...

    async def aclose(self) -> None: ...


class Answers(Protocol):
    """The agent. Everything here returns at once: what takes time is done while a text is iterated over."""

    def model(self) -> ModelCard:
        """The model that is served. Raises NoModel."""

    def write(self, request: Request, client: Literal["http"]) -> Text:
        """Begin a text with it. Raises BadRequest, Busy, NoModel, Closing."""

    def status(self) -> petals.Status: ...

    def peers(self) -> petals.Peers: ...
