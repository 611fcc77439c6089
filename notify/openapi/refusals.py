"""PURE: every refusal of a caller as an answer of the document, with the sentences that `notify.errors` has for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Final

from notify import errors
from notify.errors import CallRefused
from notify.idempotency import LONGEST
from notify.openapi.shapes import Json, always, ref, text, whole

NO_STORE: Final[Json] = {"required": True, "schema": always("no-store")}
RETRY_AFTER: Final[Json] = {
    "required": True,
    "description": "Whole seconds after which the call may be made again.",
    "schema": whole(minimum=1),
}
QUOTA: Final[Mapping[str, Json]] = {
    "RateLimit-Policy": {
        "description": "The windows of the bot: q calls in w seconds. Once the caller is admitted.",
        "schema": text(),
    },
    "RateLimit": {
        "description": "r calls are left in each window, and one more after t seconds.",
        "schema": text(),
    },
}
_WAITING: Final = {HTTPStatus.CONFLICT, HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}
_PROBLEM_FIELD: Final = "identities: between 1 and 1000 items are required, 1001 given"

ADMISSION: Final = ("UnknownBot", "NotAdmitted", "UnknownExpectation", "TooManyCalls", "OurFault", "NoDatabase")
"""What any call may be told, whatever it asks for."""
BODY: Final = ("BodyTooSlow", "Invalid", "BodyTooLarge", "WrongContentType")
"""What a call with a body may be told beside it."""


def responses(body_bytes: int) -> dict[str, Json]:
    """The refusals by name, for a server that reads bodies of at most so many bytes."""
    return {name: _response(says, refused) for name, (says, refused) in _table(body_bytes).items()}


def by_status(names: Sequence[str]) -> dict[str, Json]:
    """References to some refusals, by their status."""
    table = _table(1)
    return {str(table[name][1][0].status): ref(name, "responses") for name in names}


def _table(body_bytes: int) -> Mapping[str, tuple[str, Sequence[CallRefused]]]:
    malformed = errors.malformed_key(f"between 1 and {LONGEST} characters are needed, 300 given")
    return {
        "UnknownBot": ("There is no such bot; only clients of all bots are told.", [errors.unknown_bot()]),
        "UnknownRequest": (
            "There is no such request of this bot, or no longer; or there is no such bot.",
            [errors.unknown_request(), errors.unknown_bot()],
        ),
        "MalformedKey": (
            "The Idempotency-Key cannot be used; or there is no such bot.",
            [malformed, errors.unknown_bot()],
        ),
        "NotAdmitted": (
            "The token in the header auth does not open this bot.",
            [
                errors.invalid_credentials(),
                errors.invalid_token(),
                errors.scope_missing(),
                errors.jti_lives_too_long(),
                errors.jti_replayed(),
            ],
        ),
        "BodyTooSlow": ("The body did not arrive in time.", [errors.body_too_slow(30)]),
        "KeyBusy": ("The first call with this Idempotency-Key is still being accepted.", [errors.key_busy()]),
        "Invalid": (
            "The body, or the query, is not valid: Kore's sentence, then one for each field.",
            [errors.invalid_arguments([_PROBLEM_FIELD])],
        ),
        "InvalidQuery": ("The query names what the call does not know.", [errors.invalid_arguments([_UNKNOWN_NAME])]),
        "BodyTooLarge": (
            f"The body is larger than the call takes, compressed or not; a send call takes {body_bytes} bytes.",
            [errors.body_too_large(body_bytes)],
        ),
        "WrongContentType": (
            "The body is declared as something else than JSON, or packed in an unknown way.",
            [errors.wrong_content_type(), errors.unknown_encoding()],
        ),
        "UnknownExpectation": ("The header Expect asks for more than 100-continue.", [_by_phrase(417)]),
        "KeyReused": ("The Idempotency-Key stands for another body.", [errors.key_reused()]),
        "TooManyCalls": (
            "The bot has had as many calls as it may, by all its clients; or too many bad tokens are waiting.",
            [
                *(errors.too_many_calls(hourly=hourly, retry_after=1) for hourly in (False, True)),
                errors.too_many_bad_tokens(1),
            ],
        ),
        "OurFault": ("A defect of the server.", [_by_phrase(500)]),
        "NoDatabase": ("Nothing was changed.", [errors.storage_unavailable()]),
    }


_UNKNOWN_NAME: Final = "?verbose: is not known here: remove it"


def _by_phrase(status: int) -> CallRefused:
    return CallRefused(status, HTTPStatus(status).phrase)


def _response(says: str, refused: Sequence[CallRefused]) -> Json:
    waiting = {"Retry-After": RETRY_AFTER} if refused[0].status in _WAITING else {}
    examples = {f"case{place}": {"value": errors.kore_body(each)} for place, each in enumerate(refused, start=1)}
    content = {"application/json": {"schema": ref("Errors"), "examples": examples}}
    return {"description": says, "headers": {"Cache-Control": NO_STORE, **QUOTA, **waiting}, "content": content}
