"""What the Teams connector's answers mean: one table, read by `classify`.

Codes and statuses are from msteams-docs `bots/how-to/conversations/send-proactive-messages.md`,
`bots/how-to/rate-limit.md` and `bots/build-conversational-capability.md`. A row matches by status *and* code, never
by one alone: the same 403 stands for a block, an uninstall and a disabled bot. Errors come in two shapes:

    {"error": {"code": "ConversationNotFound", "message": "…"}}
    {"errorCode": 209, "message": "{\\"subCode\\": \\"MessageWritesBlocked\\", …}"}     JSON inside a string

A refusal in neither shape is not Teams': a proxy, a firewall or a gateway in front of it refused, and Teams never saw
the call. Statuses that mean the same whoever says them (401, 408, 412, 413, 429) need no shape.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

import orjson

from adapters.base import Fault, FaultClass, NotSent, Refused, Repair, Uncertain
from adapters.http import Answer, parse_retry_after
from adapters.ids import words

MAX_DETAIL: Final = 500
MAX_CODE: Final = 100
_SHOWN: Final = 2048  # how much of an unreadable body is looked at for its text

_PAUSE = "Teams asked for a pause: what did not leave by its deadline can be sent again."
_MOVED = "The tenant lives on another host, to which Herald switches; if it stays, check endpoints.cloud."
_REINSTALL = "The app is not installed for this person: install it for them, or by an app setup policy."
_BLOCKED = "The person has blocked the app; they can unblock it in Teams, or write to it."
_CREDENTIALS = "Teams rejects the app's credentials: check app id, secret, tenant and app type of the bot."
_NO_SUCH_ID = "Teams does not know this id of a person in this tenant: check it."
_UNCLEAR = "Teams gave no clear answer; the message may have arrived."
_UNKNOWN = "Teams refused with a code Herald does not know; see the code and its text."
_IN_BETWEEN = "Something between Herald and Teams refused the call: check the proxy, the firewall and the endpoints."


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. `code` None matches answers without a code, ANY matches every code of the status."""

    status: int
    code: str | None
    klass: FaultClass
    reason: str
    remedy: str
    repair: Repair | None = None
    costs_attempt: bool = True


ANY: Final = "*"
_N, _U, _R, _C = FaultClass.NOT_SENT, FaultClass.UNCERTAIN, FaultClass.REFUSED, FaultClass.CONFIGURATION

TABLE: Final = (
    Row(429, ANY, _N, "throttled", _PAUSE, costs_attempt=False),
    Row(412, ANY, _N, "conversation_busy", "Teams was busy with this conversation: send again later."),
    Row(403, "InvalidBotApiHost", _N, "wrong_service_url", _MOVED,
        Repair.SERVICE_URL, costs_attempt=False),
    *(Row(status, ANY, _U, "no_clear_answer", _UNCLEAR) for status in (408, 500, 502, 503, 504)),
    Row(400, None, _R, "message_invalid", "Teams does not accept this message: correct its text or card."),
    Row(400, "BadArgument", _R, "message_invalid", "Teams does not accept this message: correct its text or card."),
    Row(400, "BadSyntax", _R, "message_invalid", "Teams does not accept this message: correct its text or card."),
    Row(400, "BadRequest", _R, "message_invalid", "Teams does not accept this message: correct its text or card."),
    Row(413, ANY, _R, "message_too_large", "Shorten the message or the card: Teams takes about 100 KB."),
    Row(403, "BotNotInConversationRoster", _R, "app_not_installed", _REINSTALL),
    Row(403, "ForbiddenOperationException", _R, "app_not_installed", _REINSTALL),
    Row(403, "MessageWritesBlocked", _R, "blocked_by_recipient", _BLOCKED),
    Row(403, "ConversationBlockedByUser", _R, "blocked_by_recipient", _BLOCKED),
    Row(403, "NotEnoughPermissions", _R, "not_permitted", "Teams does not permit this; see its text."),
    Row(404, "ConversationNotFound", _R, "conversation_not_found",
        "The conversation is gone; the person can write to the app to open it again.", Repair.CONVERSATION),
    Row(404, "ActivityNotFoundInConversation", _R, "not_in_conversation", "The message is not in this conversation."),
    Row(404, "MemberNotFoundInConversation", _R, "not_in_conversation", "The person is not in this conversation."),
    Row(403, "BotDisabledByAdmin", _C, "bot_disabled", "A Teams administrator must allow the app again.",
        costs_attempt=False),
    Row(401, ANY, _C, "credentials_rejected", _CREDENTIALS, costs_attempt=False),
)  # fmt: skip

_BY_KEY: Final[Mapping[tuple[int, str | None], Row]] = {
    (row.status, row.code if row.code in (None, ANY) else str(row.code).lower()): row for row in TABLE
}

UNREACHABLE: Final = Fault(
    _N,
    "platform_unreachable",
    "Teams cannot be reached: check the network, the proxy and the service health of Microsoft 365.",
    "",
    costs_attempt=False,
)
NO_CLEAR_ANSWER: Final = Fault(_U, "no_clear_answer", _UNCLEAR, "")
CREDENTIALS_REJECTED: Final = Fault(_C, "credentials_rejected", _CREDENTIALS, "http_401", costs_attempt=False)
TOKEN_UNAVAILABLE: Final = Fault(
    _C,
    "token_unavailable",
    "Entra gives the app no token: check app id, secret, tenant and the login endpoint.",
    "",
    costs_attempt=False,
)
NO_SERVICE_URL: Final = Fault(
    _C,
    "wrong_service_url",
    "No permitted service URL is known for this tenant: check endpoints.cloud and teams_service_urls in the settings.",
    "",
    costs_attempt=False,
)
UNTRUSTED_SERVICE_URL: Final = Fault(
    _R,
    "wrong_service_url",
    "The stored service URL is not on the allow-list; the person can write to the app to renew it.",
    "untrusted_service_url",
    repair=Repair.SERVICE_URL,
)
NO_CONVERSATION: Final = Fault(
    _R,
    "conversation_not_found",
    "The conversation is not known; the person can write to the app to open it again.",
    "no_conversation",
    repair=Repair.CONVERSATION,
)


def classify(status: int, headers: Mapping[str, str], body: bytes) -> Fault:
    """The fault of an answer that is not a success; total: what no row knows is refused as `unknown_code`."""
    is_html = "html" in headers.get("Content-Type", "").lower()
    parsed = _json_object(body)
    code, detail = ("", "" if is_html else _first_words(body)) if parsed is None else _read_error(parsed)
    row = _BY_KEY.get((status, ANY))
    if row is None and 400 <= status < 500 and not _is_of_teams(parsed):
        row = Row(status, ANY, _N, "platform_unreachable", _IN_BETWEEN)
        code = f"http_{status}_html" if is_html else f"http_{status}"
    row = row or _BY_KEY.get((status, _plain(code) if code else None)) or _unlisted(status)
    shown = (code or f"http_{status}")[:MAX_CODE]
    return Fault(row.klass, row.reason, row.remedy, shown, detail[:MAX_DETAIL], row.repair, row.costs_attempt)


def of_create(fault: Fault, status: int) -> Fault:
    """The same for createConversation, which carries no message: a 400 or 404 is about the person's id."""
    if fault.klass is not FaultClass.REFUSED:
        return fault
    if status == 404:
        return replace(fault, reason="person_not_found", remedy=_NO_SUCH_ID, repair=None)
    if status == 400:
        return replace(fault, reason="recipient_unreachable", remedy=_NO_SUCH_ID)
    return fault


def _is_of_teams(parsed: Mapping[str, Any] | None) -> bool:
    """Whether a body has one of the two shapes of a Bot Framework error; a gateway's `code` is its status, a number."""
    if parsed is None:
        return False
    error = parsed.get("error")
    if isinstance(error, dict):
        return bool(error) and isinstance(error.get("code"), str | None)
    return "errorCode" in parsed or isinstance(parsed.get("code"), str)


def _unlisted(status: int) -> Row:
    """A status with no row: below 400 and above 499 nothing is said about the message, the rest is a refusal."""
    if 400 <= status < 500:
        return Row(status, ANY, _R, "unknown_code", _UNKNOWN)
    return Row(status, ANY, _U, "no_clear_answer", _UNCLEAR)


def outcome_of(answer: Answer, now: datetime, bucket: str) -> NotSent | Uncertain | Refused:
    """The outcome of a send that was answered without success."""
    fault = classify(answer.status, answer.headers, answer.body)
    return as_outcome(fault, parse_retry_after(answer.headers.get("Retry-After"), now), bucket)


def as_outcome(fault: Fault, retry_after: float | None, bucket: str) -> NotSent | Uncertain | Refused:
    """A fault as the outcome of its class."""
    if fault.klass is FaultClass.REFUSED:
        return Refused(fault)
    if fault.klass is FaultClass.UNCERTAIN:
        return Uncertain(fault)
    return NotSent(fault, retry_after, method=bucket)


def repeatable(fault: Fault, retry_after: float | None, bucket: str) -> NotSent | Refused:
    """The same for a call that may be repeated freely: what is unclear is simply not done."""
    if fault.klass is FaultClass.REFUSED:
        return Refused(fault)
    if fault.klass is FaultClass.UNCERTAIN:
        fault = replace(
            fault,
            klass=FaultClass.NOT_SENT,
            remedy="Teams did not say whether it opened the conversation; nothing was sent: send again later.",
        )
    return NotSent(fault, retry_after, method=bucket)


def _first_words(body: bytes) -> str:
    return _one_line(body[:_SHOWN].decode("utf-8", "replace"))


def _read_error(parsed: Mapping[str, Any]) -> tuple[str | None, str]:
    """The platform's code, if any, and its text, from either shape of error."""
    error = parsed.get("error")
    if isinstance(error, dict):
        return _text(error.get("code")), _one_line(_text(error.get("message")) or "")
    code, message = parsed.get("errorCode", parsed.get("code")), _text(parsed.get("message")) or ""
    inner = _json_object(message.encode("utf-8", "replace"))
    if inner is None:
        return _text(code), _one_line(message)
    detail = _text(inner.get("details")) or _text(inner.get("message")) or message
    return _text(inner.get("subCode")) or _text(inner.get("code")) or _text(code), _one_line(detail)


def _json_object(body: bytes) -> dict[str, Any] | None:
    try:
        parsed = orjson.loads(body)
    except ValueError:
        return None
    return parsed if isinstance(parsed, dict) else None


def _text(value: object) -> str | None:
    if isinstance(value, bool):
        return None
    return words(str(value)) or None if isinstance(value, str | int) else None


def _one_line(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _plain(code: str) -> str:
    """The code as the table writes it: `Bad Argument` and `BadArgument` are one."""
    return code.replace(" ", "").lower()
