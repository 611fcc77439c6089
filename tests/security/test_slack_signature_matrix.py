"""S04: the whole matrix of Slack's signatures, each case by its name.

Source: docs.slack.dev/authentication/verifying-requests-from-slack.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final
from urllib.parse import urlencode

import pytest

from adapters.slack import door
from tests.integration.slack.kit import SIGNING_SECRET, wrapped

NOW: Final = 1_700_000_000
SECRET: Final = SIGNING_SECRET.encode()
BODY: Final = json.dumps(wrapped({"type": "app_home_opened", "user": "U1"})).encode()
FORM: Final = urlencode({"payload": BODY.decode()}).encode()


def digest(message: bytes, secret: bytes = SECRET, by: Any = hashlib.sha256) -> str:
    return hmac.new(secret, message, by).hexdigest()


def good(body: bytes = BODY, timestamp: str = str(NOW), version: str = "v0") -> str:
    return f"{version}={digest(f'{version}:{timestamp}:'.encode() + body)}"


@dataclass(frozen=True, slots=True)
class Case:
    """What stands in the two headers and the body; the rest of the request decides nothing."""

    signature: str | None = good()
    timestamp: str | None = str(NOW)
    body: bytes = BODY
    now: float = NOW
    genuine: bool = False


GENUINE: Final = Case(genuine=True)
CASES: Final[Mapping[str, Case]] = {
    "genuine": GENUINE,
    "genuine form": replace(GENUINE, signature=good(FORM), body=FORM),
    "genuine empty body": replace(GENUINE, signature=good(b""), body=b""),
    "genuine bytes that are no UTF-8": replace(GENUINE, signature=good(b"\xff\0"), body=b"\xff\0"),
    "genuine at five minutes": replace(GENUINE, now=NOW + 300),
    "genuine five minutes ahead": replace(GENUINE, now=NOW - 300),
    "a second beyond five minutes": Case(now=NOW + 301),
    "a second beyond five minutes ahead": Case(now=NOW - 301),
    "a part of a second beyond five minutes": Case(now=NOW + 300.001),
    "a replay of yesterday": Case(now=NOW + 86_400),
    "signature missing": Case(signature=None),
    "signature empty": Case(signature=""),
    "signature without version": Case(signature=good().removeprefix("v0=")),
    "signature of version v1": Case(signature=good(version="v1")),
    "signature v1 over v0": Case(signature=good().replace("v0=", "v1=")),
    "signature in capital letters": Case(signature=good().upper()),
    "signature with a blank behind": Case(signature=good() + " "),
    "signature with a digit more": Case(signature=good() + "0"),
    "signature with a digit less": Case(signature=good()[:-1]),
    "signature twice": Case(signature=f"{good()},{good()}"),
    "signature in base64": Case(signature="v0=" + base64.b64encode(bytes.fromhex(good().removeprefix("v0="))).decode()),
    "signature by SHA-1": Case(signature=f"v0={digest(f'v0:{NOW}:'.encode() + BODY, by=hashlib.sha1)}"),
    "signature by another secret": Case(signature=f"v0={digest(f'v0:{NOW}:'.encode() + BODY, b'another')}"),
    "signature by an empty secret": Case(signature=f"v0={digest(f'v0:{NOW}:'.encode() + BODY, b'')}"),
    "signature that is a plain hash": Case(signature=f"v0={hashlib.sha256(f'v0:{NOW}:'.encode() + BODY).hexdigest()}"),
    "signature without the timestamp": Case(signature=f"v0={digest(BODY)}"),
    "signature of another request": Case(signature=good(b"{}")),
    "signature of the body as a form": Case(signature=good(FORM)),
    "signature of a form over its payload": Case(body=FORM),
    "signature beyond ASCII": Case(signature=good()[:-1] + "ａ"),
    "signature of raw bytes": Case(signature="v0=\udcff\udcfe"),
    "timestamp missing": Case(timestamp=None),
    "timestamp empty": Case(timestamp="", signature=good(timestamp="")),
    "timestamp of another second": Case(timestamp=str(NOW + 1)),
    "timestamp with a sign": Case(timestamp=f"+{NOW}", signature=good(timestamp=f"+{NOW}")),
    "timestamp with a blank": Case(timestamp=f" {NOW}", signature=good(timestamp=f" {NOW}")),
    "timestamp with a fraction": Case(timestamp=f"{NOW}.0", signature=good(timestamp=f"{NOW}.0")),
    "timestamp as a power": Case(timestamp="17e8", signature=good(timestamp="17e8")),
    "timestamp with an underscore": Case(timestamp="1_700_000_000", signature=good(timestamp="1_700_000_000")),
    "timestamp in other digits": Case(
        timestamp="１７００００００００", signature=good(timestamp="１７００００００００")
    ),
    "timestamp that moves the colon": Case(timestamp=f"{NOW}:{{", body=BODY[1:]),
    "timestamp without end": Case(timestamp="1" * 5000, signature=good(timestamp="1" * 5000)),
    "timestamp of zero": Case(timestamp="0", signature=good(timestamp="0")),
    "a byte changed in the body": Case(body=BODY.replace(b"U1", b"U2")),
    "a byte more in the body": Case(body=BODY + b" "),
    "a byte less in the body": Case(body=BODY[:-1]),
    "the body written otherwise": Case(body=json.dumps(json.loads(BODY), indent=1).encode()),
    "the body with a byte order mark": Case(body=b"\xef\xbb\xbf" + BODY),
}


@pytest.mark.parametrize("name", CASES)
def test_matrix(name: str) -> None:
    """S04: this request is Slack's, or it is not."""
    case = CASES[name]

    assert case.genuine is door.is_genuine(SECRET, case.timestamp, case.signature, case.body, case.now)


def test_none_is_lost() -> None:
    """S04: the matrix has at least these cases."""
    assert len(CASES) >= 48
    assert sum(case.genuine for case in CASES.values()) >= 6
