"""C-62 … C-75: who may call, over HTTP. The matrix of hostile tokens is in tests/security/test_caller_jwt.py."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from notify.ids import new_id
from tests.contract import samples
from tests.contract.face import ADMIN_SECRET, BOT, UNKNOWN_BOT, Face, token

CREDENTIALS = (401, 4002, "Invalid SDK credentials")
NO_TOKEN = (401, 4002, "Invalid JWT token")


class TestHeader:
    async def test_c62_absent(self, face: Face) -> None:
        """C-62: no `auth` header, an empty one, or a bearer token instead of it is refused."""
        answers = [
            await face.send(auth=None),
            await face.send(auth=" "),
            await face.send(auth=None, Authorization=f"Bearer {token()}"),
        ]

        assert [answer.refusal for answer in answers] == [CREDENTIALS] * 3

    async def test_c62_twice(self, face: Face) -> None:
        """C-62: two tokens are no token."""
        headers = [("auth", token()), ("auth", token()), ("Content-Type", "application/json")]

        answer = await face.call("POST", f"/api/public/bot/{BOT}/notify", headers=headers, data=samples.TEXT)

        assert answer.refusal == CREDENTIALS

    @pytest.mark.parametrize("given", ["abc", "a.b", "a.b.c", "a.b.c.d.e", "..", "{}.{}.{}"])
    async def test_c63_no_token(self, face: Face, given: str) -> None:
        """C-63: what is no JWT is told so."""
        assert (await face.send(auth=given)).refusal == NO_TOKEN

    async def test_c64_signature(self, face: Face) -> None:
        """C-64: a bad signature and trailing junk are refused."""
        good = token()

        answers = [
            await face.send(auth=token(key="another secret of a backend, also long enough to be used here")),
            await face.send(auth=good + "x"),
            await face.send(auth=good + "!"),
            await face.send(auth=good + "="),
            await face.send(auth=good.rsplit(".", 1)[0] + "."),
        ]

        assert [answer.refusal for answer in answers] == [CREDENTIALS] * 5

    async def test_order(self, face: Face) -> None:
        """The caller is checked before the body: a stranger learns nothing about bodies."""
        answer = await face.send(raw=b"{", auth="abc")

        assert answer.refusal == NO_TOKEN


class TestClaims:
    @pytest.mark.parametrize(
        "claims",
        [
            lambda now: {"sub": "1234567890", "appId": "cs-payroll"},
            lambda now: {"appId": "cs-payroll", "exp": now + 60.123},
            lambda now: {"iss": "cs-payroll", "sub": "x", "aud": "https://idproxy.example", "isAnonymous": False},
            lambda now: {"kore_iss": "cs-payroll", "kore_sub": "x", "iat": int(now)},
        ],
        ids=["documentation", "botkit", "sdk", "kore-names"],
    )
    async def test_documented_shapes(self, face: Face, claims: Callable[[float], dict[str, Any]]) -> None:
        """C-65, C-66, C-67, C-72: every token shape that Kore's clients send is accepted."""
        assert (await face.send(auth=token(claims(time.time())))).status == 200

    async def test_c69_long_lived_jti(self, face: Face) -> None:
        """C-69: a `jti` without `exp`, or with one beyond an hour, gets Kore's exact text."""
        text = 'error verifying the jwt: if "jti" claim "exp" must be <= 1 hour(s)'

        for claims in ({"jti": "1"}, {"jti": "1", "exp": time.time() + 3700}, {"kore_jti": "1"}):
            answer = await face.send(auth=token({"appId": "cs-payroll", **claims}))

            assert answer.refusal == (401, 401, text)

    async def test_c70_replay(self, face: Face) -> None:
        """C-70: a token with `jti` is good for one call, whichever route it is."""
        once = token({"appId": "cs-payroll", "jti": "only once", "exp": time.time() + 60})

        first, second, third = (
            await face.send(auth=once),
            await face.send(auth=once),
            await face.status(new_id("ds"), auth=once),
        )

        assert first.status == 200
        assert second.refusal == (401, 401, "error verifying the jwt: possibly a replay")
        assert third.refusal == second.refusal

    async def test_c73_expired(self, face: Face) -> None:
        """C-73: a token past its end is refused beyond the leeway of a minute."""
        within, beyond = [
            await face.send(auth=token({"appId": "cs-payroll", "exp": time.time() - late})) for late in (50, 70)
        ]

        assert within.status == 200
        assert beyond.refusal == CREDENTIALS


class TestRights:
    async def test_c74_scope(self, face: Face) -> None:
        """C-74: a client without the scope is told so, on both routes."""
        reader = token(client="cs-reader")

        sent, asked = await face.send(auth=reader), await face.status(new_id("ds"), auth=reader)

        expected = (401, 4002, "Permission denied. Scope is incorrect!")
        assert [sent.refusal, asked.refusal] == [expected, expected]

    async def test_c75_unknown_bot(self, face: Face) -> None:
        """C-75: a bot's client learns nothing about other bots; a client of all bots is told that there is none."""
        admin = token(client="cs-admin", key=ADMIN_SECRET)

        scoped = await face.send(bot=UNKNOWN_BOT)
        admins = await face.send(bot=UNKNOWN_BOT, auth=admin)
        known = await face.send(bot=BOT, auth=admin)

        assert scoped.refusal == CREDENTIALS
        assert admins.refusal == (400, 400, "Invalid StreamId")
        assert known.status == 200
