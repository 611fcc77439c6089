"""Who is written to: mostly people whom everything reaches, and a few of every kind that cannot be reached."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

DOMAIN = "contoso.example"
GUEST = "kim.lee@partner.example"
GUEST_SIGN_IN = f"kim.lee_partner.example#EXT#@{DOMAIN}"
TEAMS_LEAST = 12
SLACK_LEAST = 8
MOST = 1000  # identities of one request


@dataclass(frozen=True, slots=True)
class Invited:
    """One identity of a request: as it is spelled, whose mailbox it means, and what should come of it."""

    identity: str
    mailbox: str | None
    role: str
    reason: str = ""
    """Why it must fail; empty when it must arrive."""

    @property
    def first_name(self) -> str:
        """As the address says it."""
        return (self.mailbox or self.identity).partition(".")[0].capitalize()

    def reads(self, text: str) -> str:
        """What this person must find in the mailbox."""
        return text.replace("{first_name}", self.first_name)


@dataclass(slots=True)
class TeamsAudience:
    """The people of the Teams request, by what has to be done for them before it."""

    installed: list[Invited] = field(default_factory=list)
    """They have the app, and Herald was told so."""
    quiet: list[Invited] = field(default_factory=list)
    """They have the app, and Herald was never told."""
    without_app: list[Invited] = field(default_factory=list)
    disabled: list[Invited] = field(default_factory=list)
    others: list[Invited] = field(default_factory=list)

    @property
    def blocking(self) -> Invited:
        """The one who blocks the app after it was installed."""
        return self.installed[-1]

    @property
    def everybody(self) -> list[Invited]:
        """In the order of the request."""
        return [*self.installed, *self.quiet, *self.without_app, *self.disabled, *self.others]


@dataclass(slots=True)
class SlackAudience:
    """The people of the Slack request."""

    members: list[Invited] = field(default_factory=list)
    deactivated: list[Invited] = field(default_factory=list)
    others: list[Invited] = field(default_factory=list)

    @property
    def guest(self) -> Invited:
        """The member who is a guest of the workspace."""
        return self.members[-1]

    @property
    def everybody(self) -> list[Invited]:
        """In the order of the request."""
        return [*self.members, *self.deactivated, *self.others]


def teams_audience(people: Sequence[dict[str, Any]], count: int) -> TeamsAudience:
    """`count` identities over the people of a tenant, as its control API shows them."""
    unknown, disabled, without_app = _few(count, 100), _few(count, 100), _few(count, 50)
    quiet = max(2, count // 10)
    waiting = list(people)
    duplicate = waiting[0]["email"]

    def take(number: int, role: str, reason: str = "", by: Callable[[dict[str, Any]], str] = _email) -> list[Invited]:
        taken, waiting[:number] = waiting[:number], []
        return [Invited(by(person), person["email"], role, reason) for person in taken]

    reachable = count - quiet - unknown - disabled - without_app - 3  # a guest, a duplicate, one who blocks the app
    return TeamsAudience(
        installed=[
            *take(reachable, "has the app"),
            *take(1, "blocked the app", "blocked_by_recipient"),
        ],
        quiet=take(quiet, "has the app, never heard of", by=_alias),
        without_app=take(without_app, "has no app", "app_not_installed"),
        disabled=take(disabled, "account disabled", "person_disabled"),
        others=[
            *_nobody(unknown),
            Invited(GUEST, GUEST, "guest of the tenant", "guest_not_supported"),
            Invited(_respelled(duplicate), duplicate, "the first one again"),
        ],
    )


def slack_audience(people: Sequence[dict[str, Any]], count: int) -> SlackAudience:
    """`count` identities over the people of a workspace."""
    unknown = deactivated = _few(count, 40)
    waiting = [person["email"] for person in people if person["email"]]
    members = count - unknown - deactivated - 2  # a guest and a duplicate
    gone = waiting[members + 1 : members + 1 + deactivated]
    return SlackAudience(
        members=[
            *(Invited(email, email, "member") for email in waiting[:members]),
            Invited(waiting[members], waiting[members], "guest of the workspace"),
        ],
        deactivated=[Invited(email, email, "account deactivated", "person_disabled") for email in gone],
        others=[*_nobody(unknown), Invited(_respelled(waiting[0]), waiting[0], "the first one again")],
    )


def _few(count: int, share: int) -> int:
    return max(1, count // share)


def _nobody(count: int) -> list[Invited]:
    return [
        Invited(f"nobody.{number}@{DOMAIN}", None, "nobody's address", "person_not_found")
        for number in range(1, count + 1)
    ]


def _respelled(email: str) -> str:
    return f"  {email.upper()} "


def _email(person: dict[str, Any]) -> str:
    return str(person["email"])


def _alias(person: dict[str, Any]) -> str:
    """A second address of this person, if the directory has one: only Graph knows whose it is."""
    aliases = (address[5:] for address in person["proxy_addresses"] if address.startswith("smtp:"))
    return next(aliases, _email(person))
