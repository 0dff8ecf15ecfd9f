"""The figures set beside each other, with what each comparison means in words and what we reach for."""

from __future__ import annotations

from typing import NamedTuple

from benchmarks._results import Figures

UNBATCHED, BATCHED, LATEST = "ours durable", "ours durable, batched", "ours latest"
RAW, LIMIT = "raw pyzmq", "raw pyzmq, credit"
JETSTREAM, REDIS_SECOND, REDIS_ALWAYS = "nats jetstream", "redis everysec", "redis always"
LOADED = "1,000/s beside it"

Table = list[Figures]


class Compared(NamedTuple):
    """One figure of a table over the same figure of another row; `target` is what we reach for, `more` or less."""

    ours: str
    theirs: str
    column: str
    means: str
    target: str | None = None


RATES = (
    Compared(
        UNBATCHED,
        RAW,
        "events/s",
        "typed, numbered, on disk, checked; of the rate at which raw frames arrive when a script just sends",
        "0.6",
    ),
    Compared(BATCHED, RAW, "events/s", "the same, several events in a frame under load", "above 1.0"),
    Compared(LATEST, RAW, "events/s", "typed and checked, nothing kept: the cost of types alone"),
    Compared(UNBATCHED, LIMIT, "events/s", "of the fastest that raw frames can be, when the publisher never outruns the proxy"),
    Compared(BATCHED, LIMIT, "events/s", "the same, batched"),
    Compared(UNBATCHED, JETSTREAM, "safe events/s", "events safe in a second: ours synced, theirs written and not synced"),
    Compared(BATCHED, JETSTREAM, "safe events/s", "the same, batched"),
    Compared(
        UNBATCHED, REDIS_ALWAYS, "safe events/s", "events safe in a second: both synced; theirs ready-made bytes, a thousand to a pipeline"
    ),
    Compared(BATCHED, REDIS_ALWAYS, "safe events/s", "the same, ours batched too"),
    Compared(BATCHED, REDIS_SECOND, "safe events/s", "ours synced, theirs synced each second"),
)
CPU = (
    Compared(UNBATCHED, LIMIT, "all", "CPU of all processes for an event, over raw frames"),
    Compared(BATCHED, LIMIT, "all", "the same, batched"),
    Compared(BATCHED, REDIS_ALWAYS, "all", "CPU of all processes for an event, over Redis that syncs"),
    Compared(BATCHED, JETSTREAM, "all", "CPU of all processes for an event, over JetStream"),
)
LATENCY = (
    Compared(UNBATCHED, RAW, "p50", "round trip with a recorder at work, over raw frames", "at most 1.3"),
    Compared(BATCHED, RAW, "p50", "the same with batching on", "at most 1.3"),
    Compared(UNBATCHED, JETSTREAM, "p50", "round trip, over JetStream's"),
    Compared(UNBATCHED, REDIS_SECOND, "p50", "round trip, over Redis Streams'"),
)
SAFE_TARGETS = ((UNBATCHED, "80,000"), (BATCHED, "150,000"))


def ratios(throughput: Table, latency: Table, cpu: Table) -> Table:
    """A row for each comparison whose two sides were measured."""
    alone = [row for row in throughput if row["bytes"] == 1024 and row["load"] == "alone"]
    cpu = [row for row in cpu if row["bytes"] == 1024 and row["load"] == "alone"]
    compared = [(alone, RATES), (cpu, CPU), (latency, LATENCY)]
    rows = [_over(table, each) for table, several in compared for each in several]
    rows += [_safe(alone, name, target) for name, target in SAFE_TARGETS]
    rows += [_batch_delay(latency), *(_under_load(throughput, name) for name in (UNBATCHED, BATCHED, RAW, LIMIT))]
    return [row for row in rows if row is not None]


def _over(table: Table, compared: Compared) -> Figures | None:
    ours, theirs = _value(table, compared.ours, compared.column), _value(table, compared.theirs, compared.column)
    if not ours or not theirs:
        return None
    return _row(f"{compared.column}: {compared.ours} / {compared.theirs}", ours / theirs, compared.target, compared.means)


def _safe(table: Table, name: str, target: str) -> Figures | None:
    measured = _value(table, name, "safe events/s")
    return (measured and _row(f"safe events/s: {name}", measured, target, "on disk and acknowledged, with a subscriber attached")) or None


def _batch_delay(latency: Table) -> Figures | None:
    batched, unbatched = _value(latency, BATCHED, "p50"), _value(latency, UNBATCHED, "p50")
    if not batched or not unbatched:
        return None
    return _row("ms that batching adds to p50", (batched - unbatched) / 1000, "at most 1", "at low load an event does not wait for company")


def _under_load(throughput: Table, name: str) -> Figures | None:
    rates = {row["load"]: row["events/s"] for row in throughput if row["contender"] == name and row["bytes"] == 1024}
    alone, loaded = rates.get("alone"), rates.get(LOADED)
    if not isinstance(alone, float) or not isinstance(loaded, float) or not alone:
        return None
    return _row(f"events/s: {name}, loaded / alone", loaded / alone, None, "what is left of its rate beside 1,000 other events a second")


def _value(table: Table, name: str, column: str) -> float | None:
    found = next((row[column] for row in table if row["contender"] == name), None)
    return found if isinstance(found, float) else None


def _row(what: str, measured: float, target: str | None, means: str) -> Figures:
    return {"what": what, "measured": measured, "reach for": target or "", "means": means}
