"""PURE: the operations of callers: Kore's four, and Herald's own beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from notify.auth import PROACTIVE_SCOPE
from notify.idempotency import LONGEST
from notify.ids import UUID_SHAPE
from notify.openapi import examples
from notify.openapi.refusals import ADMISSION, BODY, NO_STORE, QUOTA, by_status
from notify.openapi.shapes import Json, ref, text

BASE: Final = "/api/public/bot/{botId}"
TAG: Final = "Calls"

SECURITY: Final[Json] = {
    "type": "apiKey",
    "in": "header",
    "name": "auth",
    "description": "A JWT of the client, signed by the algorithm of its settings (HS256, HS512, RS256 or RS512): "
    '`{"appId":"cs-…"}` or, as Kore\'s SDKs write it, `iss`, `sub`, `aud`, `exp`, `jti`. `appId`, `iss` and `kore_iss` '
    "name the client. `exp` is optional unless the settings require it. A token with `jti` is good for one call and "
    f"needs an `exp` within one hour. It may be encrypted (JWE, five parts) where the server has a decryption key. The "
    f"client needs the scope `{PROACTIVE_SCOPE}`.",
}

_SEND: Final = ("MalformedKey", "KeyBusy", "KeyReused")
_SENT: Final[Json] = {"oneOf": [ref("Sent"), ref("DryRun")]}
_PARAMETERS: Final[Mapping[str, Json]] = {
    "botId": {
        "name": "botId",
        "in": "path",
        "required": True,
        "description": "The bot; Kore calls it streamId in version 2.",
        "schema": text(pattern=f"^st-{UUID_SHAPE}$"),
    },
    "requestId": {
        "name": "requestId",
        "in": "path",
        "required": True,
        "description": "The `_id` of a send call's answer, of either version; Kore calls it dockstatusId in version 2.",
        "schema": text(pattern=f"^ds-{UUID_SHAPE}$"),
    },
    "dryRun": {
        "name": "dryRun",
        "in": "query",
        "description": "true: answer how each identity would be reached; nothing is sent, stored or bound to a key.",
        "schema": {"type": "boolean", "default": False},
    },
    "idempotencyKey": {
        "name": "Idempotency-Key",
        "in": "header",
        "description": "The same key with the same body, of the same client, bot and route, gets the first answer to "
        "the letter and sends nothing again, as long as requests are kept.",
        "schema": text(pattern="^[ -~]*[!-~][ -~]*$", minLength=1, maxLength=LONGEST),
    },
}


def parameters() -> dict[str, Json]:
    """What stands outside of bodies, by name."""
    return dict(_PARAMETERS)


def operations() -> dict[tuple[str, str], Json]:
    """The operations by method and path."""
    return {
        ("POST", f"{BASE}/notify"): _posted(
            "send",
            "Send a message",
            "One message for up to 1000 people. It is stored with all its deliveries and answered at once; ask for its "
            "status until that is final.",
            ("SendV1", examples.V1),
            _SENT,
            parameters=("dryRun", "idempotencyKey"),
            refusals=_SEND,
            links=True,
        ),
        ("GET", f"{BASE}/notify/status/{{requestId}}"): _status("status", "How a request stands"),
        ("POST", f"{BASE}/notifyV2"): _posted(
            "sendV2",
            "Send a message with a word for each person",
            "Version 2 of the same: each identity may have a message and values of its own. `{name}` in a message "
            "stands for a value. Kore's documentation has two names for the message (`message`, `content`) and for "
            "its value (`value`, `val`): either of each pair is taken.",
            ("SendV2", examples.V2),
            _SENT,
            parameters=("dryRun", "idempotencyKey"),
            refusals=_SEND,
            links=True,
        ),
        ("GET", f"{BASE}/notifyV2/status/{{requestId}}"): _status("statusV2", "The same, under version 2's path"),
        ("POST", f"{BASE}/preview"): _posted(
            "preview",
            "Show a message",
            "Herald's own. The message as each of up to ten people would get it, on one channel or on all of the "
            "bot's; nothing is sent, stored or looked up.",
            ("Preview", examples.PREVIEW),
            ref("Previews"),
        ),
        ("POST", f"{BASE}/identities/explain"): _posted(
            "explain",
            "Explain one person",
            "Herald's own. How one person would be reached, or which step fails and who must do what.",
            ("Explain", examples.EXPLAIN),
            ref("Explanation"),
        ),
    }


def _posted(
    name: str,
    summary: str,
    says: str,
    body: tuple[str, Mapping[str, Any]],
    answer: Json,
    *,
    parameters: Sequence[str] = (),
    refusals: Sequence[str] = (),
    links: bool = False,
) -> Json:
    form, given = body
    shown = {each: {"value": value} for each, value in given.items()}
    content = {"application/json": {"schema": ref(form), "examples": shown}}
    operation = _operation(name, summary, says, ("botId", *parameters), answer, (*ADMISSION, *BODY, *refusals))
    operation["requestBody"] = {"required": True, "content": content}
    if links:
        operation["responses"]["200"]["links"] = {"status": _LINK}
    return operation


_LINK: Final[Json] = {
    "operationId": "status",
    "parameters": {"botId": "$request.path.botId", "requestId": "$response.body#/_id"},
    "description": "Not of a dry run, which has no _id.",
}


def _status(name: str, summary: str) -> Json:
    says = "The record with one entry for every delivery that is final. Both paths answer for requests of both kinds."
    refusals = (*ADMISSION, "UnknownRequest", "InvalidQuery")
    return _operation(name, summary, says, ("botId", "requestId"), ref("Status"), refusals)


def _operation(
    name: str, summary: str, says: str, parameters: Sequence[str], answer: Json, refusals: Sequence[str]
) -> Json:
    done = {
        "description": "Done.",
        "headers": {"Cache-Control": NO_STORE, **QUOTA},
        "content": {"application/json": {"schema": answer}},
    }
    return {
        "operationId": name,
        "tags": [TAG],
        "summary": summary,
        "description": says,
        "security": [{"auth": []}],
        "parameters": [ref(each, "parameters") for each in parameters],
        "responses": {"200": done, **dict(sorted(by_status(refusals).items()))},
    }
