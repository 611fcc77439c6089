"""PURE: who may speak to us as Slack, decided on the raw bytes before anything parses them.

https://docs.slack.dev/authentication/verifying-requests-from-slack: HMAC-SHA256 over `v0:{timestamp}:{raw body}` with
the app's signing secret, and a timestamp not older than five minutes.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Any
from urllib.parse import parse_qsl

import orjson

from adapters.slack.limits import SIGNATURE_AGE

MAX_FORM_FIELDS = 10


class Malformed(ValueError):
    """The body is not what Slack sends to this address."""


def signature(secret: bytes, timestamp: str, raw: bytes) -> bytes:
    """What Slack's signature of these bytes is."""
    return b"v0=" + hmac.new(secret, b"v0:" + timestamp.encode() + b":" + raw, hashlib.sha256).hexdigest().encode()


def is_genuine(secret: bytes, timestamp: str | None, given: str | None, raw: bytes, now: float) -> bool:
    """Whether Slack signed these bytes within the last five minutes."""
    if timestamp is None or given is None:
        return False
    if not (timestamp.isascii() and timestamp.isdecimal() and len(timestamp) <= 12):
        return False
    if abs(now - int(timestamp)) > SIGNATURE_AGE:
        return False
    # bytes: comparing a str that is not ASCII in constant time is an error in Python
    return hmac.compare_digest(signature(secret, timestamp, raw), given.encode("utf-8", "surrogateescape"))


def json_object(raw: bytes) -> dict[str, Any]:
    """The JSON object that an event is. Raises Malformed."""
    try:
        parsed = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise Malformed("no JSON") from error
    if not isinstance(parsed, dict):
        raise Malformed("no JSON object")
    return parsed


def form_payload(raw: bytes) -> dict[str, Any]:
    """The JSON object in the form field `payload` that an interaction is; {} for a form without it (ssl_check)."""
    try:
        pairs = parse_qsl(
            raw.decode(), keep_blank_values=True, strict_parsing=True, errors="strict", max_num_fields=MAX_FORM_FIELDS
        )
    except ValueError as error:  # UnicodeDecodeError is one
        raise Malformed("no form") from error
    fields = dict(pairs)
    return json_object(fields["payload"].encode()) if "payload" in fields else {}
