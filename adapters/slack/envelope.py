"""PURE: the outer part of an event: which, when, and for which installation.

https://docs.slack.dev/apis/events-api
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from adapters.ids import MAX_ID, MAX_TENANT, readable

FAR = 1e11  # epoch seconds beyond any event


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

    def texts(self, name: str, most: int = MAX_ID) -> tuple[str, ...]:
        """A list of texts of the inner event."""
        return texts(self.event.get(name), most)


def read(body: Mapping[str, Any]) -> Envelope | None:
    """The envelope of an event_callback; None when it lacks what every event has.

    The installation is that of `authorizations[0]`: the outer team may be another organisation's (Slack Connect). Only
    an org-wide authorization without a team falls back to the outer one, and events without authorizations
    (tokens_revoked) have nothing else.
    """
    event, event_id, at = body.get("event"), text(body.get("event_id")), body.get("event_time")
    if not isinstance(event, dict) or event_id is None:
        return None
    kind = text(event.get("type"))
    if kind is None or isinstance(at, bool) or not isinstance(at, int | float) or not 0 <= at < FAR:
        return None
    given = body.get("authorizations")
    if given is not None and not (isinstance(given, list) and all(isinstance(each, dict) for each in given)):
        return None
    source: Mapping[str, Any] = given[0] if given else body
    org_wide = source.get("is_enterprise_install") is True
    tenant, enterprise = text(source.get("team_id"), MAX_TENANT), text(source.get("enterprise_id"), MAX_TENANT)
    if tenant is None and org_wide:
        tenant = text(body.get("team_id"), MAX_TENANT)
    return Envelope(event_id, kind, float(at), tenant, enterprise, org_wide, event)


def text(value: object, most: int = MAX_ID) -> str | None:
    """The value if it is an id or a word that can be kept."""
    return readable(value, most)


def texts(value: object, most: int = MAX_ID) -> tuple[str, ...]:
    """The ids of a list."""
    return tuple(each for each in value if readable(each, most)) if isinstance(value, list) else ()
