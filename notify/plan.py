"""PURE: in which of several tenants a delivery goes on: who has the person, who is still to be asked, and which is it.

    found here ── talked to us here last, or at home here ─────────────────────────────▶ stay
        │ else
        ▼
    the next tenant is asked … and when all were: one has them ─▶ there    several ─▶ the one they talked to us in last,
                                                  none ─▶ nowhere                    else the home tenant, else between

A plan is the row's column `candidates`: whatever a delivery carries from one tenant's lane to the next is in it.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from adapters.base import TenantId

NOT_HERE: Final = (
    "install_not_allowed",
    "app_not_installed",
    "recipient_unreachable",
    "guest_not_supported",
    "person_unlicensed",
    "person_disabled",
    "person_not_found",
)
"""Another tenant may know the person better; when none does, the first of these that one of them said is told."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """A tenant that has the person: when they talked to us there (0: never), and whether they are only a guest."""

    tenant: TenantId
    talked_at: float = 0.0
    guest: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """What is known when a delivery reaches a tenant; `sure`: if the person is found there, no other is asked."""

    ask: tuple[TenantId, ...] = ()
    found: tuple[Sighting, ...] = ()
    home: TenantId | None = None
    sure: bool = False
    unasked: tuple[TenantId, ...] = ()  # their look-ups are at fault: they count as not knowing the person
    said: str = ""  # the best reason that a tenant gave for not having them


@dataclass(frozen=True, slots=True)
class Stay:
    """The delivery is sent in this tenant."""


@dataclass(frozen=True, slots=True)
class Go:
    """Another tenant goes on with this plan; `later`: it could not be asked a moment ago."""

    to: TenantId
    plan: Plan
    later: bool = False


@dataclass(frozen=True, slots=True)
class Between:
    """Several tenants have the person, and nothing says which of them is meant."""

    tenants: tuple[TenantId, ...]


@dataclass(frozen=True, slots=True)
class Nowhere:
    """No tenant has the person."""

    reason: str


def found(plan: Plan, here: Sighting, kin: Collection[TenantId] = ()) -> Stay | Go | Between | Nowhere:
    """This tenant has the person. `kin` are tenants with the same accounts: asking them as well decides nothing."""
    if plan.sure or _is_home(plan, here):
        return Stay()
    ask = tuple(tenant for tenant in plan.ask if tenant not in kin)
    step = _next(replace(plan, ask=ask, found=(*plan.found, here)))
    return Stay() if isinstance(step, Go) and step.to == here.tenant else step


def missing(plan: Plan, reason: str) -> Go | Between | Nowhere:
    """This tenant does not have the person."""
    return _next(replace(plan, said=min(reason, plan.said or reason, key=NOT_HERE.index)))


def at_fault(plan: Plan, here: TenantId) -> Go | Between | Nowhere:
    """This tenant cannot be asked until somebody mends it. A way back here means that nobody else has the person."""
    return _next(replace(plan, unasked=(*plan.unasked, here)))


def _is_home(plan: Plan, here: Sighting) -> bool:
    return here.tenant == plan.home and not here.guest and not any(other.talked_at for other in plan.found)


def _next(plan: Plan) -> Go | Between | Nowhere:
    if plan.ask:
        return Go(plan.ask[0], replace(plan, ask=plan.ask[1:], sure=False))
    if plan.found:
        return _decided(plan)
    if plan.unasked:
        return Go(plan.unasked[0], Plan(plan.unasked[1:], home=plan.home, said=plan.said), later=True)
    return Nowhere(plan.said)


def _decided(plan: Plan) -> Go | Between:
    """Everybody was asked. Whoever is only a guest in a tenant is meant there if no tenant has them as a member."""
    able = [each for each in plan.found if not each.guest] or list(plan.found)
    latest = max(able, key=lambda each: each.talked_at)
    at_home = next((each for each in able if each.tenant == plan.home), None)
    if len(able) == 1 or latest.talked_at:
        chosen = latest
    elif at_home is not None:
        chosen = at_home
    else:
        return Between(tuple(each.tenant for each in able))
    others = tuple(each for each in plan.found if each is not chosen)
    return Go(chosen.tenant, Plan((), others, plan.home, sure=True, said=plan.said))


# ── as it is stored ─────────────────────────────────────────────────────────────────────────────────────────
def as_text(plan: Plan) -> str:
    """The plan as the row holds it; what it does not know is left out."""
    stored: dict[str, Any] = {"ask": plan.ask}
    if plan.found:
        stored["found"] = [_as_json(each) for each in plan.found]
    if plan.home is not None:
        stored["home"] = plan.home
    if plan.sure:
        stored["sure"] = True
    if plan.unasked:
        stored["unasked"] = plan.unasked
    if plan.said:
        stored["said"] = plan.said
    return json.dumps(stored)


def read(stored: str | None) -> Plan | None:
    """The plan of a row; None: it belongs to one tenant and to no other. A list is what earlier versions wrote."""
    if stored is None:
        return None
    value: object = json.loads(stored)
    if isinstance(value, list):
        return Plan(_tenants(value))
    if not isinstance(value, dict):
        raise ValueError("a plan is an object, or a list of tenants")
    return Plan(
        _tenants(value.get("ask", ())),
        tuple(_sighting(each) for each in value.get("found", ())),
        TenantId(value["home"]) if value.get("home") else None,
        bool(value.get("sure")),
        _tenants(value.get("unasked", ())),
        str(value.get("said", "")),
    )


def _as_json(sighting: Sighting) -> dict[str, Any]:
    stored: dict[str, Any] = {"tenant": sighting.tenant}
    if sighting.talked_at:
        stored["talked_at"] = sighting.talked_at
    if sighting.guest:
        stored["guest"] = True
    return stored


def _sighting(value: Mapping[str, Any]) -> Sighting:
    return Sighting(TenantId(value["tenant"]), float(value.get("talked_at", 0.0)), bool(value.get("guest")))


def _tenants(values: Sequence[object]) -> tuple[TenantId, ...]:
    return tuple(TenantId(str(each)) for each in values)
