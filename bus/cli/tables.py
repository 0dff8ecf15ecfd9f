"""The tables that verbs print. Text from the bus is shown as it is, never as markup or control sequences."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from bus.cli.gauges import AgentRow, Snapshot, TopicRow
from bus.cli.line import topic_colour
from bus.cli.output import is_terminal, printable
from schemas.system import RecorderStatus

_STATE_COLOURS = {
    "running": "green", "done": "green", "starting": "cyan", "waiting": "cyan", "stopping": "cyan", "stopped": "dim",
    "degraded": "yellow", "unavailable": "yellow", "silent": "red", "exited": "red", "down": "red",
}  # fmt: skip
_PROSE = {"reason", "what it says", "takes", "found", "to mend it", "problem", "from"}


def table(columns: Sequence[str], rows: Iterable[Sequence[str | Text | None]], right: Sequence[str] = ()) -> Table:
    """Rows of text under `columns`; those in `right` are aligned to the right. Prose is wrapped to the width, names never."""
    drawn = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for column in columns:
        drawn.add_column(column, justify="right" if column in right else "left", overflow="fold", no_wrap=column not in _PROSE)
    for row in rows:
        drawn.add_row(*(cell if isinstance(cell, Text) else Text(printable(cell or "")) for cell in row))
    return drawn


def one_line(text: str | None) -> Text:
    """Prose that is cut on a terminal, so that a row stays a line, and whole elsewhere."""
    return Text(printable(text or ""), no_wrap=is_terminal(), overflow="ellipsis")


def snapshot_tables(snapshot: Snapshot) -> RenderableType:
    """All of `bus top`."""
    moment = datetime.fromtimestamp(snapshot.time / 1e9)
    title = Text(f"{printable(snapshot.home)}  {moment:%H:%M:%S}", style="bold")
    measures = [_measures(snapshot.agents)] if any(row.measures for row in snapshot.agents) else []
    return Group(title, _agents(snapshot.agents), *measures, _topics(snapshot.topics), Text(_recorder(snapshot.recorder)))


def duration(seconds: float | None) -> str:
    """As `4 s`, `3 min`, `2 h 05 min`, `6 d 03 h`."""
    if seconds is None:
        return ""
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // 86400} d {whole % 86400 // 3600:02d} h"


def size(count: float | None) -> str:
    """Bytes, as `512 B`, `3.4 MB` (powers of 1000)."""
    if count is None:
        return ""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def per_second(rate: float | None) -> str:
    return "" if rate is None else f"{rate:.1f}"


def _agents(rows: list[AgentRow]) -> Table:
    """Of the counters of trouble only those that count something: the table fits 80 columns where all is well."""
    troubles = [name for name in ("waiting", "dropped", "filled", "gaps", "errors") if any(getattr(row, name) for row in rows)]
    columns = ("agent", "state", "uptime", "memory", "cpu", "restarts", "events/s", *troubles, "reason")
    return table(columns, [_agent(row, troubles) for row in rows], right=columns[2:-1])


def _agent(row: AgentRow, troubles: list[str]) -> list[str | Text | None]:
    state = Text(row.state, style=_STATE_COLOURS.get(row.state, ""))
    cpu = "" if row.cpu is None else f"{row.cpu:.0%}"
    counts = [_count(getattr(row, name)) for name in ("restarts", *troubles)]
    measured = [duration(row.uptime), size(row.memory), cpu, counts[0], per_second(row.events_per_second), *counts[1:]]
    return [row.name, state, *measured, one_line(row.reason)]


def _count(count: int | None) -> str:
    return "" if count is None else str(count)


def _measures(rows: list[AgentRow]) -> Table:
    measured = [(row.name, name, f"{value:.4g}") for row in rows for name, value in row.measures.items()]
    return table(("agent", "measure", "value"), measured, right=("value",))


def _topics(rows: list[TopicRow]) -> Table:
    counts = ("published", "recorded", *(("lost",) if any(row.lost for row in rows) else ()))
    columns = ("topic", "events/s", "each wants", "", *counts, "from")
    return table(columns, [_topic(row, counts) for row in rows], right=("events/s", "each wants", *counts))


def _topic(row: TopicRow, counts: tuple[str, ...]) -> list[str | Text | None]:
    name = Text(printable(row.name), style=topic_colour(row.name))
    declared = "" if row.declared_hz is None else f"{row.declared_hz:g}"
    late = Text("LATE" if row.late else "", style="bold red")
    counted = [_count(getattr(row, name)) for name in counts]
    return [name, per_second(row.events_per_second), declared, late, *counted, ", ".join(row.sources)]


def _recorder(status: RecorderStatus | None) -> str:
    if status is None:
        return "the recorder does not answer: nothing is kept until it runs"
    recorded = sum(status.recorded.values())
    return f"log: {size(status.size)} in {status.segments} segments, {recorded} events since the recorder started, {status.held} held"
