"""S04, P13–P16: whatever comes as Slack's, at the door or as an answer, ends in a value that can be kept."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import quote_plus, urlencode

import pytest
from hypothesis import given

from adapters.slack import door, envelope, faults
from adapters.slack.client import Answer, Failure, SlackClient
from adapters.slack.config import SlackEndpoints
from adapters.slack.history import _find
from adapters.slack.install import _installation
from adapters.slack.paging import OddCursor, Trail, next_cursor
from adapters.slack.people import Workspace, enterprise_of, person_of, teams_of
from adapters.slack.presses import presses_of
from identity.email import normal_form
from identity.slack_listing import Progress, _resumed
from tests.integration.slack.kit import SIGNING_SECRET, TEAM, signed, user, wrapped
from tests.security.canned import Canned, Reply
from tests.security.fuzzing import TAPES, Tape, bent, bent_bytes, bent_json, bent_text, fuzz, in_time, is_storable
from tests.security.test_odd_events import LEGACY_PRESS, PRESS, SLACK_EVENTS, is_kept

NOW: Final = 1_700_000_000
SECRET: Final = SIGNING_SECRET.encode()
EVENTS: Final = [wrapped(event, **outer) for event, outer in SLACK_EVENTS.values()]
USERS: Final = [
    user("U1", "a@example.com", locale="de", deleted=False),
    user("U2", None, team="T2", enterprise_user={"enterprise_id": "E0ORG", "teams": [TEAM]}, is_restricted=True),
]
ACCESS: Final = {
    "ok": True,
    "access_token": "xoxb-1",
    "scope": "chat:write,users:read",
    "bot_user_id": "U0BOT",
    "app_id": "A1",
    "team": {"id": TEAM, "name": "Work"},
    "enterprise": {"id": "E0ORG", "name": "Org"},
    "authed_user": {"id": "U1"},
    "is_enterprise_install": False,
}
ANSWERS: Final = [
    {"ok": True, "ts": "1700000000.000100", "channel": "D1"},
    {"ok": False, "error": "missing_scope", "needed": "im:history", "provided": "chat:write"},
    {"ok": False, "error": "invalid_blocks", "errors": ["no"], "response_metadata": {"messages": ["[ERROR] x"]}},
    {"ok": False, "error": "ratelimited"},
    {"ok": True, "members": USERS, "response_metadata": {"next_cursor": "c"}},
    {"ok": True, "messages": [{"ts": "1.1", "metadata": {"event_type": "x", "event_payload": {"delivery": "nl-1"}}}]},
    ACCESS,
]


@pytest.fixture(name="runner", scope="module")
def _runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


class TestDoor:
    @fuzz()
    @given(TAPES)
    def test_signatures(self, raw: bytes) -> None:
        """S04: only the bytes that were signed are genuine, whatever stands in the headers."""
        tape = Tape(raw)
        body = json.dumps(EVENTS[0]).encode()
        headers = signed(body, NOW)
        timestamp = bent_bytes(headers["X-Slack-Request-Timestamp"].encode(), tape).decode("utf-8", "surrogateescape")
        signature = bent_bytes(headers["X-Slack-Signature"].encode(), tape).decode("utf-8", "surrogateescape")
        given_ = bent_bytes(body, tape)
        with in_time():
            verdict = door.is_genuine(SECRET, timestamp, signature, given_, NOW)
        same = (timestamp, signature, given_) == (str(NOW), headers["X-Slack-Signature"], body)
        assert verdict is same

    @fuzz()
    @given(TAPES)
    def test_events(self, raw: bytes) -> None:
        """S04: signed bytes are an object or Malformed, and an envelope of it holds ids that can be kept."""
        tape = Tape(raw)
        body = bent_json(EVENTS, tape)
        with in_time():
            try:
                found = door.json_object(body)
            except door.Malformed:
                return
            read = envelope.read(found)
        if read is not None:
            assert is_kept(read.event_id, 255)
            assert is_kept(read.kind, 255)
            assert is_kept(read.tenant, 64)
            assert is_kept(read.enterprise, 64)
            assert 0 <= read.at < envelope.FAR
            assert all(is_kept(each, 64) for each in read.texts("team_ids", 64))

    @fuzz()
    @given(TAPES)
    def test_presses(self, raw: bytes) -> None:
        """S04: a form is an object or Malformed, and what was pressed in it has bounded ids and words."""
        tape = Tape(raw)
        payload = bent_json([PRESS, LEGACY_PRESS], tape)
        form = bent_bytes(urlencode({"payload": payload}).encode(), tape) if tape.below(2) else b"payload=" + payload
        with in_time():
            try:
                found = door.form_payload(form)
            except door.Malformed:
                return
            pressed = presses_of(found)
        assert len(pressed) <= 100
        for press in pressed:
            assert len(press.key) == 64
            assert len(press.action_id) <= 255
            assert is_storable(press.label)

    @pytest.mark.parametrize("payload", [b"%ED%A0%80", b"%00", b"%C3%28"])
    def test_halves_of_characters(self, payload: bytes) -> None:
        """A form whose JSON is no UTF-8 is Malformed or text that can be kept."""
        form = b"payload=" + quote_plus('{"type":"').encode() + payload + quote_plus('"}').encode()
        try:
            found = door.form_payload(form)
        except door.Malformed:
            return
        assert is_storable(found)


class TestAnswers:
    @fuzz()
    @given(TAPES)
    def test_web_api(self, runner: asyncio.Runner, raw: bytes) -> None:
        """P13–P15: any answer to a call is a value; its code and its words are short and can be stored."""
        tape = Tape(raw)
        status = tape.one_of((200, 200, 200, 429, 500, 404, 302, 204, 999))
        headers = {
            "Retry-After": bent_text("30", tape)[:100],
            "Content-Type": tape.one_of(("application/json", "text/html", "")),
            "x-oauth-scopes": bent_text("chat:write,im:write", tape)[:100],
        }
        session = Canned([Reply(status, headers, bent_json(ANSWERS, tape))])
        client = SlackClient(
            session.as_session(), SlackEndpoints("https://slack.invalid/api/", "https://x"), lambda: NOW
        )
        method = tape.one_of(("chat.postMessage", "users.list", "conversations.history", "oauth.v2.access"))
        with in_time():
            found = runner.run(client.call(method, "xoxb-1", text="x"))
        assert len(session.asked) == 1
        if isinstance(found, Failure):
            assert found.retry_after is None or 0 <= found.retry_after <= 3600
            assert len(found.fault.code) <= 100
            assert len(found.fault.detail) <= 1000
            assert is_storable([found.fault.code, found.fault.detail, found.fault.reason])
        else:
            assert isinstance(found, Answer)
            assert isinstance(found.body, dict)
            self.check_body(found.body, tape)

    def check_body(self, body: dict[str, Any], tape: Tape) -> None:
        """What is read from a body that said ok."""
        cursor = next_cursor(body)
        assert cursor is None or isinstance(cursor, str | OddCursor)
        installation = _installation(body)
        if installation is not None:
            assert is_storable([installation.team_id, installation.team_name, installation.bot_token])
            assert is_kept(installation.team_id, 64)
        messages = body.get("messages")
        if isinstance(messages, list) and all(isinstance(each, dict) for each in messages):
            _find(messages, tape.one_of(("nl-1", "nl-2")))  # type: ignore[arg-type]
        members = body.get("members")
        for member in members if isinstance(members, list) else []:
            self.check_person(member)

    @fuzz()
    @given(TAPES)
    def test_people(self, raw: bytes) -> None:
        """A user object is a person whose ids, addresses and names can be kept, or nobody."""
        tape = Tape(raw)
        self.check_person(bent(tape.one_of(USERS), tape))

    def check_person(self, found: object) -> None:
        with in_time():
            person = person_of(found, Workspace(TEAM, "E0ORG"), normal_form)
        if isinstance(found, dict):
            assert all(isinstance(each, str) for each in teams_of(found))
            assert enterprise_of(found) is None or isinstance(enterprise_of(found), str)
        if person is not None:
            assert is_kept(person.user_id, 255)
            assert all(is_kept(each, 320) for each in person.emails)
            assert len(person.name) <= 256
            assert is_storable([person.name, person.locale])

    @fuzz()
    @given(TAPES)
    def test_faults(self, raw: bytes) -> None:
        """P14, P15: every refusal has a class, a reason, and words that can be stored."""
        tape = Tape(raw)
        body = bent(tape.one_of(ANSWERS[1:4]), tape)
        with in_time():
            fault = faults.classify(
                tape.one_of((200, 400, 401, 403, 404, 429, 500)), body if isinstance(body, dict) else None
            )
        assert len(fault.code) <= 100
        assert is_storable([fault.code, fault.detail])

    @fuzz()
    @given(TAPES)
    def test_written_progress(self, raw: bytes) -> None:
        """What a chore wrote down about a listing is read as progress, or the listing begins anew."""
        tape = Tape(raw)
        detail = bent(
            {
                "number": 1,
                "started": 1.5,
                "cursor": "c",
                "entries": 5,
                "limit": 200,
                "restarts": 1,
                "trail": {"pages": 3, "empty": 1, "mark": "c"},
            },
            tape,
        )
        found = _resumed(detail if isinstance(detail, dict) else {})
        assert found is None or isinstance(found, Progress)
        trail = Trail.written(detail)
        assert trail.endless("c", 0, 10) is None or isinstance(trail.endless("c", 0, 10), str)
