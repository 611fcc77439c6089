"""Numbers for Prometheus: `/metrics`. No e-mail, no request id and no tenant stands in a label."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest


class Metrics:
    """The counters of this process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.answers = Counter(
            "herald_platform_answers", "Send calls by what they came to", ["channel", "outcome"], registry=self.registry
        )
        self.throttled = Counter(
            "herald_throttled", "Calls that the platform answered with 429", ["channel"], registry=self.registry
        )
        self.closed = Counter("herald_requests_closed", "Requests that came to their end", registry=self.registry)

    def gauge(self, name: str, help_text: str, read: Callable[[], float]) -> None:
        """A gauge that is read when it is asked for."""
        Gauge(name, help_text, registry=self.registry).set_function(read)

    def routes(self) -> list[web.RouteDef]:
        """`GET /metrics`."""

        async def show(_request: web.Request) -> web.Response:
            return web.Response(body=generate_latest(self.registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

        return [web.get("/metrics", show)]
