"""The table of reasons and the code that gives them say the same."""

from __future__ import annotations

import pytest

from adapters.slack.faults import ROWS
from adapters.teams.faults import TABLE
from adapters.teams.install_faults import TABLE as INSTALLS
from notify import texts
from notify.texts import REASONS, Who
from tests.harness.reasons import given

REMEDIES = sorted({row.remedy for row in TABLE} | {row.remedy for row in ROWS} | {row.remedy for row in INSTALLS})


def test_every_given_reason_is_explained() -> None:
    """Whatever a fault table, a look-up or our own code can give has a comment, a remedy and somebody who can act."""
    assert set() == set(given()) - set(REASONS)


def test_every_explained_reason_is_given() -> None:
    """The table holds nothing that nobody can meet."""
    assert set() == set(REASONS) - set(given())


@pytest.mark.parametrize("slug", sorted(REASONS))
def test_who(slug: str) -> None:
    """Each reason names one of five who can act, and a remedy for them."""
    assert texts.who(slug) in {who.value for who in Who}
    assert texts.remedy(slug)


def test_nobody_can_act() -> None:
    """Only what passes by itself, or has passed, leaves nobody to act."""
    passing = {slug for slug, reason in REASONS.items() if reason.who is Who.NOBODY}

    assert {"throttled", "conversation_busy", "cancelled"} == passing


@pytest.mark.parametrize("remedy", REMEDIES)
def test_remedies_of_an_end(remedy: str) -> None:
    """A remedy stays true when the delivery has ended: it does not promise that Herald goes on."""
    assert "tries again" not in remedy
    assert "goes on" not in remedy
