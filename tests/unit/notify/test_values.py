"""Ids, identities and sentences."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.base import ChannelName
from adapters.slack.faults import ROWS
from adapters.teams.faults import TABLE
from identity.email import looks_valid, normal_form
from notify import texts
from notify.identities import comparable, identity_problem
from notify.ids import UUID_SHAPE, derived_id, has_shape, new_id

KEY = b"k" * 32


class TestIds:
    def test_shape(self) -> None:
        """A new id has the shape that Kore's clients check."""
        assert re.fullmatch(f"ds-{UUID_SHAPE}", new_id("ds"))

    def test_s06_unguessable(self) -> None:
        """S06: no two ids are alike and no prefix repeats."""
        made = [new_id("nl") for _ in range(1000)]

        assert len({one[:14] for one in made}) == len(made)

    @given(st.text(), st.text())
    def test_derived(self, first: str, second: str) -> None:
        """A derived id is stable, has the shape, and depends on the key and on every part in its place."""
        made = derived_id("u", KEY, first, second)

        assert made == derived_id("u", KEY, first, second)
        assert has_shape("u", made)
        assert made != derived_id("u", b"other", first, second)
        assert made != derived_id("u", KEY, first + second)
        assert (made == derived_id("u", KEY, second, first)) is (first == second)

    @pytest.mark.parametrize(
        "value",
        ["", "ds-", "ds-1", "st-" + "0" * 36, new_id("st"), new_id("ds") + "\n", "ds-\x00"],
        ids=["empty", "prefix", "short", "plain zeros", "other kind", "newline", "nul"],
    )
    def test_other_shapes(self, value: str) -> None:
        """Anything else is not of the shape."""
        assert not has_shape("ds", value)


class TestEmail:
    @given(st.text() | st.emails())
    def test_normal_form(self, written: str) -> None:
        """The normal form is total, idempotent, and never folds beyond ASCII."""
        normal = normal_form(written)

        assert normal_form(normal) == normal
        assert comparable("resolve", written) == normal
        assert looks_valid(normal) in {True, False}

    @given(st.emails())
    def test_case_and_blanks(self, written: str) -> None:
        """Blanks around an address and the case of its ASCII letters make no difference."""
        assert normal_form(f" {written.upper()} \t") == normal_form(written.lower())

    @pytest.mark.parametrize("look_alike", ["\u0430@example.com", "ａ@example.com", "a@ex\u0430mple.com"])
    def test_s18_look_alikes(self, look_alike: str) -> None:
        """S18: a look-alike of an address is another address."""
        assert normal_form(look_alike) != normal_form("a@example.com")


class TestIdentities:
    @given(st.text(), st.sampled_from(ChannelName), st.sampled_from(["resolve", "donotresolve"]))
    def test_total(self, written: str, channel: ChannelName, kind: str) -> None:
        """Every identity is judged, and every judgement has its sentence."""
        reason = identity_problem(channel, kind, comparable(kind, written))

        assert reason is None or reason in texts.REASONS

    @pytest.mark.parametrize(
        ("channel", "identity"),
        [
            ("msteams", "29:1bSnHZ7Js2STWrgk6ScEErLk1Lp2zQuD5H2qQ960rtvstKp8tKLl-3r8b6DoW0QxZimuTxk_kupZ1DBMpvIQQUAZ"),
            ("msteams", "00000000-0000-0000-0000-000000000001"),
            ("msteams", "ABCDEFAB-0000-4000-8000-000000000001"),
            ("slack", "U012AB3CD"),
            ("slack", "W012AB3CD"),
            ("slack", "U1"),
        ],
    )
    def test_channel_ids(self, channel: str, identity: str) -> None:
        """C-28: each form of a channel's own id is taken."""
        assert identity_problem(ChannelName(channel), "donotresolve", identity) is None

    @pytest.mark.parametrize(
        ("channel", "identity"),
        [
            ("msteams", "U012AB3CD"),
            ("msteams", "29:"),
            ("msteams", "29:a b"),
            ("msteams", "28:bot"),
            ("msteams", "29:" + "x" * 300),
            ("msteams", "john@example.com"),
            ("slack", "u012ab3cd"),
            ("slack", "C012AB3CD"),
            ("slack", "U"),
            ("slack", "U1\n"),
            ("slack", "#general"),
            ("slack", ""),
        ],
    )
    def test_other_ids(self, channel: str, identity: str) -> None:
        """C-29: an id of another shape fails alone, with a sentence of its own."""
        assert identity_problem(ChannelName(channel), "donotresolve", identity) == "identity_invalid"
        assert texts.comment("refused", "identity_invalid") == "The identity is not a user id of this channel"


class TestTexts:
    def test_kores_comments(self) -> None:
        """C-16, C-17: Kore's two comments, to the letter."""
        assert texts.comment("sent", None) == "Notification has been sent successfully"
        for reason in ("person_not_found", "person_disabled", "app_not_installed"):
            assert texts.comment("refused", reason) == "'Identity is not associated with the channel'"

    @pytest.mark.parametrize("reason", sorted({row.reason for row in TABLE} | {row.reason for row in ROWS}))
    def test_every_platform_reason(self, reason: str) -> None:
        """Every reason in a platform's table has a comment and a remedy here."""
        assert texts.REASONS[reason].comment
        assert texts.remedy(reason)

    def test_outcomes(self) -> None:
        """An outcome that is open speaks before its reason; an unknown reason still says what happened."""
        assert "may have arrived" in texts.comment("unconfirmed", "throttled")
        assert "deadline" in texts.comment("skipped", "platform_unreachable")
        assert texts.comment("cancelled", None) != texts.comment("refused", None)
        assert texts.comment("refused", "of tomorrow") == texts.FAILED

    def test_sentences(self) -> None:
        """A comment is a sentence without a full stop, as Kore's are; a remedy ends with one."""
        for reason in texts.REASONS.values():
            assert not reason.comment.endswith(".")
            assert reason.remedy.endswith((".", ")"))
