"""PURE: in which order a bot's tenants are asked about a person, by what is stored.

where the person, as a member, talked to us last     and if they are found there, nobody else is asked
tenants whose directory knows them as a member        the newest news first
the tenants whose members have the e-mail's domain    most of them first; the home tenant has 90 % of the others
tenants whose directory knows them as a guest
all others
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from adapters.base import TenantId, TraceStep
from storage.directory import KnownPerson

HOME_SHARE: Final = 0.9  # of the known members with a domain; the tenant that has so many of them is its home


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a delivery of the entry lane goes: the tenants to ask, best first; empty: nobody can be asked.

    `sure`: the person talked to us in the first of them. `home` is the tenant of the e-mail's domain.
    """

    tenants: tuple[TenantId, ...]
    trace: tuple[TraceStep, ...]
    home: TenantId | None = None
    sure: bool = False


def place(
    known: Sequence[KnownPerson], tenants: Sequence[TenantId], members: Mapping[str, int], now: float
) -> Placement:
    """The order for one person; `members` counts the e-mails with the same domain in each tenant."""
    active = sorted((person for person in known if not person.disabled), key=_newest, reverse=True)
    of_members = [TenantId(person.tenant_id) for person in active if person.kind != "guest"]
    of_guests = [TenantId(person.tenant_id) for person in active if person.kind == "guest"]
    own = Counter(of_members)  # one's own address does not prove whose the domain is
    others = {each: count for each in tenants if (count := members.get(each, 0) - own[each]) > 0}
    near = sorted(others, key=lambda each: -others[each])
    order = tuple(dict.fromkeys((*of_members, *near, *of_guests, *tenants)))
    home = _home(others)
    talked = next((person for person in active if person.kind != "guest" and _talked_at(person)), None)
    if talked is not None:
        age = max(0.0, now - _talked_at(talked))
        step = TraceStep("reference", "talked to us here last", age, tenant=talked.tenant_id)
        return Placement(order, (step,), home, sure=True)
    return Placement(order, _trace(len({*of_members, *of_guests}), home, len(tenants)), home)


def _talked_at(person: KnownPerson) -> float:
    """When a person whom we can reach there talked to us, by the platform's time; 0: never."""
    return person.learned_at or 0.0 if person.reference_active else 0.0


def _newest(person: KnownPerson) -> tuple[float, bool, float]:
    return _talked_at(person), bool(person.reference_active), person.seen_at


def _home(members: Mapping[TenantId, int]) -> TenantId | None:
    total = sum(members.values())
    return next((tenant for tenant, count in members.items() if count >= HOME_SHARE * total), None)


def _trace(known: int, home: TenantId | None, tenants: int) -> tuple[TraceStep, ...]:
    steps = [TraceStep("directory", f"known in {known} tenant(s)")] if known else []
    if home is not None:
        steps.append(TraceStep("domain", "at home here", tenant=home))
    return tuple(steps) or (TraceStep("installations", f"{tenants} tenants to ask"),)
