"""PURE: the outer part of an event: which, when, and for which installation.

https://docs.slack.dev/apis/events-api
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MAX_EVENT_ID = 255


@dataclass(frozen=True, slots=True)
class Envelope:
    """One event. `tenant` is the workspace whose installation it was sent for; None for a whole org."""

    event_id: str
    kind: str
    at: float
    tenant: str | None
    enterprise: str | None
    org_wide: bool
    event: Mapping[str, Any]

    def text(self, name: str) -> str | None:
        """A text of the inner event; None if it is missing or empty."""
        return text(self.event.get(name))

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of texts of the inner event."""
        return texts(self.event.get(name))


def read(body: Mapping[str, Any]) -> Envelope | None:
    """The envelope of an event_callback; None when it lacks what every event has.

    The installation is that of `authorizations[0]`: the outer team may be another organisation's (Slack Connect). Only
    an org-wide authorization without a team falls back to the outer one, and events without authorizations
    (tokens_revoked) have nothing else.
    """
    event, event_id, at = body.get("event"), text(body.get("event_id")), body.get("event_time")
    if not isinstance(event, dict) or event_id is None or len(event_id) > MAX_EVENT_ID:
        return None
    kind = text(event.get("type"))
    if kind is None or isinstance(at, bool) or not isinstance(at, int | float):
        return None
    given = body.get("authorizations")
    if given is not None and not (isinstance(given, list) and all(isinstance(each, dict) for each in given)):
        return None
    source: Mapping[str, Any] = given[0] if given else body
    org_wide = source.get("is_enterprise_install") is True
    tenant, enterprise = text(source.get("team_id")), text(source.get("enterprise_id"))
    if tenant is None and org_wide:
        tenant = text(body.get("team_id"))
    return Envelope(event_id, kind, float(at), tenant, enterprise, org_wide, event)


def text(value: object) -> str | None:
    """The value if it is a text that says something."""
    return value if isinstance(value, str) and value else None


def texts(value: object) -> tuple[str, ...]:
    """The texts of a list."""
    return tuple(each for each in value if isinstance(each, str) and each) if isinstance(value, list) else ()
