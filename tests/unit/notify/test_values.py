"""Ids, identities and sentences."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.base import ChannelName
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
        """Every identity is judged, and every judgement is a sentence that says what to do."""
        remedy = identity_problem(channel, kind, comparable(kind, written))

        assert remedy is None or (remedy[0].isupper() and remedy.endswith("."))

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
        ("channel", "identity", "said"),
        [
            ("msteams", "U012AB3CD", "This is a Slack user id"),
            ("msteams", "29:", "This is no id of a person in Teams"),
            ("msteams", "29:a b", "This is no id of a person in Teams"),
            ("msteams", "28:bot", "This is the id of a Teams bot"),
            ("msteams", "19:meeting_x@thread.v2", "This is the id of a Teams conversation"),
            ("msteams", "a:1qhNLqpUtmuI6U35gzjsJn7uRnCkW8NiZALHfN8AMxdbprS1uta2aT", "This is the id of a Teams conv"),
            ("msteams", "8:orgid:00000000-0000-0000-0000-000000000001", "Leave 8:orgid: away"),
            ("msteams", "{00000000-0000-0000-0000-000000000001}", "Give the Entra object id without braces"),
            ("msteams", "00000000-0000-0000-0000-00000000000", "This is no id of a person in Teams"),
            ("msteams", "29:" + "x" * 300, "This is no id of a person in Teams"),
            ("msteams", "29:" + "x" * 320, "The identity is longer than any user id"),
            ("msteams", "john@example.com", "This is an e-mail address or user principal name: send it with"),
            ("msteams", "ann_x.com#EXT#@contoso.example", "This is the user principal name of a guest"),
            ("msteams", "2\uff19:abc", "The id holds characters beyond ASCII"),
            ("msteams", "", "The identity is empty"),
            ("slack", "u012ab3cd", "Slack ids are in capital letters"),
            ("slack", "U012ab3cd", "Slack ids are in capital letters"),
            ("slack", "\u0405012AB3CD", "The id holds characters beyond ASCII"),
            ("slack", "U\u0410123456", "The id holds characters beyond ASCII"),
            ("slack", "C012AB3CD", "This is the id of a Slack channel"),
            ("slack", "G012AB3CD", "This is the id of a private Slack channel"),
            ("slack", "D012AB3CD", "This is the id of a Slack conversation"),
            ("slack", "T012AB3CD", "This is the id of a Slack workspace"),
            ("slack", "E012AB3CD", "This is the id of a Slack organisation"),
            ("slack", "B012AB3CD", "This is the id of a Slack bot"),
            ("slack", "A012AB3CD", "This is the id of a Slack app"),
            ("slack", "S012AB3CD", "This is the id of a Slack user group"),
            ("slack", "john@example.com", "This is an e-mail address: send it with"),
            ("slack", "29:1bSnHZ7Js2STWrgk6", "This is an id of Teams"),
            ("slack", "00000000-0000-0000-0000-000000000001", "This is an id of Teams"),
            ("slack", "<@U012AB3CD>", "This is a mention"),
            ("slack", "@ann", "This is a Slack name"),
            ("slack", "#general", "This is the name of a Slack channel"),
            ("slack", "U", "This is no id of a person in Slack"),
            ("slack", "U1\n", "This is no id of a person in Slack"),
            ("slack", "", "The identity is empty"),
        ],
    )
    def test_other_ids(self, channel: str, identity: str, said: str) -> None:
        """C-29: an id of another kind fails alone, and the remedy names what it is."""
        remedy = identity_problem(ChannelName(channel), "donotresolve", identity)

        assert remedy is not None
        assert remedy.startswith(said)

    @pytest.mark.parametrize(
        ("channel", "identity", "said"),
        [
            ("msteams", "Ann <ann@x.com>", "The identity holds a display name"),
            ("msteams", '"Ann" ann@x.com', "The identity holds a display name"),
            ("msteams", "<ann@x.com>", "The identity holds a display name"),
            ("msteams", "MailTo:ann@x.com", "The identity is a link"),
            ("msteams", "a@x.com,b@x.com", "The identity is a list"),
            ("msteams", "a@x.com; b@x.com", "The identity is a list"),
            ("msteams", "a@x.com b@x.com", "The identity is a list"),
            ("msteams", "a@x.com;", "The identity is a list"),
            ("msteams", "ann @x.com", "The identity holds a blank"),
            ("msteams", "ann", "The identity holds no @"),
            ("msteams", "a@b@x.com", "The identity holds more than one @"),
            ("msteams", "@x.com", "The identity lacks the part"),
            ("msteams", "ann@", "The identity lacks the part"),
            ("msteams", "ann\u202e@x.com", "The identity holds an invisible character (U+202E)"),
            ("msteams", "a" * 65 + "@x.com", "The part before the @ is longer than 64"),
            ("msteams", "a@" + "b" * 256, "The domain is longer than 255"),
            ("msteams", "a" * 64 + "@" + "b" * 256, "The identity is longer than 320"),
            ("msteams", "a@\uff58.com", "The domain is no valid internationalised name"),
            ("msteams", "", "The identity is empty"),
            ("slack", "U012AB3CD", "This looks like a Slack user id: send it with userIdentityType donotresolve"),
            ("slack", "29:1bSnHZ7Js2STWrgk6", "This looks like a Teams user id, and the request is for Slack"),
            ("msteams", "U012AB3CD", "This looks like a Slack user id, and the request is for Teams"),
            ("msteams", "00000000-0000-0000-0000-000000000001", "This looks like a Teams user id: send it with"),
        ],
    )
    def test_no_emails(self, channel: str, identity: str, said: str) -> None:
        """What can be no e-mail fails alone, and the remedy names what is wrong with it."""
        remedy = identity_problem(ChannelName(channel), "resolve", comparable("resolve", identity))

        assert remedy is not None
        assert remedy.startswith(said)

    @pytest.mark.parametrize(
        "identity",
        ["ann+tag@x.com", "o'hara@x.com", '"a,b"@x.com', "\u0430nn@x.com", "a@b\u00fccher.example", "a@localhost"],
    )
    def test_emails(self, identity: str) -> None:
        """Whatever may be an address is asked for: plus tags, quotes, other scripts."""
        assert identity_problem(ChannelName.MSTEAMS, "resolve", comparable("resolve", identity)) is None


class TestTexts:
    def test_kores_comments(self) -> None:
        """C-16, C-17: Kore's two comments, to the letter."""
        assert texts.comment("sent", None) == "Notification has been sent successfully"
        for reason in ("person_not_found", "person_disabled", "app_not_installed"):
            assert texts.comment("refused", reason) == "'Identity is not associated with the channel'"

    def test_outcomes(self) -> None:
        """An outcome that is open speaks before its reason; an unknown reason still says what happened."""
        assert "may have arrived" in texts.comment("unconfirmed", "throttled")
        assert "deadline" in texts.comment("skipped", "platform_unreachable")
        assert texts.comment("cancelled", None) != texts.comment("refused", None)
        assert texts.comment("refused", "of tomorrow") == texts.FAILED
        assert (texts.remedy("of tomorrow"), texts.who("of tomorrow")) == (None, None)

    def test_sentences(self) -> None:
        """A comment is a sentence without a full stop, as Kore's are; a remedy ends with one."""
        for reason in texts.REASONS.values():
            assert not reason.comment.endswith(".")
            assert reason.remedy.endswith((".", ")"))
