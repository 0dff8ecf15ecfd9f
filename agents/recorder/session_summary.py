"""How a session of the bridge to an engine went, as final_metrics.json says it."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from bus.event import Event
from schemas import scene, ue5


class Spread(Struct, frozen=True, kw_only=True):
    """What `seconds` single seconds measured: the mean of that, the lowest, and the highest.

    Of a percentile, that is not the session's own, which single seconds do not tell. It lies between `lowest` and `highest`, since
    those of the seconds are by nearest rank.
    """

    seconds: int
    mean: float
    lowest: float
    highest: float


class SessionSummary(Struct, frozen=True, kw_only=True):
    """final_metrics.json. `began` and `until`, that of the newest event, are ns since the Unix epoch; `seconds` lie between them.

    `ended` says why the engine answered no more; null: it does, or nobody said so. `rate` is in frames a second, `round_trip_p50` and
    the others of ue5.latency in seconds; null: nothing was measured.
    """

    engine: str
    embedded: bool
    began: int
    until: int
    seconds: float
    ended: str | None = None
    rate: Spread | None = None
    round_trip_p50: Spread | None = None
    round_trip_p99: Spread | None = None
    beyond_frame_p50: Spread | None = None
    beyond_frame_p99: Spread | None = None
    requests: int = 0
    moves: int = 0
    failed: int = 0


def begin(event: Event[ue5.Connected]) -> SessionSummary:
    """That of a session which has only begun."""
    return SessionSummary(engine=event.data.engine, embedded=event.data.embedded, began=event.time, until=event.time, seconds=0.0)


def go_on(summary: SessionSummary, event: Event[Any]) -> SessionSummary:  # Any: scene.Frame, ue5.Latency, ue5.Disconnected
    """The summary with one more event of the session; once that has ended, as it was."""
    if summary.ended is not None:
        return summary
    summary = msgspec.structs.replace(summary, until=event.time, seconds=(event.time - summary.began) / 1e9)
    match event.data:
        case scene.Frame(rate=rate):
            return msgspec.structs.replace(summary, rate=widen(summary.rate, rate))
        case ue5.Latency() as second:
            return _with_requests(summary, second)
        case ue5.Disconnected(reason=reason):
            return msgspec.structs.replace(summary, ended=reason)
    return summary


def widen(spread: Spread | None, value: float | None) -> Spread | None:
    """With the value of one more second; null: that second has none."""
    if value is None:
        return spread
    if spread is None:
        return Spread(seconds=1, mean=value, lowest=value, highest=value)
    seconds = spread.seconds + 1
    mean = spread.mean + (value - spread.mean) / seconds
    return Spread(seconds=seconds, mean=mean, lowest=min(spread.lowest, value), highest=max(spread.highest, value))


def _with_requests(summary: SessionSummary, second: ue5.Latency) -> SessionSummary:
    return msgspec.structs.replace(
        summary,
        round_trip_p50=widen(summary.round_trip_p50, second.round_trip_p50),
        round_trip_p99=widen(summary.round_trip_p99, second.round_trip_p99),
        beyond_frame_p50=widen(summary.beyond_frame_p50, second.beyond_frame_p50),
        beyond_frame_p99=widen(summary.beyond_frame_p99, second.beyond_frame_p99),
        requests=summary.requests + second.requests,
        moves=summary.moves + second.moves,
        failed=summary.failed + second.failed,
    )
