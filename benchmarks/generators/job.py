"""What a contender is told as it starts, and what it answers when it has written so many texts."""

from __future__ import annotations

from msgspec import Struct


class Job(Struct, frozen=True, kw_only=True):
    """Write `tokens` behind `prompt` with the model of `folder`, the likeliest each time, on so many threads."""

    folder: str
    prompt: list[int]
    tokens: int
    threads: int


class SwarmJob(Job, frozen=True, kw_only=True):
    """Write through the swarm of `peers`, where the model is called `prefix`. `home` is a folder for what the client keeps.

    `python` has Petals.
    """

    python: str
    prefix: str
    peers: list[str]
    home: str


class Turn(Struct, frozen=True, kw_only=True):
    """Seconds of one text, as a mean over the turn: until a prompt could be read, from it to the first token, and for those after it.

    `text` is the last one, `peak_rss` in bytes of memory so far. `open`: what the first token of a text costs more than the next one,
    behind a single token; null where no session is opened for a text.
    """

    begin: float
    first: float
    later: float
    text: list[int]
    peak_rss: int
    versions: dict[str, str]
    open: float | None = None
