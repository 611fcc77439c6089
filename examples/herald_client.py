"""A whole client of Herald in the standard library: send a ready request and follow it to its end.

Run: python examples/herald_client.py examples/requests/reminder_slack.json ada.park@example.com

Environment: HERALD_URL (https://herald.example.com), HERALD_BOT (st-…), HERALD_TOKEN (a caller's JWT).
"""

from __future__ import annotations

import json
import os
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any


class Refused(Exception):
    """Herald refused the call; the message says what to mend."""


def send(body: dict[str, Any]) -> str:
    """Send one request of either version and return its id."""
    return str(_call("POST", "notifyV2" if is_v2(body) else "notify", body)["_id"])


def follow(request_id: str, *, every_seconds: float = 1.0) -> dict[str, Any]:
    """Wait until every delivery of a request is final and return its record."""
    while (record := _call("GET", f"notify/status/{request_id}"))["status"] == "IN_PROGRESS":
        time.sleep(every_seconds)
    return record


def report(record: dict[str, Any]) -> str:
    """One line for each person."""
    lines = [f"{entry['status']:8}{entry['originalId']}  {entry['comments']}" for entry in record["statusLogs"]]
    return "\n".join([f"{record['_id']}  {record['status']}", *lines])


def is_v2(body: dict[str, Any]) -> bool:
    """Whether a body belongs to notifyV2: there the people are objects."""
    return isinstance(body["identities"][0], dict)


def addressed(body: dict[str, Any], emails: list[str]) -> dict[str, Any]:
    """The same request for other people, who keep what the file says of them."""
    if not is_v2(body):
        return {**body, "identities": emails}
    known = {person["email"]: person for person in body["identities"]}
    return {**body, "identities": [known.get(email, {"email": email}) for email in emails]}


def _call(method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    url = f"{os.environ['HERALD_URL'].rstrip('/')}/api/public/bot/{os.environ['HERALD_BOT']}/{path}"
    call = urllib.request.Request(  # noqa: S310 - the address is the operator's own
        url,
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"auth": os.environ["HERALD_TOKEN"], "Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(call, timeout=30) as answer:  # noqa: S310
            found: dict[str, Any] = json.load(answer)
            return found
    except urllib.error.HTTPError as error:
        with error:
            said = [entry["msg"] for entry in json.load(error)["errors"]]
        raise Refused(f"{error.code}: " + "; ".join(said)) from None


def main(file: str, *emails: str) -> int:
    """Send the request of a file, to the people named instead of its own; 0 when everybody got it."""
    body = json.loads(Path(file).read_text(encoding="utf-8"))
    record = follow(send(addressed(body, list(emails)) if emails else body))
    print(report(record))
    return 0 if record["status"] == "SUCCESS" else 1


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
