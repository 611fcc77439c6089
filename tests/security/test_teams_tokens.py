"""S01, Teams column, and S03: who may post an activity. Real RSA keys, a real route, a real key endpoint."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt
import pytest
from aiohttp import ClientSession, web
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from adapters.teams.inbound import TeamsInbound
from storage.engine import Database
from storage.migrate import migrate
from tests.integration.teams import kit
from tests.integration.teams.kit import APP_ID, BOT, ISSUER, OTHER_TENANT, TENANT, Clock, Cloud

NOW = 1_769_130_123.0


@dataclass
class Door:
    """The route of one bot, its cloud, and the clocks."""

    cloud: Cloud
    url: str
    session: ClientSession
    monotonic: Clock
    wall: Clock

    async def post(
        self,
        token: str | None,
        activity: Any = None,
        *,
        headers: dict[str, str] | None = None,
        content_type: str = "application/json",
        raw: bytes | None = None,
    ) -> int:
        """The status of one call."""
        sent = {"Content-Type": content_type} | (headers or {})
        if token is not None:
            sent["Authorization"] = f"Bearer {token}"
        body = raw if raw is not None else json.dumps(activity or self.cloud.activity("typing")).encode()
        async with self.session.post(self.url, data=body, headers=sent) as answer:
            return answer.status


@asynccontextmanager
async def opened(path: Path, **changes: Any) -> AsyncIterator[Door]:
    """A route on a real server, with a database of its own."""
    database = Database.open(f"sqlite:///{path / 'herald.db'}")
    await migrate(database)
    monotonic, wall = Clock(), Clock(NOW)

    async def ignore(*_: object) -> None:
        """No evidence is expected."""

    async with kit.cloud() as cloud, kit.shared_session() as session:
        cloud.now = wall
        bots = kit.bots(cloud, session, kit.app(**changes), clock=monotonic, now=wall)
        inbound = TeamsInbound(bots, database, evidence=ignore, wake=lambda _lane: None, now=wall)
        app = web.Application()
        app.router.add_post("/teams/messages", inbound.handler(BOT))
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}/teams/messages"
        try:
            yield Door(cloud, url, session, monotonic, wall)
        finally:
            await runner.cleanup()
            await database.close()


@pytest.fixture(name="door")
async def _door(tmp_path: Path) -> AsyncIterator[Door]:
    async with opened(tmp_path) as door:
        yield door


def segment(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def claims(door: Door, **changes: Any) -> dict[str, Any]:
    base = {"iss": ISSUER, "aud": APP_ID, "exp": int(NOW) + 3600, "serviceurl": door.cloud.service_url}
    return base | changes


def unsigned(door: Door, algorithm: str) -> str:
    return f"{segment({'alg': algorithm, 'typ': 'JWT', 'kid': 'current'})}.{segment(claims(door))}."


def with_public_key_as_secret(door: Door, algorithm: str) -> str:
    secret = kit.rsa_key("current").public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    message = f"{segment({'alg': algorithm, 'typ': 'JWT', 'kid': 'current'})}.{segment(claims(door))}"
    signature = hmac.new(secret, message.encode(), hashlib.sha256).digest()
    return f"{message}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


class TestGood:
    async def test_valid(self, door: Door) -> None:
        """S01: the connector's own token opens the door."""
        assert await door.post(door.cloud.sign()) == 200

    @pytest.mark.parametrize(
        "changes",
        [
            {"exp": NOW + 100.5},
            {"exp": int(NOW) - 299},
            {"nbf": int(NOW) + 299},
            {"iat": int(NOW) + 299},
            {"aud": APP_ID.upper()},
            {"extra": {"anything": 1}},
        ],
        ids=["float-exp", "exp-in-leeway", "nbf-in-leeway", "iat-in-leeway", "aud-case", "extra-claim"],
    )
    async def test_within_the_rules(self, door: Door, changes: dict[str, Any]) -> None:
        """S01: fractions, five minutes of skew and further claims are accepted."""
        assert await door.post(door.cloud.sign(changes)) == 200

    @pytest.mark.parametrize("name", ["jku", "x5u", "jwk", "x5c"])
    async def test_key_headers_are_ignored(self, door: Door, name: str) -> None:
        """S01: a key or an address in the header is never used, and nothing is fetched for it."""
        forged = kit.jwk("forged") if name == "jwk" else f"{door.cloud.url}/attacker"

        assert await door.post(door.cloud.sign(header={name: forged})) == 200
        assert await door.post(door.cloud.sign(header={name: forged, "kid": "current"}, key="forged")) == 401
        assert door.cloud.count("/attacker") == 0


class TestRefusedTokens:
    @pytest.mark.parametrize(
        "authorization", [None, "", "Bearer", "Bearer ", "Basic YTpi", "bearer a.b", "Token x.y.z"]
    )
    async def test_no_bearer_token(self, door: Door, authorization: str | None) -> None:
        """S01: an absent, empty or different Authorization is refused."""
        headers = {} if authorization is None else {"Authorization": authorization}

        assert await door.post(None, headers=headers) == 401
        assert door.cloud.count("/keys") == 0

    @pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "nOnE", ""])
    async def test_unsigned(self, door: Door, algorithm: str) -> None:
        """S01: `alg` none, in any spelling."""
        assert await door.post(unsigned(door, algorithm)) == 401

    @pytest.mark.parametrize("algorithm", ["HS256", "RS256", "RS512", "ES256", "PS256"])
    async def test_public_key_as_secret(self, door: Door, algorithm: str) -> None:
        """S01: an HMAC with the public key as its secret, whatever algorithm is claimed."""
        assert await door.post(with_public_key_as_secret(door, algorithm)) == 401

    @pytest.mark.parametrize("algorithm", ["RS384", "RS512", "PS256"])
    async def test_other_algorithms(self, door: Door, algorithm: str) -> None:
        """S01: the right key with another algorithm."""
        token = jwt.encode(claims(door), kit.rsa_key("current"), algorithm=algorithm, headers={"kid": "current"})

        assert await door.post(token) == 401

    @pytest.mark.parametrize(
        "spoil",
        [
            lambda token: token.rpartition(".")[0] + ".",
            lambda token: token + "AAAA",
            lambda token: token + "." + token.rpartition(".")[2],
            lambda token: token + " x",
            lambda token: token[:-6] + ("AAAAAA" if token[-6:] != "AAAAAA" else "BBBBBB"),
            lambda token: "A" * 8193,
            lambda token: "a.b.c",
            lambda token: "..",
            lambda token: "é.é.é".encode().decode("latin-1"),
        ],
        ids=["empty", "junk", "two", "blank", "flipped", "oversized", "garbage", "dots", "non-ascii"],
    )
    async def test_spoiled(self, door: Door, spoil: Any) -> None:
        """S01: empty and wrong signatures, junk, two signatures, sizes."""
        assert await door.post(spoil(door.cloud.sign())) in (400, 401)
        assert await door.post(door.cloud.sign()) == 200

    @pytest.mark.parametrize(
        "changes",
        [
            {"exp": int(NOW) - 301},
            {"exp": "9999999999"},
            {"exp": True},
            {"exp": 10**400},
            {"nbf": int(NOW) + 302},
            {"iat": int(NOW) + 302},
            {"aud": "a9900000-0000-4000-8000-00000000000b"},
            {"aud": [APP_ID]},
            {"aud": [APP_ID, "other"]},
            {"iss": "https://api.botframework.us"},
            {"iss": f"https://sts.windows.net/{TENANT}/"},
            {"iss": "https://api.botframework.com/"},
            {"serviceurl": "https://smba.trafficmanager.net/emea/"},
            {"serviceurl": ""},
            {"serviceurl": 5},
        ],
        ids=lambda changes: next(iter(changes)),
    )
    async def test_wrong_claims(self, door: Door, changes: dict[str, Any]) -> None:
        """S01, S02: a claim that is wrong, of the wrong type, or for somebody else."""
        assert await door.post(door.cloud.sign(changes)) == 401

    @pytest.mark.parametrize("name", ["exp", "iss", "aud", "serviceurl"])
    async def test_missing_claims(self, door: Door, name: str) -> None:
        """S01: every one of these claims must be there."""
        assert await door.post(door.cloud.sign(without=(name,))) == 401

    @pytest.mark.parametrize("kid", ["../../etc/passwd", "' OR 1=1 --", "http://evil.test/key", "x" * 300, ""])
    async def test_hostile_key_ids(self, door: Door, kid: str) -> None:
        """S01: a key id is compared, never used as a name."""
        assert await door.post(door.cloud.sign(header={"kid": kid})) == 401

    async def test_no_key_id(self, door: Door) -> None:
        """S01: a token without a key id is refused."""
        token = jwt.encode(claims(door), kit.rsa_key("current"), algorithm="RS256")

        assert await door.post(token) == 401

    async def test_numeric_key_id(self, door: Door) -> None:
        """S01: a key id that is no string is refused."""
        message = f"{segment({'alg': 'RS256', 'kid': 7})}.{segment(claims(door))}.AAAA"

        assert await door.post(message) == 401

    @pytest.mark.parametrize("header", [{"crit": ["exp"], "exp": 1}, {"crit": ["b64"], "b64": True}, {"crit": []}])
    async def test_critical_headers(self, door: Door, header: dict[str, Any]) -> None:
        """S01: what the header calls critical and we do not know is refused."""
        message = f"{segment({'alg': 'RS256', 'kid': 'current'} | header)}.{segment(claims(door))}"
        key = kit.rsa_key("current")
        signature = jwt.algorithms.RSAAlgorithm(jwt.algorithms.RSAAlgorithm.SHA256).sign(message.encode(), key)

        assert await door.post(f"{message}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}") == 401

    async def test_two_authorizations(self, door: Door) -> None:
        """S01: two Authorization headers are refused, even if one is good."""
        pairs = [("Authorization", f"Bearer {door.cloud.sign()}"), ("Authorization", "Bearer x.y.z")]
        headers = [*pairs, ("Content-Type", "application/json")]
        async with door.session.post(door.url, data=b"{}", headers=headers) as answer:
            assert answer.status == 401

    async def test_emulator_token(self, door: Door) -> None:
        """S01: a token that names an emulator's issuer is refused without any download."""
        token = door.cloud.sign({"iss": "https://sts.windows.net/d6d49420-f39b-4df7-a1dc-d59a935871db/", "ver": "1.0"})

        assert await door.post(token) == 401
        assert door.cloud.asked == []


class TestTenants:
    async def test_sister_tenant(self, door: Door) -> None:
        """S01: a single-tenant app refuses a good token with another tenant's activity."""
        activity = door.cloud.activity("message", channelData={"tenant": {"id": OTHER_TENANT}})

        assert await door.post(door.cloud.sign(), activity) == 401

    async def test_many_tenants(self, tmp_path: Path) -> None:
        """A multi-tenant app hears every tenant."""
        async with opened(tmp_path, app_type="MultiTenant", tenant_id=None) as door:
            activity = door.cloud.activity("message", channelData={"tenant": {"id": OTHER_TENANT}})

            assert await door.post(door.cloud.sign(), activity) == 200

    @pytest.mark.parametrize("changes", [{"app_id": ""}, {"password": None}, {"tenant_id": None}])
    def test_no_credentials_no_start(self, changes: dict[str, Any]) -> None:
        """S01: without app id, credentials or tenant the app cannot be built."""
        with pytest.raises(ValueError, match=r"app_id|password|tenant_id"):
            kit.app(**changes)


class TestKeys:
    async def test_unendorsed_key(self, door: Door) -> None:
        """S03: a key that is not endorsed for Teams signs for other channels only."""
        door.cloud.keys = [kit.jwk("current", endorsements=["webchat", "skype"])]

        assert await door.post(door.cloud.sign()) == 401

    async def test_key_without_endorsements(self, door: Door) -> None:
        """S03: a key that lists no channel at all is refused."""
        door.cloud.keys = [kit.jwk("current", endorsements=[])]

        assert await door.post(door.cloud.sign()) == 401

    async def test_weak_and_foreign_keys(self, door: Door) -> None:
        """Short RSA keys, other key types and keys for encryption are not in the set."""
        door.cloud.keys = [
            kit.jwk("weak"),
            {"kty": "oct", "k": "c2VjcmV0", "kid": "oct"},
            kit.jwk("enc") | {"use": "enc"},
            {"kty": "RSA", "kid": "broken", "n": "!", "e": "!"},
            kit.jwk("current"),
        ]

        assert await door.post(door.cloud.sign()) == 200
        for name in ("weak", "enc", "broken", "oct"):
            assert await door.post(door.cloud.sign(header={"kid": name}, key="enc")) == 401

    async def test_roll_over(self, door: Door) -> None:
        """P22: a new key costs one refresh; made-up key ids cost no more than one in five minutes."""
        assert await door.post(door.cloud.sign()) == 200
        door.cloud.keys = [kit.jwk("next")]
        door.monotonic.at += 301

        assert await door.post(door.cloud.sign(key="next")) == 200
        for number in range(20):
            assert await door.post(door.cloud.sign(header={"kid": f"made-up-{number}"})) == 401
        assert door.cloud.count("/v1/.well-known/keys") == 2

    async def test_roll_over_soon_after_the_start(self, door: Door) -> None:
        """P22: a set that is rolled right after it was loaded by age costs no genuine event."""
        assert await door.post(door.cloud.sign()) == 200
        door.cloud.keys = [kit.jwk("next")]
        door.monotonic.at += 6

        assert await door.post(door.cloud.sign(key="next")) == 200

    async def test_one_refresh_for_many(self, door: Door) -> None:
        """P22: a hundred calls at once share one download."""
        token = door.cloud.sign()

        assert await asyncio.gather(*(door.post(token) for _ in range(100))) == [200] * 100
        assert door.cloud.count("/v1/.well-known/keys") == 1

    async def test_endpoint_down(self, door: Door) -> None:
        """P22: while the endpoint is down the keys we have go on working, for more than a day; unknown ones do not."""
        assert await door.post(door.cloud.sign()) == 200

        async def down(_request: web.Request) -> web.StreamResponse:
            return web.Response(status=503)

        door.cloud.openid = down
        door.monotonic.at += 25 * 3600

        assert await door.post(door.cloud.sign()) == 200
        assert await door.post(door.cloud.sign(key="next")) == 401

    async def test_endpoint_down_from_the_start(self, door: Door) -> None:
        """Before any key was loaded nobody can be checked: 503, so that Teams comes again; then it recovers."""

        async def down(_request: web.Request) -> web.StreamResponse:
            return web.Response(status=200, text="<html>")

        door.cloud.openid = down
        assert await door.post(door.cloud.sign()) == 503
        door.cloud.openid = None
        assert await door.post(door.cloud.sign()) == 503
        door.monotonic.at += 6

        assert await door.post(door.cloud.sign()) == 200

    async def test_daily_refresh(self, door: Door) -> None:
        """Keys are asked for again after 24 hours of the monotonic clock."""
        await door.post(door.cloud.sign())
        door.monotonic.at += 24 * 3600 + 1
        await door.post(door.cloud.sign())

        assert door.cloud.count("/v1/.well-known/keys") == 2

    async def test_plain_http_keys(self, door: Door) -> None:
        """Without the dangerous option a key set is only fetched over https."""

        async def elsewhere(_request: web.Request) -> web.StreamResponse:
            return web.json_response({"issuer": ISSUER, "jwks_uri": "file:///etc/passwd"})

        door.cloud.openid = elsewhere

        assert await door.post(door.cloud.sign()) == 503


class TestBodies:
    async def test_service_urls(self, door: Door) -> None:
        """S02: the body's service URL must be the claim's, on the list, and there."""
        foreign = "https://smba.trafficmanager.net.evil.test/"
        token = door.cloud.sign()

        assert await door.post(token, door.cloud.activity("message", serviceUrl=f"{door.cloud.url}/amer/")) == 401
        assert (
            await door.post(
                door.cloud.sign({"serviceurl": foreign}), door.cloud.activity("message", serviceUrl=foreign)
            )
            == 400
        )
        assert await door.post(token, door.cloud.activity("message", serviceUrl=None)) == 400

    @pytest.mark.parametrize(
        ("raw", "status"),
        [
            (b"", 400),
            (b"not json", 400),
            (b"[]", 400),
            (b'"text"', 400),
            (b"[" * 100_000, 400),
            (b'{"a":' * 3000 + b"1" + b"}" * 3000, 400),
            (b'{"type":"\xff"}', 400),
        ],
        ids=["empty", "text", "list", "string", "deep-list", "deep-object", "utf8"],
    )
    async def test_no_activity(self, door: Door, raw: bytes, status: int) -> None:
        """A body that is no activity is refused as such, never with a 500."""
        assert await door.post(door.cloud.sign(), raw=raw) == status

    async def test_large(self, door: Door) -> None:
        """More than a megabyte is not read."""
        large = {"Authorization": f"Bearer {door.cloud.sign()}", "Content-Type": "application/json"}
        async with door.session.post(door.url, data=io.BytesIO(b" " * (1024 * 1024 + 1)), headers=large) as answer:
            assert answer.status == 413

    @pytest.mark.parametrize(
        "changes",
        [
            {"channelId": "webchat"},
            {"channelId": None},
            {"channelId": ["msteams"]},
            {"type": None},
            {"type": 5},
            {"from": "text"},
            {"timestamp": "yesterday"},
            {"membersAdded": 5},
            {"conversation": "a:1"},
        ],
        ids=str,
    )
    async def test_malformed_activities(self, door: Door, changes: dict[str, Any]) -> None:
        """Another channel, no type, or parts of the wrong kind: 400."""
        assert await door.post(door.cloud.sign(), door.cloud.activity("message", **changes)) == 400

    async def test_media_types(self, door: Door) -> None:
        """Only uncompressed JSON is read; its charset may be named."""
        token = door.cloud.sign()

        assert await door.post(token, content_type="text/plain") == 415
        assert await door.post(token, headers={"Content-Encoding": "gzip"}, raw=b"\x1f\x8b") == 415
        assert await door.post(token, content_type="application/json; charset=utf-8") == 200

    async def test_strangers_learn_nothing(self, door: Door) -> None:
        """Without a good token every body gets the same 401."""
        for raw in (b"", b"[]", b"{}", b" " * 1_000_000):
            assert await door.post("a.b.c", raw=raw) == 401
