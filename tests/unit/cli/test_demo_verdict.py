"""The demo's verdict: what counts as a log that tells the truth, and what does not."""

from __future__ import annotations

import pytest

from console.commands.api import Entry
from console.commands.demo.audience import (
    SLACK_LEAST,
    TEAMS_LEAST,
    Invited,
    slack_audience,
    teams_audience,
)
from console.commands.demo.verdict import Message, differences, surprises

TEXT = "Fire drill"
ADA = Invited("ada@x.example", "ada@x.example", "has the app")
ADA_AGAIN = Invited("  ADA@X.EXAMPLE ", "ada@x.example", "the first one again")
EVE = Invited("eve@x.example", "eve@x.example", "has no app", "app_not_installed")
NOBODY = Invited("nobody@x.example", None, "nobody's address", "person_not_found")
IN_ADAS_MAILBOX = Message("ada@x.example", TEXT)


def sent(invited: Invited) -> Entry:
    return Entry(invited.identity, True, "sent", "", "", "")


def failed(invited: Invited, outcome: str = "refused", reason: str = "app_not_installed") -> Entry:
    return Entry(invited.identity, False, outcome, "", reason, "")


class TestDifferences:
    def test_agreement(self) -> None:
        """One message for each success, duplicates included, and none for each failure is agreement."""
        invited = [ADA, ADA_AGAIN, EVE, NOBODY]
        log = [sent(ADA), sent(ADA_AGAIN), failed(EVE), failed(NOBODY, reason="person_not_found")]

        assert differences(invited, log, [IN_ADAS_MAILBOX], TEXT) == []

    def test_lost(self) -> None:
        """A success without a message is a difference."""
        assert differences([ADA], [sent(ADA)], [], TEXT) == ["ada@x.example should have one message and has 0"]

    def test_two_copies(self) -> None:
        """A duplicate that was delivered twice is a difference."""
        found = differences([ADA, ADA_AGAIN], [sent(ADA), sent(ADA_AGAIN)], [IN_ADAS_MAILBOX] * 2, TEXT)

        assert found == ["ada@x.example should have one message and has 2"]

    def test_failure_that_arrived(self) -> None:
        """A message of somebody whose delivery failed is a difference."""
        found = differences([EVE], [failed(EVE)], [Message("eve@x.example", TEXT)], TEXT)

        assert found == ["eve@x.example should have no message (app_not_installed) and has 1"]

    @pytest.mark.parametrize(("copies", "wrong"), [(0, 0), (1, 0), (2, 1)])
    def test_unconfirmed(self, copies: int, wrong: int) -> None:
        """What may have arrived agrees with an empty mailbox and with one message, never with two."""
        log = [failed(ADA, "unconfirmed", "no_clear_answer")]

        assert len(differences([ADA], log, [IN_ADAS_MAILBOX] * copies, TEXT)) == wrong

    def test_other_text(self) -> None:
        """A message with another text is a difference."""
        found = differences([ADA], [sent(ADA)], [Message("ada@x.example", "Fire")], TEXT)

        assert found == ["ada@x.example has another text than the one that was sent"]

    @pytest.mark.parametrize(("name", "wrong"), [("Ada", 0), ("Eve", 1), ("{first_name}", 1)])
    def test_name(self, name: str, wrong: int) -> None:
        """Everybody's message has their own name in it; another's, and none, are a difference."""
        held = [Message("ada.park@x.example", f"Dear {name}")]
        ada = Invited("  ADA.PARK@X.EXAMPLE ", "ada.park@x.example", "has the app")

        assert len(differences([ada], [sent(ada)], held, "Dear {first_name}")) == wrong

    def test_contradiction(self) -> None:
        """Two entries of one person that contradict each other are a difference."""
        found = differences([ADA, ADA_AGAIN], [sent(ADA), failed(ADA_AGAIN)], [IN_ADAS_MAILBOX], TEXT)

        assert found == ["ada@x.example has entries that contradict each other: refused, sent"]

    def test_stranger(self) -> None:
        """A message of somebody who was not asked for is a difference."""
        found = differences([ADA], [sent(ADA)], [IN_ADAS_MAILBOX, Message("bob@x.example", TEXT)], TEXT)

        assert found == ["bob@x.example has a message and no entry in the log"]

    def test_missing_entry(self) -> None:
        """A person without an entry is a difference, also where nothing arrived."""
        found = differences([ADA, EVE], [sent(ADA)], [IN_ADAS_MAILBOX], TEXT)

        assert found == ["eve@x.example was asked for 1 times and has 0 entries"]


class TestSurprises:
    def test_as_staged(self) -> None:
        """Nothing is surprising when everybody's outcome is the staged one."""
        assert surprises([ADA, EVE], [sent(ADA), failed(EVE)]) == []

    def test_other_outcome(self) -> None:
        """Another reason, a failure and a success that were not staged are named."""
        found = surprises([ADA, EVE, NOBODY], [failed(ADA), sent(EVE), failed(NOBODY, reason="deadline")])

        assert found == [
            "ada@x.example (has the app): app_not_installed instead of sent",
            "eve@x.example (has no app): sent instead of app_not_installed",
            "nobody@x.example (nobody's address): deadline instead of person_not_found",
        ]


class TestAudience:
    @pytest.mark.parametrize("count", [TEAMS_LEAST, 30, 300, 1000])
    def test_teams(self, count: int) -> None:
        """A Teams request of any size has as many identities as asked for, with one of every difficult kind."""
        people = [{"email": f"p{n}@x.example", "proxy_addresses": [f"smtp:q{n}@x.example"]} for n in range(count)]

        everybody = teams_audience(people, count).everybody

        assert count == len(everybody) == len({each.identity for each in everybody})
        assert 1 == len(everybody) - len({each.mailbox or each.identity for each in everybody})
        assert {
            "",
            "app_not_installed",
            "blocked_by_recipient",
            "guest_not_supported",
            "person_disabled",
            "person_not_found",
        } == {each.reason for each in everybody}

    @pytest.mark.parametrize("count", [SLACK_LEAST, 12, 80, 1000])
    def test_slack(self, count: int) -> None:
        """A Slack request of any size has as many identities as asked for, with one of every difficult kind."""
        people = [{"email": f"p{n}@x.example"} for n in range(count)]

        everybody = slack_audience(people, count).everybody

        assert count == len(everybody) == len({each.identity for each in everybody})
        assert {"", "person_disabled", "person_not_found"} == {each.reason for each in everybody}
        assert 1 == len(everybody) - len({each.mailbox or each.identity for each in everybody})
