"""What a command changes in the level: an actor comes, or goes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from difflib import get_close_matches

from agents.parts import frames
from agents.ue5.level.roster import Known, Roster, kind_of
from agents.ue5.remote import answers, requests
from agents.ue5.remote.requests import Ask
from agents.ue5.remote.wire import RemoteError
from bus.errors import CommandRefused
from schemas import ue5

AskOne = Callable[[Ask], Awaitable[bytes]]


async def spawn(ask: AskOne, roster: Roster, wanted: ue5.Spawn) -> Known:
    """Put an actor into the level, under its label. One that has no label or place is removed again, also where nobody waits any more.

    Raises CommandRefused, RemoteError.
    """
    if not frames.is_unit(wanted.orientation):
        raise CommandRefused("bad_pose", f"the orientation {list(wanted.orientation)} has not the length 1: normalise it")
    if roster.get(wanted.label) is not None:
        raise CommandRefused("label_taken", f"there is an actor {wanted.label!r} already: choose another label, or remove it first")
    path = await _born(ask, wanted)
    try:
        await ask(requests.set_label(path, wanted.label))
        await ask(_placing(path, wanted))
    except BaseException:  # a caller whose time is up cancels this
        with contextlib.suppress(RemoteError):  # the first error says more
            await asyncio.shield(_destroy(ask, path))
        raise
    actor = Known(path, wanted.label, kind_of(path), wanted.position, wanted.orientation, wanted.scale, mesh=_mesh(wanted))
    roster.add(actor)
    return actor


async def remove(ask: AskOne, roster: Roster, label: str) -> Known:
    """Take an actor out of the level. Raises CommandRefused, RemoteError."""
    actor = find(roster, label)
    if not await _destroy(ask, actor.path):
        raise CommandRefused("refused_by_engine", f"the engine did not remove {actor.path}: it may be gone already, or locked")
    roster.remove(actor)
    return actor


def find(roster: Roster, label: str) -> Known:
    """The actor that a label means. Raises CommandRefused."""
    actor = roster.get(label)
    if actor is None:
        near = get_close_matches(label, roster.labels, 1)
        hint = f"did you mean {near[0]!r}?" if near else "`bus tail scene.actors --since 1h` lists them"
        raise CommandRefused("no_such_actor", f"the level has no actor {label!r}, among {len(roster)}: {hint}")
    return actor


async def _born(ask: AskOne, wanted: ue5.Spawn) -> str:
    position = frames.to_unreal(wanted.position)
    rotator = frames.rotator_of_rotation(frames.rotation_to_unreal(wanted.orientation))
    path = answers.path(await ask(requests.spawn(wanted.asset, position, rotator)))
    if path is None:
        raise CommandRefused("refused_by_engine", f"the engine made no actor of {wanted.asset!r}: is there an asset or class of this path?")
    return path


async def _destroy(ask: AskOne, path: str) -> bool:
    return answers.done(await ask(requests.destroy(path)))


def _placing(path: str, wanted: ue5.Spawn) -> Ask:
    return requests.set_transform(
        path,
        frames.to_unreal(wanted.position),
        frames.rotation_to_unreal(wanted.orientation),
        frames.scale_to_unreal(wanted.scale),
    )


def _mesh(wanted: ue5.Spawn) -> str | None:
    return None if requests.is_class(wanted.asset) else wanted.asset
