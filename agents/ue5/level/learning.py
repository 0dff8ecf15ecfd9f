"""Reads what is in an engine's level: its actors, then what each is called, where it is and what it is made of, in batches."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from agents.ue5.level.roster import Known, kind_of
from agents.ue5.remote import answers, requests
from agents.ue5.remote.requests import Ask
from agents.ue5.remote.wire import Answer, RemoteError, accepted

AT_ONCE = 200
"""Actors in a batch."""
MOST_ACTORS = 20_000

AskOne = Callable[[Ask], Awaitable[bytes]]
AskAll = Callable[[list[Ask]], Awaitable[list[Answer]]]

_QUESTIONS = 4


async def learn(ask: AskOne, ask_all: AskAll) -> list[Known]:
    """The actors of the level, `MOST_ACTORS` of them at most; those that go meanwhile are left out. Raises RemoteError."""
    paths = answers.paths(await ask(requests.actors()))[:MOST_ACTORS]
    found: list[Known] = []
    for start in range(0, len(paths), AT_ONCE):
        found += await look_at(paths[start : start + AT_ONCE], ask_all)
    return found


async def look_at(paths: Sequence[str], ask_all: AskAll) -> list[Known]:
    """What these actors are, in one batch. Raises RemoteError, where none is answered."""
    said = await ask_all([question for path in paths for question in _questions(path)])
    shares = (said[place : place + _QUESTIONS] for place in range(0, len(said), _QUESTIONS))
    known = (_known(path, *share) for path, share in zip(paths, shares, strict=True))
    return [actor for actor in known if actor is not None]


def _questions(path: str) -> tuple[Ask, Ask, Ask, Ask]:
    made_of = requests.field_of_view(path) if _is_camera(path) else requests.mesh(path)
    return requests.label(path), requests.transform(path), requests.bounds(path), made_of


def _known(path: str, label: Answer, place: Answer, box: Answer, made_of: Answer) -> Known | None:
    """An actor, None where it is gone, or has no label or place. What it is made of need not be known: a light has no mesh."""
    try:
        name, where = answers.label(accepted(label)), answers.placement(accepted(place))
    except RemoteError:
        return None
    actor = Known(path, name, kind_of(path), where.position, where.orientation, where.scale)
    _measure(actor, box)
    _furnish(actor, made_of)
    return actor


def _measure(actor: Known, box: Answer) -> None:
    try:
        found = answers.bounds(accepted(box))
    except RemoteError:
        return
    actor.centre, actor.extent = found.centre, found.extent


def _furnish(actor: Known, made_of: Answer) -> None:
    try:
        if _is_camera(actor.path):
            actor.field_of_view = answers.field_of_view(accepted(made_of))
        else:
            actor.mesh = answers.mesh(accepted(made_of))
    except RemoteError:
        return


def _is_camera(path: str) -> bool:
    return "Camera" in kind_of(path)
