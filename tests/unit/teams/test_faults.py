"""The fault table of the Teams connector, walked row by row."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from adapters.base import FaultClass, NotSent, Refused, Repair, Uncertain
from adapters.http import Answer, parse_retry_after
from adapters.teams.faults import ANY, MAX_DETAIL, TABLE, Row, classify, outcome_of, repeatable

NOW = datetime(2026, 11, 23, 1, 2, 3, tzinfo=UTC)


def plain(code: str, message: str = "text") -> bytes:
    return json.dumps({"error": {"code": code, "message": message}}).encode()


def nested(code: str) -> bytes:
    inner = f'{{\r\n  "subCode": "{code}",\r\n  "details": "text",\r\n  "errorCode": null\r\n}}'
    return json.dumps({"errorCode": 209, "message": inner}).encode()


class TestTable:
    @pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row.status}-{row.code}")
    @pytest.mark.parametrize("shape", [plain, nested])
    def test_every_row_is_found_in_both_shapes(self, row: Row, shape: object) -> None:
        """Each row is reached by its status and code, in either shape of error."""
        code = "Whatever" if row.code in (None, ANY) else str(row.code)
        nameless = b'{"error": {"message": "text"}}'
        body = nameless if row.code is None else (plain if shape is plain else nested)(code)

        fault = classify(row.status, {"Content-Type": "application/json"}, body)

        assert (fault.klass, fault.reason, fault.remedy) == (row.klass, row.reason, row.remedy)
        assert (fault.repair, fault.costs_attempt) == (row.repair, row.costs_attempt)

    def test_no_row_stands_twice(self) -> None:
        """A status with its code has one meaning."""
        keys = [(row.status, row.code and row.code.lower()) for row in TABLE]

        assert len(keys) == len(set(keys))

    def test_every_remedy_is_a_sentence(self) -> None:
        """A person can act on each row."""
        assert all(row.remedy.endswith(".") and len(row.remedy) > 20 for row in TABLE)

    @pytest.mark.parametrize(
        ("status", "code", "klass", "reason", "repair"),
        [
            (429, "Throttled", FaultClass.NOT_SENT, "throttled", None),
            (412, "PreconditionFailed", FaultClass.NOT_SENT, "conversation_busy", None),
            (403, "InvalidBotApiHost", FaultClass.NOT_SENT, "wrong_service_url", Repair.SERVICE_URL),
            (502, "ServiceError", FaultClass.UNCERTAIN, "no_clear_answer", None),
            (400, "Bad Argument", FaultClass.REFUSED, "message_invalid", None),
            (413, "MessageSizeTooBig", FaultClass.REFUSED, "message_too_large", None),
            (403, "BotNotInConversationRoster", FaultClass.REFUSED, "app_not_installed", None),
            (403, "ForbiddenOperationException", FaultClass.REFUSED, "app_not_installed", None),
            (403, "MessageWritesBlocked", FaultClass.REFUSED, "blocked_by_recipient", None),
            (403, "ConversationBlockedByUser", FaultClass.REFUSED, "blocked_by_recipient", None),
            (403, "NotEnoughPermissions", FaultClass.REFUSED, "not_permitted", None),
            (404, "ConversationNotFound", FaultClass.REFUSED, "conversation_not_found", Repair.CONVERSATION),
            (404, "ActivityNotFoundInConversation", FaultClass.REFUSED, "not_in_conversation", None),
            (404, "MemberNotFoundInConversation", FaultClass.REFUSED, "not_in_conversation", None),
            (403, "BotDisabledByAdmin", FaultClass.CONFIGURATION, "bot_disabled", None),
            (401, "BotNotRegistered", FaultClass.CONFIGURATION, "credentials_rejected", None),
        ],
    )
    def test_documented_codes(
        self, status: int, code: str, klass: FaultClass, reason: str, repair: Repair | None
    ) -> None:
        """Each documented code has the class, reason and repair that Herald promises."""
        fault = classify(status, {}, plain(code))

        assert (fault.klass, fault.reason, fault.repair, fault.code) == (klass, reason, repair, code)


class TestUnlisted:
    @pytest.mark.parametrize("status", [402, 404, 405, 409, 422, 451])
    def test_unknown_refusal_keeps_its_code(self, status: int) -> None:
        """P15: a refusal nobody listed is refused as unknown_code, with the platform's own word."""
        fault = classify(status, {}, plain("SomethingNew"))

        assert (fault.klass, fault.reason, fault.code) == (FaultClass.REFUSED, "unknown_code", "SomethingNew")

    @pytest.mark.parametrize("code", ["BotNotInConversationRoster", "ConversationNotFound"])
    def test_a_code_alone_decides_nothing(self, code: str) -> None:
        """A known code under another status is unknown."""
        assert classify(409, {}, plain(code)).reason == "unknown_code"

    def test_a_refusal_without_a_code(self) -> None:
        """An error of Teams without a code is refused, and says only its status and text."""
        fault = classify(403, {}, b'{"error": {"message": "no"}}')

        assert (fault.klass, fault.reason) == (FaultClass.REFUSED, "unknown_code")
        assert (fault.code, fault.detail) == ("http_403", "no")

    @pytest.mark.parametrize("status", [400, 402, 403, 404, 405, 407, 409, 422, 451])
    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"<html>Access denied</html>",
            b"blocked by policy",
            b"[]",
            b"{}",
            b'{"error":"denied"}',
            b'{"message":"No HTTP resource was found"}',
            b'{"error":{"code":403,"message":"forbidden by the gateway"}}',
            b'{"code":403,"message":"forbidden by the gateway"}',
            b'{"error":{}}',
        ],
    )
    def test_a_refusal_that_is_not_of_teams(self, status: int, body: bytes) -> None:
        """P13: what a proxy or firewall refuses, Teams never saw: repeated, a bounded number of times."""
        fault = classify(status, {}, body)

        assert (fault.klass, fault.reason) == (FaultClass.NOT_SENT, "platform_unreachable")
        assert (fault.code, fault.costs_attempt) == (f"http_{status}", True)

    def test_a_page_is_named(self) -> None:
        """The code tells an operator that a web page came in place of an answer."""
        fault = classify(403, {"Content-Type": "text/html; charset=utf-8"}, b"<html>Access denied</html>")

        assert (fault.klass, fault.code, fault.detail) == (FaultClass.NOT_SENT, "http_403_html", "")

    @pytest.mark.parametrize(
        ("status", "reason"), [(401, "credentials_rejected"), (413, "message_too_large"), (412, "conversation_busy")]
    )
    def test_statuses_that_need_no_body(self, status: int, reason: str) -> None:
        """Some statuses mean the same whoever says them."""
        assert classify(status, {"Content-Type": "text/html"}, b"<html>").reason == reason

    @pytest.mark.parametrize("status", [300, 302, 501, 505, 599])
    def test_neither_success_nor_refusal(self, status: int) -> None:
        """What says nothing about the message is uncertain."""
        assert classify(status, {}, b"").klass is FaultClass.UNCERTAIN

    @pytest.mark.parametrize(
        "body",
        [b"\xff\xfe", b"[]", b'"text"', b'{"error":"string"}', b'{"error":{"code":7}}', b'{"message":5}', b"{" * 5000],
    )
    def test_any_body_is_survived(self, body: bytes) -> None:
        """Whatever stands in a body, there is a fault with a bounded code and detail."""
        fault = classify(403, {}, body)

        assert fault.klass in (FaultClass.REFUSED, FaultClass.NOT_SENT)
        assert len(fault.code) <= 100
        assert len(fault.detail) <= MAX_DETAIL

    def test_detail_is_one_bounded_line(self) -> None:
        """The platform's text is kept as one line without control characters."""
        detail = classify(403, {}, plain("X", "a\r\n\x00b\u202e" + "c" * 5000)).detail

        assert detail.startswith("a b c")
        assert len(detail) == MAX_DETAIL

    def test_html_is_not_shown(self) -> None:
        """An error page's markup is no detail."""
        assert classify(413, {"Content-Type": "text/html"}, b"<html>").detail == ""


class TestOutcomes:
    def test_classes_become_outcomes(self) -> None:
        """Refused, uncertain and not sent follow the class; a pause is carried along."""
        refused = outcome_of(Answer(403, {}, plain("NotEnoughPermissions")), NOW, "connector")
        unclear = outcome_of(Answer(502, {}, b""), NOW, "connector")
        paused = outcome_of(Answer(429, {"Retry-After": "4"}, b""), NOW, "connector")

        assert isinstance(refused, Refused)
        assert isinstance(unclear, Uncertain)
        assert isinstance(paused, NotSent)
        assert (paused.retry_after, paused.method) == (4.0, "connector")

    def test_repeatable_calls_are_never_uncertain(self) -> None:
        """For a call that may be repeated, unclear means not done."""
        outcome = repeatable(classify(500, {}, b""), 7.0, "connector")
        refused = repeatable(classify(403, {}, plain("NotEnoughPermissions")), None, "connector")

        assert isinstance(outcome, NotSent)
        assert (outcome.fault.klass, outcome.retry_after) == (FaultClass.NOT_SENT, 7.0)
        assert isinstance(refused, Refused)


class TestRetryAfter:
    @pytest.mark.parametrize(
        ("value", "seconds"),
        [
            (None, None),
            ("0", 0.0),
            ("3", 3.0),
            (" 2.5 ", 2.5),
            ("-1", 0.0),
            ("1e400", 3600.0),
            ("99999999999999999999", 3600.0),
            ("nan", None),
            ("", None),
            ("soon", None),
            ("٣", None),
            ("1, 2", None),
            ("Mon, 23 Nov 2026 01:02:33 GMT", 30.0),
            ("Mon, 23 Nov 2026 01:02:33", 30.0),
            ("Mon, 23 Nov 1970 01:02:33 GMT", 0.0),
            ("Mon, 23 Nov 2999 01:02:33 GMT", 3600.0),
            ("Mon, 99 Nov 2026 99:99:99 GMT", None),
        ],
    )
    def test_every_spelling(self, value: str | None, seconds: float | None) -> None:
        """P01-P04: seconds, fractions and dates are understood and bounded, garbage is nothing."""
        assert parse_retry_after(value, NOW) == seconds
