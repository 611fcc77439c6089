"""PURE: the description of the routes that a server has."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from notify.ids import UUID_SHAPE
from notify.openapi import answers, bodies, calls, doors, refusals
from notify.openapi.shapes import Json

VERSION: Final = "0.1.0"
_ONE_BOT: Final = re.compile(f"st-{UUID_SHAPE}")
_TAGS: Final = {
    calls.TAG: "For your backend: Kore.ai's Proactive Notifications API, and what Herald adds to it.",
    doors.PLATFORMS: "For Teams, for Slack, and for the browser of whoever installs the app. Nobody else is let in.",
    doors.MACHINES: "For whatever watches the server.",
}
_SAYS: Final = (
    "Proactive notifications over Microsoft Teams and Slack. Beyond these schemas a body is held against the "
    "platforms' own limits, and JSON must be such that no two readers could understand it differently (no name twice, "
    "no number beyond 64 bits); what fails is 412 with a sentence for each field. A name in the query that a call does "
    "not know is refused. An unknown path is 404 and another method 405, under `/api/public/` in the shape of Errors "
    "and elsewhere in that of Problem."
)


@dataclass(frozen=True, slots=True)
class Server:
    """What a server tells about itself: its address, and the limits that its settings give."""

    url: str
    most_identities: int
    body_bytes: int


class Undescribed(ValueError):
    """A route that no operation describes."""


def document(server: Server, routes: Iterable[tuple[str, str]]) -> Json:
    """The OpenAPI document of the routes (method, path) of a server. Raises Undescribed."""
    served = {(method, _shape(path)) for method, path in routes}
    known = {**calls.operations(), **doors.operations()}
    missing = served - {(method, _shape(path)) for method, path in known}
    if missing:
        raise Undescribed(f"no operation describes {sorted(missing)}")
    paths: dict[str, Json] = {}
    for (method, path), operation in known.items():
        if (method, _shape(path)) in served:
            paths.setdefault(path, {})[method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {"title": "Herald", "version": VERSION, "description": _SAYS},
        "servers": [{"url": server.url}],
        "tags": [{"name": name, "description": says} for name, says in _TAGS.items()],
        "paths": paths,
        "components": {
            "schemas": {**bodies.schemas(server.most_identities), **answers.schemas()},
            "parameters": calls.parameters(),
            "responses": refusals.responses(server.body_bytes),
            "securitySchemes": {"auth": calls.SECURITY, **doors.SECURITY},
        },
    }


def _shape(path: str) -> str:
    """A path with its parameters nameless; the path of one bot is one of every bot's."""
    return re.sub(r"\{[^}]*\}", "{}", _ONE_BOT.sub("{}", path))
