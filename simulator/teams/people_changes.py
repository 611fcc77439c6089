"""Changes of people by control: a new mail address, a blocked bot, a disabled account, someone leaving."""

from typing import Any

from simulator.teams.control_requests import BadControl
from simulator.teams.people import TeamsPerson, Tenant

_BLOCKS = ("MessageWritesBlocked", "ConversationBlockedByUser", None)
_PLANS = ("Enabled", "Warning", "Suspended", "Deleted", "LockedOut", None)
_TEXTS = ("first", "last", "upn")
_FLAGS = ("enabled", "guest", "has_app", "install_allowed", "left")
_LISTS = ("proxy_addresses", "other_mails")
_KNOWN = {*_TEXTS, *_FLAGS, *_LISTS, "email", "block", "teams_plan"}


def change_person(tenant: Tenant, person: TeamsPerson, changes: dict[str, Any]) -> None:
    """Apply all changes, or none if one of them is wrong. A new `email` also becomes the primary proxy address."""
    _check(changes)

    def apply(target: TeamsPerson) -> None:
        for name in (*_TEXTS, *_FLAGS, "block", "teams_plan"):
            if name in changes:
                setattr(target, name, changes[name])
        if "email" in changes:
            aliases = [each for each in target.proxy_addresses if not each.startswith("SMTP:")]
            target.mail = changes["email"] or ""
            target.proxy_addresses = (*([f"SMTP:{target.mail}"] if target.mail else []), *aliases)
        for name in _LISTS:
            if name in changes:
                setattr(target, name, tuple(changes[name]))

    tenant.change(person, apply)


def add_person(tenant: Tenant, data: dict[str, Any]) -> TeamsPerson:
    """A new account."""
    email = data.get("email")
    if not isinstance(email, str):
        raise BadControl("email is required")
    rest = {name: value for name, value in data.items() if name not in ("tenant", "email")}
    _check(rest)
    first, last, upn = rest.pop("first", "New"), rest.pop("last", "Person"), rest.pop("upn", email)
    person = tenant.add(first, last, email, upn, bool(rest.pop("guest", False)))
    change_person(tenant, person, rest)
    return person


def _check(changes: dict[str, Any]) -> None:
    unknown = set(changes) - _KNOWN
    if unknown:
        raise BadControl(f"unknown fields: {', '.join(sorted(unknown))}")
    if changes.get("block") not in _BLOCKS:
        raise BadControl(f"block must be one of {', '.join(str(each) for each in _BLOCKS)}")
    if changes.get("teams_plan") not in _PLANS:
        raise BadControl(f"teams_plan must be one of {', '.join(str(each) for each in _PLANS)}")
    if not isinstance(changes.get("email"), str | None):
        raise BadControl("email must be a string or null")
    for names, kind in ((_TEXTS, str), (_FLAGS, bool), (_LISTS, list)):
        for name in names:
            if name in changes and not isinstance(changes[name], kind):
                raise BadControl(f"{name} must be a {kind.__name__}")
