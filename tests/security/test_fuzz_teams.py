"""S01, S02, P13–P16: whatever comes as Teams', Entra's or Graph's ends in a value or in the error that was promised."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

import jwt
import orjson
import pytest
from botbuilder.schema import ConversationParameters
from hypothesis import given

from adapters.base import FaultClass
from adapters.http import MAX_RETRY_AFTER, Answer, CallFailed, parse_retry_after
from adapters.teams import faults, graph, install_faults
from adapters.teams.auth import BodyRefused, ConnectorToken, ConnectorTokens, TokenRefused
from adapters.teams.bots import TeamsBots
from adapters.teams.connector import Answered, result_of
from adapters.teams.events import read_event
from adapters.teams.inbound import _activity, _model
from adapters.teams.installs import _catalog_app
from adapters.teams.keys import KeySet, KeysUnavailable
from adapters.teams.members import _member
from adapters.teams.outbound import _id_in
from adapters.teams.service_urls import ServiceUrls
from adapters.teams.tokens import Grant, TokenUnavailable, secret_grants
from identity.answers import LookupFailed, NoPerson, Unlicensed
from identity.teams import GraphPeople
from identity.teams_questions import by_everything, by_mail, parts_of, read_users
from storage.directory import Person
from tests.integration.teams import kit
from tests.integration.teams.kit import APP_ID, BOT, ISSUER, TENANT, Cloud, FakeGate
from tests.security.canned import Canned, Reply
from tests.security.fuzzing import TAPES, Tape, bent, bent_bytes, bent_json, bent_text, fuzz, in_time, is_storable
from tests.security.test_odd_events import TEAMS_EVENTS, is_kept

NOW: Final = 1_769_200_000.0
CLOUD: Final = Cloud(url="https://smba.invalid", now=lambda: NOW)
HEADER: Final = {"alg": "RS256", "typ": "JWT", "kid": "current"}
CLAIMS: Final = {
    "iss": ISSUER,
    "aud": APP_ID,
    "nbf": 1769199000,
    "exp": 1769203600,
    "iat": 1,
    "serviceurl": CLOUD.service_url,
}
KEYS: Final = {"keys": [kit.jwk("current"), {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA", "kid": "ec"}]}
METADATA: Final = {
    "issuer": ISSUER,
    "jwks_uri": f"{CLOUD.url}/keys",
    "id_token_signing_alg_values_supported": ["RS256"],
}
ACTIVITIES: Final = [CLOUD.activity(**body, kind=body["type"]) for body in TEAMS_EVENTS.values()]
USER: Final = {
    "id": "0a000000-0000-4000-8000-000000000001",
    "displayName": "Ada",
    "mail": "ada@contoso.example",
    "userPrincipalName": "ada@contoso.example",
    "userType": "Member",
    "accountEnabled": True,
    "proxyAddresses": ["SMTP:ada@contoso.example", "smtp:a@contoso.example"],
    "otherMails": ["ada@home.example"],
    "assignedPlans": [{"service": "TeamspaceAPI", "capabilityStatus": "Enabled"}],
}
BATCH: Final = {"responses": [{"id": "0", "status": 200, "headers": {"Retry-After": "5"}, "body": {"value": [USER]}}]}
ERRORS: Final = [
    {"error": {"code": "ConversationNotFound", "message": "x"}},
    {"errorCode": 209, "message": '{"subCode": "MessageWritesBlocked", "details": "x"}'},
    {"id": "1700000000000"},
    {"id": "a:1", "activityId": "1", "serviceUrl": "https://x"},
    {"id": "29:1", "email": "ada@contoso.example", "userPrincipalName": "x", "aadObjectId": "o", "name": "Ada"},
]
GRANT: Final = [
    {"access_token": "eyJ.a.b", "expires_in": 3599},
    {"error": "invalid_client", "error_description": "AADSTS7000215: x\r\nTrace"},
]
STATUSES: Final = (200, 200, 201, 429, 500, 404, 403, 401, 400, 302, 204, 412, 999)


@pytest.fixture(name="runner", scope="module")
def _runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(name="tokens", scope="module")
def _tokens() -> ConnectorTokens:
    """A door whose keys are loaded by the first token."""
    replies = [Reply(body=orjson.dumps(METADATA)), Reply(body=orjson.dumps(KEYS))]
    keys = KeySet(Canned(replies).as_session(), f"{CLOUD.url}/openid", clock=lambda: 0.0)
    urls = ServiceUrls([CLOUD.url])
    return ConnectorTokens(keys, app_id=APP_ID, issuer=ISSUER, service_urls=urls, now=lambda: NOW)


def headers(tape: Tape) -> dict[str, str]:
    return {
        "Retry-After": bent_text("30", tape)[:100],
        "Content-Type": tape.one_of(("application/json", "text/html", "application/json; charset=utf-16", "")),
    }


def bots(*replies: Reply) -> TeamsBots:
    return kit.bots(CLOUD, Canned(replies).as_session(), now=lambda: NOW)


def is_short(fault: Any) -> bool:
    """A fault that can be stored, shown and counted."""
    return len(fault.code) <= 100 and len(fault.detail) <= 500 and is_storable([fault.code, fault.detail])


def segment(raw: bytes) -> bytes:
    return base64.urlsafe_b64encode(raw).rstrip(b"=")


class TestTokens:
    @fuzz()
    @given(TAPES)
    def test_bent_tokens(self, runner: asyncio.Runner, tokens: ConnectorTokens, raw: bytes) -> None:
        """S01: whatever stands in the header Authorization is refused, unless it is the token that was signed."""
        tape = Tape(raw)
        head, body = bent_json([HEADER], tape), bent_json([CLAIMS], tape)
        signature = CLOUD.sign(CLAIMS).encode().rpartition(b".")[2]
        token = segment(head) + b"." + segment(body) + b"." + bent_bytes(signature, tape)
        authorization = bent_bytes(b"Bearer " + token, tape).decode("utf-8", "surrogateescape")
        given_ = [authorization] * tape.one_of((1, 1, 1, 0, 2))
        with in_time():
            try:
                found = runner.run(tokens.check(given_))
            except TokenRefused:
                return
        assert found.claims == CLAIMS

    @fuzz(0.3)
    @given(TAPES)
    def test_bent_claims(self, runner: asyncio.Runner, tokens: ConnectorTokens, raw: bytes) -> None:
        """S01: claims of any type, signed by the right key, are refused unless every one of them is right."""
        tape = Tape(raw)
        claims = bent(CLAIMS, tape)
        body = json.dumps(claims).encode()
        message = segment(json.dumps(HEADER).encode()) + b"." + segment(body)
        key = jwt.get_algorithm_by_name("RS256")
        token = message + b"." + segment(key.sign(message, kit.rsa_key("current")))
        with in_time():
            try:
                found = runner.run(tokens.check([f"Bearer {token.decode()}"]))
            except TokenRefused:
                return
        assert (found.claims["iss"], found.claims["aud"].lower()) == (ISSUER, APP_ID)
        assert found.claims["exp"] > NOW - 300
        assert found.service_url == found.claims["serviceurl"]

    @fuzz(0.3)
    @given(TAPES)
    def test_key_sets(self, runner: asyncio.Runner, raw: bytes) -> None:
        """P22: metadata and key sets of any shape give keys, or KeysUnavailable; only https is ever asked."""
        tape = Tape(raw)
        session = Canned(
            [
                Reply(body=bent_json([METADATA], tape)),
                Reply(tape.one_of((200, 200, 200, 500)), body=bent_json([KEYS], tape)),
            ]
        )
        keys = KeySet(session.as_session(), f"{CLOUD.url}/openid", clock=lambda: 0.0)
        with in_time():
            try:
                found = runner.run(keys.get("current"))
            except KeysUnavailable:
                found = None
        assert all(url.startswith("https://") for url in session.asked)
        assert len(session.asked) <= 2
        assert found is None or found.public_key.key_size >= 2048


class TestActivities:
    @fuzz(0.5)
    @given(TAPES)
    def test_activities(self, raw: bytes) -> None:
        """S02: an activity is read, with ids that can be kept, or refused by one of two errors."""
        tape = Tape(raw)
        tokens = ConnectorTokens(
            KeySet(Canned().as_session(), "https://x"),
            app_id=APP_ID,
            issuer=ISSUER,
            service_urls=ServiceUrls([CLOUD.url]),
        )
        with in_time():
            try:
                body = _activity(bent_json(ACTIVITIES, tape))
                tokens.check_activity(ConnectorToken(CLAIMS, CLOUD.service_url), body)
                event = read_event(body, {"x-ms-tenant-id": bent_text(TENANT, tape)}, NOW)
                _model(body)
            except (BodyRefused, TokenRefused):
                return
        assert is_kept(event.conversation_id, 1024)
        assert is_kept(event.message_id, 255)
        assert is_kept(event.key, 64)
        assert is_kept(event.tenant, 64)
        assert len(event.kind) <= 64
        assert event.at <= NOW

    @fuzz(0.5)
    @given(TAPES)
    def test_service_urls(self, raw: bytes) -> None:
        """S02: what is permitted begins with an entry of the list, followed by nothing or by a slash."""
        tape = Tape(raw)
        urls = ServiceUrls(["https://smba.trafficmanager.net", "https://proxy.example/teams"])
        url = bent_text(tape.one_of(("https://smba.trafficmanager.net/emea/", "https://proxy.example/teams/x/")), tape)
        with in_time():
            permitted = urls.permits(url)
        if permitted:
            lowered = url.lower()
            assert lowered.isascii()
            assert url.startswith("https://")
            assert any(
                f"{lowered}/".startswith(entry)
                for entry in ("https://smba.trafficmanager.net/", "https://proxy.example/teams/")
            )
            assert not set(lowered) & set("\\@#?% \t\r\n")
            assert "/../" not in f"{lowered}/"


class TestAnswers:
    @fuzz(0.5)
    @given(TAPES)
    def test_faults(self, raw: bytes) -> None:
        """P13–P15: every answer of the connector, or of Graph to an install, is a fault with short words."""
        tape = Tape(raw)
        answer = Answer(tape.one_of(STATUSES), headers(tape), bent_json(ERRORS, tape), whole=bool(tape.below(8)))
        with in_time():
            fault = faults.classify(answer.status, answer.headers, answer.body)
            other = install_faults.classify(answer)
            message, member = _id_in(answer), _member(answer.body)
        assert isinstance(fault.klass, FaultClass)
        assert is_short(fault)
        assert is_short(other)
        assert is_kept(message, 255)
        assert member is None or isinstance(member["id"], str)

    @fuzz(0.1)
    @given(TAPES)
    def test_connector(self, runner: asyncio.Runner, raw: bytes) -> None:
        """P13: botbuilder's client comes to a result, or to one of three errors; nothing of msrest's gets out."""
        tape = Tape(raw)
        reply = Reply(tape.one_of(STATUSES), headers(tape), bent_json(ERRORS, tape))
        pool = bots(Reply(body=orjson.dumps(GRANT[0])), reply).get(BOT).pool

        async def call() -> object:
            client = await pool.create(CLOUD.service_url, ISSUER)
            if tape.below(2):
                return await result_of(client.conversations.create_conversation(ConversationParameters(is_group=False)))
            return await result_of(client.conversations.get_conversation_member("a:1", "29:1", raw=True))

        with in_time():
            try:
                runner.run(call())
            except (Answered, CallFailed, TokenUnavailable):
                return

    @fuzz()
    @given(TAPES)
    def test_entra(self, runner: asyncio.Runner, raw: bytes) -> None:
        """P20: Entra's answer is a token that may stand in a header, or TokenUnavailable with short words."""
        tape = Tape(raw)
        session = Canned([Reply(tape.one_of((200, 200, 400, 401, 500)), {}, bent_json(GRANT, tape))])
        ask = secret_grants(session.as_session(), f"{CLOUD.url}/token", "app", "secret", "https://aud")

        async def asked() -> Grant:
            return await ask()

        with in_time():
            try:
                found = runner.run(asked())
            except TokenUnavailable as unavailable:
                error = unavailable
            else:
                assert isinstance(found, Grant)
                assert found.token
                assert found.token.isascii()
                assert found.token.isprintable()
                assert found.expires_in < float("inf")
                return
        assert is_short(error.fault)
        assert len(str(error)) <= 100

    @fuzz(0.2)
    @given(TAPES)
    def test_graph(self, runner: asyncio.Runner, raw: bytes) -> None:
        """P13: whatever Graph answers to a batch, each address is answered once, in words that can be kept."""
        tape = Tape(raw)
        wanted = ["ada@contoso.example", "bob@contoso.example"]
        replies = [Reply(tape.one_of(STATUSES), headers(tape), bent_json([BATCH], tape)) for _ in range(3)]
        people = GraphPeople(bots(Reply(body=orjson.dumps(GRANT[0])), *replies), now=lambda: NOW)
        answers: dict[str, Any] = {}

        async def find() -> None:
            async for found in people.find(BOT, TENANT, wanted, FakeGate()):
                assert not set(found) & set(answers)
                answers.update(found)

        with in_time():
            runner.run(find())
        assert set(answers) == set(wanted)
        for answer in answers.values():
            assert isinstance(answer, Person | NoPerson | LookupFailed | Unlicensed)
            if isinstance(answer, LookupFailed):
                assert is_short(answer.fault)
            if isinstance(answer, Person):
                assert is_kept(answer.user_id, 255)
                assert all(is_kept(each, 320) for each in answer.emails)

    @fuzz(0.5)
    @given(TAPES)
    def test_parts(self, raw: bytes) -> None:
        """The parts of a batch and the people in one are read whatever they are; so is a list of apps."""
        tape = Tape(raw)
        found = graph.found(Answer(200, {}, bent_json([BATCH], tape)))
        with in_time():
            parts = parts_of(found)
            question = tape.one_of([*by_everything(["ada@contoso.example"]), *by_mail(["ada@contoso.example"])])
            result = read_users(question, bent({"value": [USER]}, tape))
            app = _catalog_app(bent([{"id": "a", "distributionMethod": "organization"}, {"id": "b"}], tape))
        assert parts is None or all(isinstance(name, str) for name in parts)
        assert set(result.answers) <= set(question.addresses)
        assert app is None or is_kept(app.id, 255)


class TestFound:
    """Defects found by the tests above, each by name."""

    @pytest.mark.parametrize("said", ["a\0b", "x" * 5000], ids=["nul", "long"])
    async def test_entra(self, said: str) -> None:
        """P20: Entra's word for a refusal is short and can be stored, whatever it is."""
        session = Canned([Reply(400, {}, orjson.dumps({"error": said, "error_description": said}))])
        with pytest.raises(TokenUnavailable) as unavailable:
            await secret_grants(session.as_session(), "https://x.invalid", "app", "secret", "https://aud")()

        assert is_short(unavailable.value.fault)
        assert len(str(unavailable.value)) <= 100

    @pytest.mark.parametrize("said", ["a\0b", "x" * 5000], ids=["nul", "long"])
    def test_connector_and_graph(self, said: str) -> None:
        """P15: a code in a refusal of the connector or of Graph can be stored."""
        body = orjson.dumps({"error": {"code": said, "message": said}})

        assert is_short(faults.classify(401, {}, body))
        assert is_short(install_faults.classify(Answer(401, {}, body)))

    @pytest.mark.parametrize("status", [200, 401, 404, 500])
    async def test_an_answer_without_a_bottom(self, status: int) -> None:
        """P13: msrest's own reader runs out of stack in such a body; it is an answer that nobody can read."""
        deep = Reply(status, {"Content-Type": "application/json"}, b"[" * 20_000)
        client = await bots(Reply(body=orjson.dumps(GRANT[0])), deep).get(BOT).pool.create(CLOUD.service_url, ISSUER)
        with pytest.raises(Answered):
            await result_of(client.conversations.create_conversation(ConversationParameters(is_group=False)))

    async def test_an_empty_token(self) -> None:
        """A token of no characters is none."""
        session = Canned([Reply(200, {}, b'{"access_token":"","expires_in":3599}')])
        with pytest.raises(TokenUnavailable):
            await secret_grants(session.as_session(), "https://x.invalid", "app", "secret", "https://aud")()

    async def test_a_status_that_is_no_number(self) -> None:
        """The status of a part of a batch is not taken over as a code unless it is a number."""
        body = orjson.dumps({"responses": [{"id": "0", "status": "x" * 5000}]})
        people = GraphPeople(bots(Reply(body=orjson.dumps(GRANT[0])), Reply(200, {}, body)), now=lambda: NOW)
        found = [each async for each in people.find(BOT, TENANT, ["ada@contoso.example"], FakeGate())]

        [answer] = found[0].values()
        assert isinstance(answer, LookupFailed)
        assert is_short(answer.fault)


class TestPauses:
    @fuzz(0.5)
    @given(TAPES)
    def test_retry_after(self, raw: bytes) -> None:
        """P01–P04: every `Retry-After` is a bounded number of seconds, or none."""
        tape = Tape(raw)
        said = bent_text(
            tape.one_of(("120", "1.5", "Fri, 31 Dec 1999 23:59:59 GMT", "Friday, 31-Dec-99 23:59:59 GMT")), tape
        )
        with in_time():
            found = parse_retry_after(said, datetime.fromtimestamp(NOW, UTC))
        assert found is None or 0 <= found <= MAX_RETRY_AFTER
