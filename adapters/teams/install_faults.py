"""What Graph's answers about installing an app mean: one table, read by `classify`.

Graph says 403 for a policy, for a missing permission and for an app that may not manage another one; only the words
tell them apart (graph-docs `userteamwork-post-installedapps.md`; the sentences are those that its callers report).
A 403 whose words we do not know is about the person: taken for a missing permission it would hold everybody.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import orjson

from adapters.base import Fault, FaultClass
from adapters.http import Answer
from adapters.ids import words
from adapters.teams import faults

SELF_INSTALL: Final = "TeamsAppInstallation.ReadWriteSelfForUser.All"
SELF_INSTALL_WITH_CONSENT: Final = "TeamsAppInstallation.ReadWriteAndConsentSelfForUser.All"
READ_CATALOG: Final = "AppCatalog.Read.All"

_N, _R, _C = FaultClass.NOT_SENT, FaultClass.REFUSED, FaultClass.CONFIGURATION
ANY: Final = ""


@dataclass(frozen=True, slots=True)
class Row:
    """One line: the status, words of the code or the text (ANY: all), and what they mean."""

    status: int
    words: str
    klass: FaultClass
    reason: str
    remedy: str

    def fault(self, code: str, detail: str = "") -> Fault:
        return Fault(self.klass, self.reason, self.remedy, code, detail, costs_attempt=self.klass is _R)


PERMISSION: Final = Row(
    403,
    "authorization_requestdenied",
    _C,
    "permission_missing",
    f"Grant the app {SELF_INSTALL} with admin consent so that Herald can install it, or set install = false.",
)
NOT_IN_CATALOG: Final = Row(
    404,
    ANY,
    _C,
    "app_not_in_catalog",
    "Upload the app package to the tenant's catalog (Teams admin center), and set its id there as catalog_app_id.",
)
NOT_FOR_THEM: Final = Row(
    404,
    ANY,
    _R,
    "install_not_allowed",
    "The app is in the catalog and Teams does not find it for this person: check their Teams licence and app policies.",
)
POLICY: Final = Row(
    403,
    ANY,
    _R,
    "install_not_allowed",
    "A Teams administrator must allow the app for this person: app permission policy, app availability.",
)

TABLE: Final = (
    PERMISSION,
    replace(PERMISSION, words="missing role permissions"),
    replace(
        PERMISSION,
        words="consent",
        remedy=f"The app asks for resource-specific permissions: grant {SELF_INSTALL_WITH_CONSENT} with admin consent.",
    ),
    Row(403, "is not allowed to manage", _C, "app_misconfigured",
        "webApplicationInfo.id in the app package must be the bot's app id: upload what `manifest teams` writes."),
    POLICY,
    Row(404, "request_resourcenotfound", _R, "person_not_found",
        "The account is not in this tenant any more: check the address."),
    NOT_IN_CATALOG,
    Row(412, ANY, _C, "permission_missing",
        f"The app asks for resource-specific permissions: grant {SELF_INSTALL_WITH_CONSENT} with admin consent."),
    Row(429, ANY, _N, "throttled", "Teams asked for a pause; send again later."),
    Row(401, ANY, _C, "credentials_rejected", "Entra's token is not accepted by Graph: check app id, secret, tenant."),
)  # fmt: skip

CATALOG_DENIED: Final = replace(
    PERMISSION, remedy=f"Set catalog_app_id, or grant the app {READ_CATALOG} with admin consent."
)
UNREACHABLE: Final = replace(
    faults.UNREACHABLE, remedy="Microsoft Graph cannot be reached: check the network and Microsoft's status page."
)
_PASSING: Final = (408, 423, 425)
UNKNOWN: Final = Row(0, ANY, _R, "unknown_code", "Graph refused with a code Herald does not know; see its text.")


def classify(answer: Answer) -> Fault:
    """The fault of an answer that is neither a success nor 409; total. What says nothing about the app is not done."""
    code, text = _read(answer.body)
    shown = code or f"http_{answer.status}"
    said = f"{code} {text}".lower()
    row = next((row for row in TABLE if row.status == answer.status and row.words in said), None)
    if not 400 <= answer.status < 500 or answer.status in _PASSING:
        return replace(UNREACHABLE, code=shown, detail=text)
    if not code and answer.status not in (401, 429):  # a proxy in between: Graph refuses in JSON
        return replace(UNREACHABLE, code=shown, detail=text)
    return (row or UNKNOWN).fault(shown, text)


def _read(body: bytes) -> tuple[str, str]:
    """Graph's code and text."""
    try:
        parsed = orjson.loads(body)
    except ValueError:
        return "", ""
    error = parsed.get("error") if isinstance(parsed, dict) else None
    if not isinstance(error, Mapping):
        return "", ""
    return _text(error.get("code"), faults.MAX_CODE), _text(error.get("message"), faults.MAX_DETAIL)


def _text(value: Any, most: int) -> str:  # any JSON
    return " ".join(words(value, 2 * most).split())[:most]
