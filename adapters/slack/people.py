"""PURE: Slack's user objects read as people (https://docs.slack.dev/reference/objects/user-object)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from adapters.ids import MAX_EMAIL, MAX_LOCALE, MAX_NAME, readable, words
from adapters.slack.config import NormalForm
from storage.directory import Person

SLACKBOT = "USLACKBOT"
EMAIL_SCOPE = "users:read.email"  # without it Slack shows nobody's e-mail


@dataclass(frozen=True, slots=True)
class Workspace:
    """Whose people count: those of this workspace, or of the org it belongs to."""

    tenant: str
    enterprise: str | None = None


def person_of(user: object, workspace: Workspace, normal_form: NormalForm) -> Person | None:
    """The person a user object describes; None for bots, strangers and what is no user.

    Deactivated people are people: `disabled`. Guests are people: `guest`. The e-mail is `profile.email` alone, and
    only of somebody who belongs to the workspace: a member of another organisation chooses their own address.
    """
    if not isinstance(user, dict):
        return None
    identifier = readable(user.get("id"))
    if identifier is None or identifier == SLACKBOT or user.get("is_bot") is True:
        return None
    if not belongs(user, workspace):
        return None
    profile = user.get("profile")
    profile = profile if isinstance(profile, dict) else {}
    written = profile.get("email")
    email = readable(normal_form(written), MAX_EMAIL) if isinstance(written, str) else None
    restricted = user.get("is_restricted") is True or user.get("is_ultra_restricted") is True
    return Person(
        user_id=identifier,
        emails=() if email is None else (email,),
        name=_first_text(user.get("real_name"), profile.get("real_name"), user.get("name")),
        locale=words(user.get("locale"), MAX_LOCALE),
        kind="guest" if restricted else "member",
        disabled=user.get("deleted") is True,
    )


def belongs(user: Mapping[str, Any], workspace: Workspace) -> bool:
    """Whether a user is of this workspace or of its org; people met through Slack Connect are not."""
    if user.get("is_stranger") is True:
        return False
    if user.get("team_id") == workspace.tenant:
        return True
    if workspace.enterprise is None:
        return False
    return user.get("team_id") == workspace.enterprise or enterprise_of(user) == workspace.enterprise


def enterprise_of(user: Mapping[str, Any]) -> str | None:
    """The org a user belongs to."""
    org = user.get("enterprise_user")
    found = org.get("enterprise_id") if isinstance(org, dict) else None
    return found if isinstance(found, str) else None


def teams_of(user: Mapping[str, Any]) -> tuple[str, ...]:
    """The workspaces a user says to be in: their own, and those of the org."""
    org = user.get("enterprise_user")
    teams = org.get("teams") if isinstance(org, dict) else None
    listed = [each for each in teams if isinstance(each, str)] if isinstance(teams, list) else []
    own = user.get("team_id")
    return tuple(dict.fromkeys([own, *listed] if isinstance(own, str) else listed))


def _first_text(*values: object) -> str:
    return next((text for value in values if (text := words(value, MAX_NAME))), "")
