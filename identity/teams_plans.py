"""PURE: what the plans of an Entra account say about Teams (graph-docs `resources/assignedplan.md`).

Only a whole list without a usable plan of Teams says that somebody has no licence; whatever we cannot read may be one.
"""

from __future__ import annotations

from typing import Final

TEAMS_SERVICE: Final = "teamspaceapi"  # assignedPlan.service of every plan of Teams, in lower case
USABLE: Final = ("enabled", "warning")  # "available for normal use", the second in its period of grace


def is_unlicensed(plans: object) -> bool:
    """Whether `assignedPlans` as Graph told it holds no usable plan of Teams; not a list: we were not told."""
    return isinstance(plans, list) and not any(_may_be_teams(plan) for plan in plans)


def _may_be_teams(plan: object) -> bool:
    if not isinstance(plan, dict):
        return True
    service, status = plan.get("service"), plan.get("capabilityStatus")
    if not isinstance(service, str) or not isinstance(status, str):
        return True
    return service.lower().startswith(TEAMS_SERVICE) and status.lower() in USABLE
