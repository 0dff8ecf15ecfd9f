"""How late poses came since the agent that publishes them started, as latency.json says it."""

from __future__ import annotations

from msgspec import Struct

from bus.event import Event
from schemas.xr import Latency, Span, Stage


class Range(Struct, frozen=True, kw_only=True):
    """What single reports said, in seconds: the lowest, their mean, and the highest."""

    lowest: float
    mean: float
    highest: float


class Delay(Struct, frozen=True, kw_only=True):
    """A delay in `reports` of them. Percentiles of all of it are not known, but lie between the lowest and the highest of the reports."""

    reports: int
    p50: Range
    p95: Range
    p99: Range


class OriginSummary(Struct, frozen=True, kw_only=True):
    """Of poses of one origin: `stages` by their names, each from the stage before."""

    stages: dict[str, Delay] = {}
    page_to_bus: Delay | None = None
    motion_to_photon: Delay | None = None


class LatencySummary(Struct, frozen=True, kw_only=True):
    """latency.json: the newest report, of `until`, and what all said since the agent began; both times in ns since the Unix epoch.

    Delays of one origin say nothing of another: a trajectory is played on this machine, and has no network before it.
    """

    source: str
    began: int
    until: int
    newest: Latency
    origins: dict[str, OriginSummary] = {}


def go_on(summary: LatencySummary | None, event: Event[Latency]) -> LatencySummary:
    """The summary with one more report; a new one where another process publishes than before."""
    goes_on = summary is not None and (summary.source, summary.began) == (event.source, event.epoch)
    origins = summary.origins if summary is not None and goes_on else {}
    origin = event.data.origin
    return LatencySummary(
        source=event.source,
        began=event.epoch,
        until=event.time,
        newest=event.data,
        origins={**origins, origin: _with(origins.get(origin, OriginSummary()), event.data)},
    )


def _with(summary: OriginSummary, report: Latency) -> OriginSummary:
    stages: dict[str, Delay] = {stage.stage: _widened(summary.stages.get(stage.stage), stage) for stage in report.stages}
    return OriginSummary(
        stages={**summary.stages, **stages},
        page_to_bus=_also(summary.page_to_bus, report.page_to_bus),
        motion_to_photon=_also(summary.motion_to_photon, report.motion_to_photon),
    )


def _also(delay: Delay | None, span: Span | None) -> Delay | None:
    """With a report that may not have it."""
    return delay if span is None else _widened(delay, span)


def _widened(delay: Delay | None, report: Stage | Span) -> Delay:
    reports = 1 if delay is None else delay.reports + 1
    p50, p95, p99 = (None, None, None) if delay is None else (delay.p50, delay.p95, delay.p99)
    return Delay(
        reports=reports,
        p50=_range(p50, report.p50, reports),
        p95=_range(p95, report.p95, reports),
        p99=_range(p99, report.p99, reports),
    )


def _range(before: Range | None, value: float, count: int) -> Range:
    """With the value of the `count`th report."""
    if before is None:
        return Range(lowest=value, mean=value, highest=value)
    mean = before.mean + (value - before.mean) / count
    return Range(lowest=min(before.lowest, value), mean=mean, highest=max(before.highest, value))
