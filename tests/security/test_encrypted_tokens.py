"""S01, encrypted tokens: every way to make five parts that are not to be opened, against real keys."""

from __future__ import annotations

import base64
import json
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from joserfc.jwe import JWERegistry, encrypt_compact
from joserfc.jwk import OctKey, RSAKey

from adapters.base import BotId
from notify.auth import MAX_TOKEN, PROACTIVE_SCOPE, Client, Door, Key, Refused
from notify.jwe import ENCRYPTIONS, DecryptionKey, Opener, encrypt

NOW = 1_800_000_000.0
BOT = BotId("st-00000000-0000-5000-8000-000000000001")
SECRET = "a shared secret of sixty-four bytes, which is enough for HS512!!"
CLIENT = Client("cs-hs", "HS256", (Key(SECRET),), frozenset({PROACTIVE_SCOPE}), frozenset({BOT}))
NOT_A_JWT = (401, 4002, "Invalid JWT token", "encryption")
ANYTHING = JWERegistry(
    algorithms=["RSA-OAEP", "RSA-OAEP-256", "RSA1_5", "dir", "A128GCM", "A256GCM", "A192GCM", "A128CBC-HS256", "DEF"],
    strict_check_header=False,
)


def pem() -> str:
    key = rsa.generate_private_key(65537, 2048)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


OLD, NEW, FOREIGN = DecryptionKey("k-old", pem()), DecryptionKey("k-new", pem()), DecryptionKey("k-new", pem())
OPENER = Opener([NEW, OLD])
KEYS = {each: RSAKey.import_key(each.private_key) for each in (OLD, NEW, FOREIGN)}


class Seen:
    def __init__(self) -> None:
        self.uses: set[tuple[str, str]] = set()

    async def first_use(self, client_id: str, jti: str, until: float) -> bool:
        new = (client_id, jti) not in self.uses
        self.uses.add((client_id, jti))
        return new


def door(opener: Opener = OPENER) -> Door:
    return Door([CLIENT], {BOT}, Seen(), clock=lambda: NOW, opener=opener)


def signed(claims: Mapping[str, Any] | None = None, secret: str = SECRET) -> str:
    return jwt.encode({"appId": "cs-hs"} | dict(claims or {}), secret, "HS256")


def sealed(inside: str = "", key: DecryptionKey = NEW, **header: Any) -> str:
    """Encrypted by whatever the header says; None takes a member out."""
    whole = {"alg": "RSA-OAEP", "enc": "A256GCM", "kid": key.kid} | header
    given = {name: value for name, value in whole.items() if value is not None}
    secret = OctKey.generate_key(256) if given.get("alg") == "dir" else KEYS[key]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # joserfc warns of RSA1_5, which is the point
        return encrypt_compact(given, inside or signed(), secret, registry=ANYTHING)


def with_header(token: str, header: Mapping[str, Any]) -> str:
    """The same four parts under another header."""
    first = base64.urlsafe_b64encode(json.dumps(header).encode()).rstrip(b"=").decode()
    return ".".join([first, *token.split(".")[1:]])


def relabelled(**header: Any) -> str:
    """A good token under a header that nobody authenticated."""
    return with_header(sealed(), {"alg": "RSA-OAEP", "enc": "A256GCM", "kid": "k-new"} | header)


def bent(token: str, part: int) -> str:
    """One bit of one part changed."""
    parts = token.split(".")
    raw = bytearray(base64.urlsafe_b64decode(parts[part] + "=="))
    raw[0] ^= 1
    parts[part] = base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
    return ".".join(parts)


async def refusal(token: str) -> tuple[int, int, str, str]:
    with pytest.raises(Refused) as caught:
        await door().admit([token], BOT)
    answer = caught.value.answer
    assert answer.headers == {}
    assert len(answer.messages) == 1
    return answer.status, answer.code, answer.messages[0], caught.value.reason


class TestOpened:
    @pytest.mark.parametrize("enc", ENCRYPTIONS)
    @pytest.mark.parametrize("key", [NEW, OLD], ids=["new", "old"])
    async def test_documented(self, enc: str, key: DecryptionKey) -> None:
        """Each documented encryption opens with each configured key, from whichever address."""
        token = sealed(key=key, enc=enc)

        assert (await door().admit([token], BOT)).client_id == "cs-hs"
        assert (await door().admit([f" {token} "], BOT, suspect=True)).client_id == "cs-hs"

    async def test_our_own(self) -> None:
        """What `encrypt` makes opens."""
        assert (await door().admit([encrypt(signed(), NEW)], BOT)).client_id == "cs-hs"

    async def test_judged(self) -> None:
        """S01: a bad signature, an end in the past and a replay inside are what they are outside."""
        entrance, once = door(), sealed(signed({"jti": "1", "exp": NOW + 60}))
        await entrance.admit([once], BOT)
        reasons = []
        for token in (sealed(signed(secret=SECRET[::-1])), sealed(signed({"exp": NOW - 61})), once):
            with pytest.raises(Refused) as caught:
                await entrance.admit([token], BOT)
            reasons.append(caught.value.reason)

        assert reasons == ["signature", "expired", "replay"]

    async def test_headers_that_name_keys(self) -> None:
        """S01: headers that name keys are ignored: they neither help nor harm."""
        own = KEYS[FOREIGN].as_dict(private=False)
        for header in ({"jku": "https://evil.test/keys"}, {"x5u": "https://evil.test/cert"}, {"jwk": own}, {"x": 1}):
            assert (await door().admit([sealed(**header)], BOT)).client_id == "cs-hs"
            assert await refusal(sealed(key=FOREIGN, **header)) == NOT_A_JWT


class TestRefused:
    @pytest.mark.parametrize(
        "token",
        [
            pytest.param(lambda: sealed(alg="RSA1_5"), id="S01-jwe-rsa1_5"),
            pytest.param(lambda: sealed(alg="RSA-OAEP-256"), id="S01-jwe-other-alg"),
            pytest.param(lambda: sealed(alg="dir"), id="S01-jwe-dir"),
            pytest.param(lambda: relabelled(alg="none"), id="S01-jwe-none"),
            pytest.param(lambda: relabelled(alg=["RSA-OAEP"]), id="S01-jwe-alg-list"),
            pytest.param(lambda: sealed(enc="A192GCM"), id="S01-jwe-other-enc"),
            pytest.param(lambda: relabelled(enc="A128GCM"), id="S01-jwe-changed-enc"),
            pytest.param(lambda: relabelled(enc={}), id="S01-jwe-enc-object"),
            pytest.param(lambda: sealed(zip="DEF"), id="S01-jwe-zip"),
            pytest.param(lambda: relabelled(zip=None), id="S01-jwe-zip-null"),
            pytest.param(lambda: relabelled(crit=["kid"]), id="S01-jwe-crit"),
            pytest.param(lambda: sealed(kid="k-none"), id="S01-jwe-kid-unknown"),
            pytest.param(lambda: sealed(kid="../k-new"), id="S01-jwe-kid-path"),
            pytest.param(lambda: relabelled(kid=["k-new"]), id="S01-jwe-kid-list"),
            pytest.param(lambda: sealed(kid=None), id="S01-jwe-kid-missing"),
            pytest.param(lambda: sealed(key=OLD, kid="k-new"), id="S01-jwe-kid-swapped"),
            pytest.param(lambda: sealed(key=FOREIGN), id="S01-jwe-foreign-key"),
            pytest.param(lambda: sealed("\u00e9"), id="S01-jwe-inside-not-ascii"),
            pytest.param(lambda: bent(sealed(), 1), id="S01-jwe-bent-key"),
            pytest.param(lambda: bent(sealed(), 2), id="S01-jwe-bent-iv"),
            pytest.param(lambda: bent(sealed(), 3), id="S01-jwe-bent-text"),
            pytest.param(lambda: bent(sealed(), 4), id="S01-jwe-bent-tag"),
            pytest.param(lambda: bent(sealed(enc="A128CBC-HS256"), 3), id="S01-jwe-bent-cbc-text"),
            pytest.param(lambda: bent(sealed(enc="A128CBC-HS256"), 4), id="S01-jwe-bent-cbc-tag"),
            pytest.param(lambda: sealed()[:-4], id="S01-jwe-short-tag"),
            pytest.param(lambda: sealed() + "=", id="S01-jwe-padding"),
            pytest.param(lambda: "....", id="S01-jwe-empty"),
            pytest.param(lambda: "a.b.c.d.e", id="S01-jwe-garbage"),
        ],
    )
    async def test_alike(self, token: Callable[[], str]) -> None:
        """S01: whatever cannot be opened has one answer and one reason, so the answers tell nothing of the inside."""
        assert await refusal(token()) == NOT_A_JWT

    async def test_not_configured(self) -> None:
        """Without a key a five-part token is no JWT."""
        with pytest.raises(Refused) as caught:
            await door(Opener()).admit([sealed()], BOT)

        assert caught.value.answer.messages == ("Invalid JWT token",)

    async def test_nested(self) -> None:
        """S01: what is encrypted twice is not opened twice, and only a signed token is one."""
        for inside in (sealed(), "text", f"{signed()}.x"):
            assert (await refusal(sealed(inside)))[:3] == NOT_A_JWT[:3]

    async def test_size(self) -> None:
        """S01: a token larger than any client's is not opened."""
        assert (await refusal(sealed(signed({"x": "x" * MAX_TOKEN}))))[:3] == NOT_A_JWT[:3]

    def test_keys_are_not_shown(self) -> None:
        """A key can be printed without showing its secret."""
        assert "PRIVATE" not in repr(NEW)
