"""PURE: does every mailbox hold exactly what the log says? Compares the log with what really arrived.

| log says | the mailbox must hold |
|---|---|
| SUCCESS | one message with exactly the text, and the person's own name in it |
| FAILURE, which may have arrived | at most one, with exactly this text |
| any other FAILURE | none |
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from console.commands.api import Entry
from console.commands.demo.audience import Invited


@dataclass(frozen=True, slots=True)
class Message:
    """What a person has received."""

    mailbox: str
    text: str


def differences(
    invited: Sequence[Invited], entries: Sequence[Entry], messages: Sequence[Message], text: str
) -> list[str]:
    """One sentence for each thing in which log and mailboxes disagree; none when they agree."""
    held: Mapping[str, list[str]] = _by_mailbox(messages)
    logged: dict[str, list[Entry]] = defaultdict(list)
    mailbox_of = {each.identity: each.mailbox for each in invited}
    expected = {each.mailbox or each.identity: each.reads(text) for each in invited}
    for entry in entries:
        logged[mailbox_of.get(entry.identity) or entry.identity].append(entry)
    return [
        *_entries_missing(invited, entries),
        *(
            said
            for mailbox, found in logged.items()
            for said in _person(mailbox, found, held.get(mailbox, []), expected.get(mailbox, text))
        ),
        *(f"{mailbox} has a message and no entry in the log" for mailbox in held if mailbox not in logged),
    ]


def surprises(invited: Sequence[Invited], entries: Sequence[Entry]) -> list[str]:
    """One sentence for each person whose outcome is not the one that was staged."""
    staged = {each.identity: each for each in invited}
    return [
        f"{entry.identity} ({staged[entry.identity].role}): {entry.reason or entry.outcome} "
        f"instead of {staged[entry.identity].reason or 'sent'}"
        for entry in entries
        if entry.identity in staged and ("" if entry.succeeded else entry.reason) != staged[entry.identity].reason
    ]


def _by_mailbox(messages: Sequence[Message]) -> dict[str, list[str]]:
    held: dict[str, list[str]] = {}
    for message in messages:
        held.setdefault(message.mailbox, []).append(message.text)
    return held


def _entries_missing(invited: Sequence[Invited], entries: Sequence[Entry]) -> Iterator[str]:
    asked, answered = Counter(each.identity for each in invited), Counter(entry.identity for entry in entries)
    for identity in asked | answered:
        if asked[identity] != answered[identity]:
            yield f"{identity.strip()} was asked for {asked[identity]} times and has {answered[identity]} entries"


def _person(mailbox: str, entries: Sequence[Entry], texts: Sequence[str], text: str) -> Iterator[str]:
    outcomes = {entry.outcome for entry in entries}
    if len(outcomes) > 1:
        yield f"{mailbox} has entries that contradict each other: {', '.join(sorted(outcomes))}"
        return
    sent, count = entries[0].succeeded, len(texts)
    if sent and count != 1:
        yield f"{mailbox} should have one message and has {count}"
    elif not sent and entries[0].outcome == "unconfirmed" and count > 1:
        yield f"{mailbox} should have at most one message and has {count}"
    elif not sent and entries[0].outcome != "unconfirmed" and count:
        yield f"{mailbox} should have no message ({entries[0].reason}) and has {count}"
    if any(each != text for each in texts):
        yield f"{mailbox} has another text than the one that was sent"
