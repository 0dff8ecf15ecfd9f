"""What Prometheus scrapes: https://prometheus.io/docs/instrumenting/exposition_formats/"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

import prometheus_client.core as prometheus
from msgspec import Struct
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import Response


class Metric(Struct, frozen=True, kw_only=True):
    """What is measured under one name, in the unit that it ends with. `values` are by what `labels` name, `()` where they name nothing.

    `documentation` is one line for who looks at it.
    """

    name: str
    documentation: str
    values: Mapping[tuple[str, ...], float]
    labels: tuple[str, ...] = ()


Collect = Callable[[], Iterable[Metric]]


class Metrics:
    """Asks for them at each scrape."""

    def __init__(self, collect: Collect) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_Collected(collect))

    async def show(self, request: Request) -> Response:
        return Response(generate_latest(self._registry), headers={"content-type": CONTENT_TYPE_LATEST})


class _Collected(Collector):
    def __init__(self, collect: Collect) -> None:
        self._collect = collect

    def collect(self) -> Iterator[prometheus.Metric]:
        for metric in self._collect():
            yield _family(metric)


def _family(metric: Metric) -> prometheus.Metric:
    family = prometheus.GaugeMetricFamily(metric.name, metric.documentation, labels=metric.labels)
    for labels, value in metric.values.items():
        family.add_metric(labels, value)
    return family
