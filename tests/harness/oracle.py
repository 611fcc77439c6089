"""Compares what Herald says with what the platforms know: the mailboxes are the truth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

Json = dict[str, Any]


def text_of(message: Json) -> str:
    """What the person reads."""
    return str(message["body"].get("text", ""))


def person_of(message: Json) -> str:
    """Whose mailbox it is."""
    return str(message["email"] or message["user_id"]).lower()


def owner(entry: Json, aliases: Mapping[str, str] | None = None) -> str:
    """The mailbox that an entry is about; `aliases` maps an identity to the person's own e-mail or user id."""
    identity = str(entry["originalId"]).strip()
    return ((aliases or {}).get(identity) or identity).lower()


def lies(
    record: Json, messages: Iterable[Json], *, text: str | None = None, aliases: Mapping[str, str] | None = None
) -> list[str]:
    """Where the record and the mailboxes differ; an empty list is the truth.

    Every SUCCESS has exactly one message (with `text`, if given), every FAILURE none; what is `unconfirmed` may have
    one. Nobody else has any. Duplicates say what their first one says.
    """
    found: list[str] = []
    mine = [message for message in messages if text is None or text_of(message) == text]
    boxes = Counter(person_of(message) for message in mine)
    entries = {entry["_id"]: entry for entry in record["statusLogs"]}
    for entry in record["statusLogs"]:
        first = entry["details"].get("duplicateOf")
        if first is not None:
            if entry["status"] != entries[first]["status"]:
                found.append(f"{entry['originalId']}: {entry['status']}, but its first is {entries[first]['status']}")
            continue
        copies = boxes.pop(owner(entry, aliases), 0)
        outcome = (entry["status"], entry["details"]["outcome"])
        allowed = {("SUCCESS", "sent"): (1,), ("FAILURE", "unconfirmed"): (0, 1)}.get(outcome, (0,))
        if copies not in allowed:
            found.append(f"{entry['originalId']}: {'/'.join(outcome)} with {copies} messages")
    found.extend(f"{person}: {copies} messages without an entry" for person, copies in boxes.items())
    found.extend(_miscounts(record))
    return found


def _miscounts(record: Json) -> Iterable[str]:
    """Whether counts and words of a final record fit its entries."""
    entries = record["statusLogs"]
    succeeded = sum(entry["status"] == "SUCCESS" for entry in entries)
    word = "SUCCESS" if succeeded == len(entries) else "FAILURE" if succeeded == 0 else "PARTIAL_SUCCESS"
    if record["status"] != word:
        yield f"the request says {record['status']}, its entries {word}"
    if not record["count"] == len(entries) == record["store"]["identitiesCount"]:
        yield f"count {record['count']}, {len(entries)} entries, {record['store']['identitiesCount']} identities"
    if record["percentageComplete"] != 100:
        yield f"final at {record['percentageComplete']} %"


def outcomes(record: Json) -> Counter[str]:
    """How many entries ended how."""
    return Counter(entry["details"]["outcome"] for entry in record["statusLogs"])


def reasons(record: Json) -> dict[str, str | None]:
    """The reason of each identity that failed."""
    return {
        entry["originalId"]: entry["details"].get("reason")
        for entry in record["statusLogs"]
        if entry["status"] == "FAILURE"
    }
