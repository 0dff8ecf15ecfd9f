"""What Prometheus scrapes: https://prometheus.io/docs/instrumenting/exposition_formats/"""

from __future__ import annotations

from collections.abc import Iterator
from typing import get_args

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from agents.parts.generation.text import Written
from agents.parts.http.asgi import App, Message, Receive, Scope, Send
from agents.petals.api.answers import Answers
from schemas.petals import Route

FIRST_TOKEN = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
EACH_TOKEN = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
"""Bounds of buckets, in seconds."""
LEFT = 499
"""The status of a request whose client left before it was answered, as nginx counts them."""


class Metrics:
    """Counts what the API does; what the agent counts by itself is asked of it at each scrape."""

    def __init__(self, answers: Answers) -> None:
        registry = self._registry = CollectorRegistry()
        self.requests = Counter("petals_http_requests", "Requests, by path and status", ["path", "status"], registry=registry)
        self.first_token = Histogram(
            "petals_time_to_first_token_seconds", "Of texts asked for by HTTP", buckets=FIRST_TOKEN, registry=registry
        )
        self.each_token = Histogram(
            "petals_time_per_token_seconds",
            "Of texts asked for by HTTP: after the first token, the mean of each text",
            buckets=EACH_TOKEN,
            registry=registry,
        )
        registry.register(_OfTheAgent(answers))

    def written(self, text: Written) -> None:
        if text.first_token_seconds is not None:
            self.first_token.observe(text.first_token_seconds)
        if text.tokens_per_second:
            self.each_token.observe(1 / text.tokens_per_second)

    def text(self) -> bytes:
        return generate_latest(self._registry)


class Counted:
    """An application whose requests are counted, the refused ones too."""

    def __init__(self, app: App, requests: Counter) -> None:
        self._app, self._requests = app, requests

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        status = LEFT

        async def watched(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        try:
            await self._app(scope, receive, watched)
        finally:
            route = scope.get("route")  # Starlette's, where there is one: any other path is a client's own words
            self._requests.labels(getattr(route, "path", "other"), str(status)).inc()


class _OfTheAgent(Collector):
    """Texts of all clients, by whichever way they asked."""

    def __init__(self, answers: Answers) -> None:
        self._answers = answers

    def collect(self) -> Iterator[Metric]:
        status = self._answers.status()
        tokens = CounterMetricFamily("petals_tokens", "Tokens written, by who computed them", labels=["route"])
        for route in get_args(Route):
            tokens.add_metric([route], status.tokens.get(route, 0))
        yield tokens
        yield CounterMetricFamily("petals_generations", "Texts that have ended", status.generations)
        yield CounterMetricFamily("petals_fallbacks", "Texts that went on by another route", status.fallbacks)
        yield GaugeMetricFamily("petals_generations_in_progress", "Texts that are being written", status.writing)
        yield GaugeMetricFamily(
            "petals_swarm_complete", "1 where each block of the model is online at an allowed peer", int(status.complete)
        )
