"""What is measured of poses and overlay, as `bus top` and Prometheus show it."""

from __future__ import annotations

from collections.abc import Mapping

from agents.xr.door.metrics import Metric
from schemas.xr import Latency, Span

Values = dict[tuple[str, ...], float]

_QUANTILES = ("p50", "p95", "p99")


def shown_by_top(latency: Latency) -> dict[str, float]:
    """The two spans that a person watches, in milliseconds."""
    spans = {"page to bus p50, ms": latency.page_to_bus, "motion to photon p50, ms": latency.motion_to_photon}
    return {name: span.p50 * 1e3 for name, span in spans.items() if span is not None}


def measured(latency: Latency | None, rates: Mapping[str, float], error: float | None) -> list[Metric]:
    """Of the last second. What is not known has no value."""
    poses: Values = {(device,): rate for device, rate in rates.items()}
    found = [Metric(name="xr_poses_per_second", documentation="Poses, by device", values=poses, labels=("device",))]
    if error is not None:
        found.append(Metric(name="xr_overlay_error_pixels", documentation="Of the overlay's corners, RMS", values={(): error}))
    return found if latency is None else [*found, *_of_latency(latency)]


def _of_latency(latency: Latency) -> list[Metric]:
    stages: Values = {(stage.stage, name): getattr(stage, name) for stage in latency.stages for name in _QUANTILES}
    spans = {"page_to_bus": latency.page_to_bus, "motion_to_photon": latency.motion_to_photon}
    seconds: Values = {(span, name): value for span, known in spans.items() for name, value in _quantiles(known).items()}
    return [
        Metric(name="xr_stage_seconds", documentation="From the stage before", values=stages, labels=("stage", "quantile")),
        Metric(name="xr_latency_seconds", documentation="Of a pose on its way", values=seconds, labels=("span", "quantile")),
        Metric(name="xr_horizon_seconds", documentation="How far ahead the overlay is predicted", values={(): latency.horizon}),
    ]


def _quantiles(span: Span | None) -> dict[str, float]:
    return {} if span is None else {name: getattr(span, name) for name in _QUANTILES}
