"""Asks an engine for the facts of the preflight, without changing anything in it."""

from __future__ import annotations

from collections.abc import Sequence

from agents.ue5.connection.discovery import Candidate
from agents.ue5.connection.session import Session, open_session
from agents.ue5.level.roster import Known
from agents.ue5.preflight.findings import Facts
from agents.ue5.remote import requests
from agents.ue5.remote.requests import Ask
from agents.ue5.remote.wire import Refused, RemoteError

NOTHING = ""
"""The path of no object: what is asked of it does nothing, and is refused all the same where the function is."""


async def look(session: Session) -> Facts:
    """Of an engine that the bridge is connected to. Raises RemoteError."""
    await session.ask_all(_harmless(next(iter(session.roster), None)))
    frame = session.frames.frame
    return Facts(
        address=str(session.address),
        engine=session.engine,
        no_websocket=session.no_websocket,
        refused=session.forbidden,
        rate=None if frame is None else frame.rate,
    )


async def look_around(places: Sequence[Candidate], passphrase: str | None) -> Facts:
    """Of the first place where something answers that is no embedded engine, else where one is, else of the first."""
    looks: list[Facts] = []
    for place in places:
        facts = await look_from_outside(place, passphrase)
        if facts.is_answered and not facts.is_embedded:
            return facts
        looks.append(facts)
    return next((facts for facts in looks if facts.is_answered), looks[0])


async def look_from_outside(place: Candidate, passphrase: str | None) -> Facts:
    """Of an address where there may be an engine."""
    try:
        session = await open_session(place, passphrase)
    except RemoteError as error:
        return Facts(address=str(place.address), unreachable=str(error), code=error.code if isinstance(error, Refused) else None)
    try:
        await session.learn()
        return await look(session)
    except RemoteError as error:
        return Facts(address=str(place.address), engine=session.engine, unreachable=f"it was lost again: {error}")
    finally:
        await session.close()


def _harmless(actor: Known | None) -> list[Ask]:
    """A call of each function that can be tried: on an actor that there is, so that it stays as it is, or on none.

    No picture is taken and nothing is moved to see whether that may be: the session remembers where it was not.
    """
    asks = [
        requests.engine_version(),
        requests.frame_count(),
        requests.actors(),
        requests.destroy(NOTHING),
        requests.spawn(NOTHING, (0.0, 0.0, 0.0), (0.0, 0.0, 0.0)),
        requests.spawn("/Script/", (0.0, 0.0, 0.0), (0.0, 0.0, 0.0)),
    ]
    if actor is not None:
        asks += [requests.label(actor.path), requests.set_label(actor.path, actor.label), requests.transform(actor.path)]
        asks.append(requests.bounds(actor.path))
    return asks
