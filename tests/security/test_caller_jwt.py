"""S01, the column of callers: every way to forge, bend or reuse a token, against real keys.

a way to come in                         refused, unless said otherwise, in
---------------------------------------  -------------------------------------------------------------
`alg` none in any spelling               TestAlgorithm.test_none, test_missing
another algorithm, the public key as     TestAlgorithm.test_c68_the_record_decides, test_elliptic_key,
  secret, RS and ES mixed                  test_public_key_as_secret, test_key_of_the_wrong_kind
empty signature, junk, two signatures,   TestSignature.test_empty, test_trailing_junk, test_two_signatures,
  another spelling, too large              test_other_spelling_of_the_same_bytes, TestShape.test_oversized
`exp` missing                            TestTimes.test_c65_no_exp: passes, unless the record says otherwise
`exp` as a float                         TestTimes.test_c66_exp: passes
expired, `nbf`, `iat`, at the leeway     TestTimes.test_c66_c73_no_exp_at_all, test_not_yet
another `aud`                            TestClient.test_c72_audience: ignored
`iss` wrong or absent                    TestClient.test_c67_names, test_c67_unclear_client
`kid` missing, unknown, path, SQL, URL   TestShape.test_ignored_headers: ignored
`jku`, `x5u`, `jwk`                      TestShape.test_ignored_headers: ignored
unknown `crit`                           TestShape.test_critical_headers
`jti` reused, `jti` beyond an hour       TestOnce.test_c70_replay, test_c69_an_hour, test_odd_jti
another client's valid token             TestSignature.test_sister_client, TestBotAndScope.test_c75
empty header                             TestSignature.test_two_headers
encrypted                                tests/security/test_encrypted_tokens.py
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from adapters.base import BotId
from notify.auth import MAX_TOKEN, PROACTIVE_SCOPE, Client, Door, Key, Refused

NOW = 1_800_000_000.0
LEEWAY = 60.0
BOT = BotId("st-00000000-0000-5000-8000-000000000001")
SECRET = "a shared secret of sixty-four bytes, which is enough for HS512!!"
RSA_KEY = rsa.generate_private_key(65537, 2048)
OTHER_RSA_KEY = rsa.generate_private_key(65537, 2048)
PUBLIC_PEM = RSA_KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
PRIVATE_PEM = RSA_KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
SCOPES = frozenset({PROACTIVE_SCOPE})
HS = Client("cs-hs", "HS256", (Key(SECRET),), SCOPES, frozenset({BOT}))
RS = Client("cs-rs", "RS256", (Key(PUBLIC_PEM),), SCOPES, frozenset({BOT}))

CREDENTIALS = (4002, "Invalid SDK credentials")
NOT_A_JWT = (4002, "Invalid JWT token")
TOO_LONG = (401, 'error verifying the jwt: if "jti" claim "exp" must be <= 1 hour(s)')
REPLAY = (401, "error verifying the jwt: possibly a replay")


class Seen:
    def __init__(self) -> None:
        self.uses: list[tuple[str, str, float]] = []

    async def first_use(self, client_id: str, jti: str, until: float) -> bool:
        new = not any(use[:2] == (client_id, jti) for use in self.uses)
        self.uses.append((client_id, jti, until))
        return new


def door(*clients: Client, now: float = NOW, seen: Seen | None = None) -> Door:
    return Door(clients or (HS, RS), {BOT}, seen or Seen(), clock=lambda: now, leeway=LEEWAY)


def token(claims: Mapping[str, Any] | None = None, key: Any = SECRET, alg: str = "HS256", **headers: Any) -> str:
    return jwt.encode({"appId": "cs-hs"} | dict(claims or {}), key, alg, headers=headers or None)


def part(value: object) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def sign(header: object, claims: object, secret: str = SECRET) -> str:
    """Any header and any claims with an honest HMAC: what PyJWT would not produce."""
    signed = f"{part(header)}.{part(claims)}"
    return f"{signed}.{part(hmac.digest(secret.encode(), signed.encode(), hashlib.sha256))}"


async def refusal(entrance: Door, *tokens: str) -> tuple[int, str]:
    with pytest.raises(Refused) as caught:
        await entrance.admit(tokens, BOT)
    answer = caught.value.answer
    assert answer.status == 401
    return answer.code, answer.messages[0]


async def passes(entrance: Door, given: str) -> bool:
    return (await entrance.admit([given], BOT)).client_id.startswith("cs-")


class TestAlgorithm:
    @pytest.mark.parametrize("none", ["none", "None", "NONE", "nOnE", "", None, 1, ["HS256"]])
    async def test_none(self, none: object) -> None:
        """No spelling of "none" is an algorithm, whether signed, unsigned or with an honest HMAC."""
        unsigned = f"{part({'alg': none})}.{part({'appId': 'cs-hs'})}."

        assert await refusal(door(), unsigned) == CREDENTIALS
        assert await refusal(door(), unsigned + "AAAA") == CREDENTIALS
        assert await refusal(door(), sign({"alg": none}, {"appId": "cs-hs"})) == CREDENTIALS

    async def test_missing(self) -> None:
        """A token that names no algorithm is refused, although the record would know one."""
        assert await refusal(door(), sign({"typ": "JWT"}, {"appId": "cs-hs"})) == CREDENTIALS

    @pytest.mark.parametrize("recorded", ["HS256", "HS512", "RS256", "RS512"])
    @pytest.mark.parametrize("used", ["HS256", "HS512", "RS256", "RS512", "HS384", "RS384", "PS256"])
    async def test_c68_the_record_decides(self, recorded: Any, used: str) -> None:
        """C-68: exactly the recorded algorithm passes, with the very same key."""
        symmetric = recorded.startswith("HS")
        client = Client("cs-x", recorded, (Key(SECRET if symmetric else PUBLIC_PEM),), SCOPES, frozenset({BOT}))
        given = jwt.encode({"appId": "cs-x"}, SECRET if used.startswith("HS") else RSA_KEY, used)

        if used == recorded:
            assert await passes(door(client), given)
        else:
            assert await refusal(door(client), given) == CREDENTIALS

    async def test_public_key_as_secret(self) -> None:
        """The public key, which everybody may have, is no secret: HS256 signed with it is refused."""
        for secret in (PUBLIC_PEM, PUBLIC_PEM.strip(), PUBLIC_PEM.replace("\n", "")):
            assert await refusal(door(), sign({"alg": "HS256"}, {"appId": "cs-rs"}, secret)) == CREDENTIALS
            assert await refusal(door(), sign({"alg": "RS256"}, {"appId": "cs-rs"}, secret)) == CREDENTIALS

    async def test_elliptic_key(self) -> None:
        """A signature of another family is refused."""
        given = jwt.encode({"appId": "cs-rs"}, ec.generate_private_key(ec.SECP256R1()), "ES256")

        assert await refusal(door(), given) == CREDENTIALS

    async def test_key_of_the_wrong_kind(self) -> None:
        """A client whose key does not fit its algorithm is refused at start, not at the first call."""
        with pytest.raises(jwt.InvalidKeyError):
            door(replace(HS, keys=(Key(PUBLIC_PEM),)))


class TestSignature:
    async def test_other_key(self) -> None:
        """A signature by another key is refused, symmetric or not."""
        assert await refusal(door(), token(key=SECRET[::-1])) == CREDENTIALS
        assert await refusal(door(), token({"appId": "cs-rs"}, OTHER_RSA_KEY, "RS256")) == CREDENTIALS

    async def test_sister_client(self) -> None:
        """A valid signature of one client does not speak for another."""
        sister = replace(HS, client_id="cs-sister", keys=(Key(SECRET[::-1]),))

        assert await refusal(door(HS, sister), token({"appId": "cs-sister"})) == CREDENTIALS

    async def test_empty(self) -> None:
        """An empty signature is a bad one."""
        assert await refusal(door(), token().rsplit(".", 1)[0] + ".") == CREDENTIALS

    async def test_changed_claims(self) -> None:
        """Claims cannot be changed under a signature."""
        header, _, signature = token({"exp": NOW - 999}).split(".")

        assert await refusal(door(), f"{header}.{part({'appId': 'cs-hs'})}.{signature}") == CREDENTIALS

    @pytest.mark.parametrize("junk", ["x", "=", "==", "!", "\n", " x", "%00", "\u00e9", "AA"])
    async def test_trailing_junk(self, junk: str) -> None:
        """Nothing may follow a token, not even what a lenient base64 reader would skip."""
        assert await refusal(door(), token() + junk) == CREDENTIALS

    async def test_other_spelling_of_the_same_bytes(self) -> None:
        """The unused bits of the last character are part of the token: two spellings would be two tokens."""
        given = token()
        alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
        twin = given[:-1] + alphabet[alphabet.index(given[-1]) ^ 1]

        assert base64.urlsafe_b64decode(twin.split(".")[2] + "=") == base64.urlsafe_b64decode(given.split(".")[2] + "=")
        assert await refusal(door(), twin) == CREDENTIALS

    async def test_two_signatures(self) -> None:
        """A fourth part, and the JSON form with several signatures, are no token of ours."""
        given = token()

        assert await refusal(door(), f"{given}.{given.split('.')[2]}") == NOT_A_JWT
        assert await refusal(door(), json.dumps({"payload": "", "signatures": []})) == NOT_A_JWT

    async def test_two_headers(self) -> None:
        """Two `auth` headers are refused, even if both are good; so is none."""
        assert await refusal(door(), token(), token()) == CREDENTIALS
        assert await refusal(door()) == CREDENTIALS
        assert await refusal(door(), "") == CREDENTIALS

    async def test_rotation(self) -> None:
        """S08: of several secrets each opens the door until its own end, and not a moment longer."""
        old = replace(HS, keys=(Key("the new secret, which is also long enough"), Key(SECRET, until=NOW)))

        assert await passes(door(old, now=NOW - 1), token())
        assert await refusal(door(old, now=NOW), token()) == CREDENTIALS
        assert await passes(door(old), token(key="the new secret, which is also long enough"))

    async def test_rotation_of_public_keys(self) -> None:
        """S08: of several public keys each opens the door until its own end as well."""
        other = OTHER_RSA_KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
        client = replace(RS, keys=(Key(other), Key(PUBLIC_PEM, until=NOW)))
        old, new = (token({"appId": "cs-rs"}, key, "RS256") for key in (RSA_KEY, OTHER_RSA_KEY))

        assert await passes(door(client, now=NOW - 1), old)
        assert await refusal(door(client, now=NOW), old) == CREDENTIALS
        assert await passes(door(client, now=NOW), new)

    @pytest.mark.parametrize("algorithm", ["HS256", "HS512"])
    async def test_constant_time(self, algorithm: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        """S16: it is `hmac.compare_digest`, and nothing else, that says whether an HMAC is right."""
        entrance, honest = door(replace(HS, algorithm=algorithm)), token(alg=algorithm)
        forged = token(key=SECRET[::-1], alg=algorithm)

        monkeypatch.setattr(hmac, "compare_digest", lambda _one, _other: True)
        assert await passes(entrance, forged)
        monkeypatch.setattr(hmac, "compare_digest", lambda _one, _other: False)
        assert await refusal(entrance, honest) == CREDENTIALS

    def test_secrets_are_not_shown(self) -> None:
        """A client can be printed without showing its secret."""
        assert SECRET not in repr(HS)


class TestShape:
    @pytest.mark.parametrize(
        "given",
        ["abc", "a.b", "...", "a.b.c", f"{part([])}.{part({})}.AA", f"{part({'alg': 'HS256'})}.{part('x')}.AA"],
    )
    async def test_not_a_jwt(self, given: str) -> None:
        """Three parts whose first two are JSON objects make a token; nothing else does."""
        assert await refusal(door(), given) == NOT_A_JWT

    async def test_encrypted(self) -> None:
        """An encrypted token has five parts and is not taken."""
        assert (
            await refusal(door(), ".".join([part({"alg": "RSA-OAEP", "enc": "A256GCM"}), *["AAAA"] * 4])) == NOT_A_JWT
        )

    async def test_oversized(self) -> None:
        """A token larger than any client's is not even read."""
        assert await refusal(door(), token({"x": "x" * MAX_TOKEN})) == NOT_A_JWT

    @pytest.mark.parametrize(
        "raw",
        [
            b'{"appId":"cs-hs","appId":"cs-rs"}',
            b'{"appId":"cs-hs","exp":NaN}',
            b'{"appId":"cs-hs","exp":1e400}',
            b'{"appId":"cs-hs","exp":Infinity}',
            b"[" * 3000 + b"]" * 3000,
            b'\xef\xbb\xbf{"appId":"cs-hs"}',
            b'{"appId":"\\ud800"}',
        ],
    )
    async def test_two_ways_to_read(self, raw: bytes) -> None:
        """Claims that two readers could understand differently are no claims, although the signature is good."""
        assert await refusal(door(), sign({"alg": "HS256"}, raw)) == NOT_A_JWT

    @pytest.mark.parametrize(
        "header",
        [
            {"kid": "../../etc/passwd"},
            {"kid": "' OR 1=1 --"},
            {"kid": "https://evil.test/key"},
            {"kid": 7},
            {"jku": "https://evil.test/jwks"},
            {"x5u": "https://evil.test/cert"},
            {"jwk": {"kty": "oct", "k": "AAAA"}},
            {"typ": "at+jwt"},
        ],
    )
    async def test_ignored_headers(self, header: dict[str, Any]) -> None:
        """Headers that name keys are ignored: an honest token passes, a forged one does not."""
        assert await passes(door(), sign({"alg": "HS256", **header}, {"appId": "cs-hs"}))
        assert await refusal(door(), sign({"alg": "HS256", **header}, {"appId": "cs-hs"}, "AAAA")) == CREDENTIALS

    @pytest.mark.parametrize(
        "header", [{"crit": ["exp"]}, {"crit": ["b64"], "b64": False}, {"b64": False}, {"crit": []}]
    )
    async def test_critical_headers(self, header: dict[str, Any]) -> None:
        """Whatever a header calls critical we do not know, so the token is refused."""
        assert await refusal(door(), sign({"alg": "HS256", **header}, {"appId": "cs-hs"})) == CREDENTIALS


class TestClient:
    @pytest.mark.parametrize("name", ["appId", "iss", "kore_iss"])
    async def test_c67_names(self, name: str) -> None:
        """C-67: the client is named by `appId`, `iss` or `kore_iss`."""
        assert await passes(door(), sign({"alg": "HS256"}, {name: "cs-hs"}))

    @pytest.mark.parametrize(
        "claims",
        [
            {"appid": "cs-hs"},
            {"clientId": "cs-hs"},
            {},
            {"appId": "cs-unknown"},
            {"appId": ""},
            {"appId": None},
            {"appId": ["cs-hs"]},
            {"appId": None, "iss": "cs-hs"},
            {"appId": "cs-hs", "iss": "cs-rs"},
            {"iss": "cs-hs", "kore_iss": "other"},
            {"appId": "cs-hs", "kore_iss": 1},
        ],
    )
    async def test_c67_unclear_client(self, claims: dict[str, Any]) -> None:
        """C-67: no client, an unknown one, or two that disagree are refused."""
        assert await refusal(door(), sign({"alg": "HS256"}, claims)) == CREDENTIALS

    async def test_c72_audience(self) -> None:
        """C-72: audience and subject are not ours to judge."""
        assert await passes(door(), token({"aud": "https://idproxy.example", "sub": 17}))


class TestTimes:
    async def test_c65_no_exp(self) -> None:
        """C-65: a token without `exp` passes, unless the client's record requires one."""
        assert await passes(door(), token())
        assert await refusal(door(replace(HS, require_exp=True)), token()) == CREDENTIALS

    @pytest.mark.parametrize("value", [NOW + 1, int(NOW) + 1, NOW + 0.5, NOW - LEEWAY + 1, 1e18])
    async def test_c66_exp(self, value: float) -> None:
        """C-66: whole and broken numbers are moments."""
        assert await passes(door(), token({"exp": value}))

    @pytest.mark.parametrize("value", ["1900000000", True, None, [], {}, NOW - LEEWAY, NOW - LEEWAY - 1, 0, -1])
    async def test_c66_c73_no_exp_at_all(self, value: object) -> None:
        """C-66, C-73: what is no number, or past beyond the leeway, is refused."""
        assert await refusal(door(), sign({"alg": "HS256"}, {"appId": "cs-hs", "exp": value})) == CREDENTIALS

    @pytest.mark.parametrize("name", ["nbf", "iat"])
    async def test_not_yet(self, name: str) -> None:
        """`nbf` and `iat` may be ahead by the leeway and not more; they must be numbers."""
        assert await passes(door(), token({name: NOW + LEEWAY}))
        assert await refusal(door(), token({name: NOW + LEEWAY + 1})) == CREDENTIALS
        assert await refusal(door(), sign({"alg": "HS256"}, {"appId": "cs-hs", name: "soon"})) == CREDENTIALS


class TestOnce:
    async def test_c70_replay(self) -> None:
        """C-70: a `jti` is used up by its first use and remembered until `exp` plus leeway."""
        seen = Seen()
        entrance, given = door(seen=seen), token({"jti": "1", "exp": NOW + 60})

        assert await passes(entrance, given)
        assert await refusal(entrance, given) == REPLAY
        assert seen.uses[0] == ("cs-hs", "1", NOW + 60 + LEEWAY)

    async def test_c70_per_client(self) -> None:
        """C-70: two clients may use the same `jti`; `kore_jti` and `jti` are one."""
        seen = Seen()
        entrance = door(seen=seen)

        assert await passes(entrance, token({"jti": "1", "exp": NOW + 60}))
        assert await passes(entrance, token({"appId": "cs-rs", "jti": "1", "exp": NOW + 60}, RSA_KEY, "RS256"))
        assert await refusal(entrance, token({"kore_jti": "1", "exp": NOW + 60})) == REPLAY

    async def test_c69_an_hour(self) -> None:
        """C-69: with a `jti`, `exp` lies within one hour, to the second."""
        assert await passes(door(), token({"jti": "1", "exp": NOW + 3600}))
        assert await refusal(door(), token({"jti": "1", "exp": NOW + 3601})) == TOO_LONG
        assert await refusal(door(), token({"jti": "1"})) == TOO_LONG

    @pytest.mark.parametrize("value", ["", 1, None, ["1"]])
    async def test_odd_jti(self, value: object) -> None:
        """A `jti` that is no text is refused rather than ignored."""
        given = sign({"alg": "HS256"}, {"appId": "cs-hs", "jti": value, "exp": NOW + 60})

        assert await refusal(door(), given) == CREDENTIALS

    async def test_c71_enforced(self) -> None:
        """C-71: a client whose record enforces `jti` must send one."""
        strict = replace(HS, enforce_jti=True)

        assert await refusal(door(strict), token()) == CREDENTIALS
        assert await passes(door(strict), token({"jti": "1", "exp": NOW + 60}))

    async def test_forged_tokens_use_nothing_up(self) -> None:
        """A forged token cannot use up the `jti` of an honest one."""
        seen = Seen()

        await refusal(door(seen=seen), token({"jti": "1", "exp": NOW + 60}, key=SECRET[::-1]))

        assert seen.uses == []


class TestBotAndScope:
    async def test_c75(self) -> None:
        """C-75: a scoped client learns nothing about a bot that is not its own; a client of all bots does."""
        other = BotId("st-00000000-0000-5000-8000-000000000002")
        entrance = Door([HS, replace(HS, client_id="cs-all", bots=None)], {BOT, other}, Seen(), clock=lambda: NOW)

        answers = []
        for claims, bot in (({}, other), ({}, "st-none"), ({"appId": "cs-all"}, "st-none")):
            with pytest.raises(Refused) as caught:
                await entrance.admit([token(claims)], bot)
            answers.append((caught.value.answer.status, caught.value.answer.messages[0]))

        assert answers == [(401, CREDENTIALS[1]), (401, CREDENTIALS[1]), (400, "Invalid StreamId")]
        assert (await entrance.admit([token({"appId": "cs-all"})], other)).client_id == "cs-all"

    @pytest.mark.parametrize("scopes", [(), ("channel_management",), ("CHANNEL_MANAGEMENT:PROACTIVE_MESSAGES",)])
    async def test_c74(self, scopes: Sequence[str]) -> None:
        """C-74: the scope must be there, in full and in its spelling."""
        entrance = door(replace(HS, scopes=frozenset(scopes)))

        assert await refusal(entrance, token()) == (4002, "Permission denied. Scope is incorrect!")
