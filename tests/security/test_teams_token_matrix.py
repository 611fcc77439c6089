"""S01, S03: the whole matrix of connector tokens, each case by its name, judged without a server.

Sources: learn.microsoft.com/azure/bot-service/rest-api/bot-framework-rest-connector-authentication, RFC 7515, RFC 7519,
RFC 8725 and microsoft/Agents-for-python#515 (an issuer and a tenant that do not belong together).
"""

from __future__ import annotations

import base64
import functools
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import jwt
import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from adapters.teams.auth import ConnectorTokens, TokenRefused
from adapters.teams.keys import KeySet
from adapters.teams.service_urls import ServiceUrls
from tests.integration.teams import kit
from tests.integration.teams.kit import APP_ID, ISSUER, OTHER_TENANT, TENANT, Cloud
from tests.security.canned import Canned, Reply

NOW: Final = 1_769_200_000
CLOUD: Final = Cloud(url="https://smba.invalid", now=lambda: NOW)
METADATA: Final = f"{CLOUD.url}/openid"
JWKS: Final = f"{CLOUD.url}/keys"
ELSEWHERE: Final = "https://attacker.invalid/keys"
LISTED: Final = [
    kit.jwk("current"),
    kit.jwk("web-only", endorsements=["webchat"]),
    kit.jwk("for-nobody", endorsements=[]),
    {name: value for name, value in kit.jwk("no-list").items() if name != "endorsements"},
    kit.jwk("word") | {"endorsements": "msteams"},
    kit.jwk("weak"),
    kit.jwk("sealing") | {"use": "enc"},
    {"kty": "oct", "kid": "shared", "k": "c2VjcmV0", "endorsements": ["msteams"]},
]
BASE: Final[Mapping[str, Any]] = {
    "iss": ISSUER,
    "aud": APP_ID,
    "nbf": NOW - 60,
    "exp": NOW + 3600,
    "serviceurl": CLOUD.service_url,
}

Authorization = Sequence[str]
Case = tuple[Callable[[], str | Authorization], str | None]
"""What makes the token (or the whole header), and why it is refused; None: it is accepted."""


def segment(value: object) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def says(reason: str | None, **changes: Any) -> Case:
    """Claims that are changed, signed by the right key; None takes a claim out."""
    claims = {name: value for name, value in {**BASE, **changes}.items() if value is not None}
    return functools.partial(signed, claims), reason


def signed(claims: Mapping[str, Any], header: Mapping[str, Any] | None = None, key: str = "current") -> str:
    """Signed by hand: PyJWT would not write every one of these claims."""
    given = {"alg": "RS256", "typ": "JWT", "kid": key} | dict(header or {})
    head = {name: value for name, value in given.items() if value is not None}
    message = f"{segment(head)}.{segment(dict(claims))}"
    signature = jwt.get_algorithm_by_name("RS256").sign(message.encode(), kit.rsa_key(key))
    return f"{message}.{segment(signature)}"


def headed(reason: str | None, key: str = "current", **header: Any) -> Case:
    """A header that is changed, signed by the key of this name."""
    return lambda: signed(BASE, header, key), reason


def by(key: str, reason: str) -> Case:
    """Signed by another key of the set, which it names."""
    return lambda: signed(BASE, {}, key), reason


def hmacked(algorithm: str, secret: bytes) -> Case:
    """A shared-key signature, where the secret is the public key as everybody can read it."""

    def make() -> str:
        message = f"{segment({'alg': algorithm, 'kid': 'current'})}.{segment(dict(BASE))}"
        digest = {"HS256": hashlib.sha256, "HS384": hashlib.sha384, "HS512": hashlib.sha512}[algorithm]
        return f"{message}.{segment(hmac.new(secret, message.encode(), digest).digest())}"

    return make, "wrong_algorithm"


def otherwise(algorithm: str, key: Any) -> Case:
    """Signed honestly, by an algorithm that is not the connector's."""
    return (lambda: jwt.encode(dict(BASE), key, algorithm, headers={"kid": "current"})), "wrong_algorithm"


def unsigned(algorithm: Any) -> Case:
    return (lambda: f"{segment({'alg': algorithm, 'kid': 'current'})}.{segment(dict(BASE))}."), "wrong_algorithm"


def spoiled(change: Callable[[str], str], reason: str) -> Case:
    return (lambda: change(signed(BASE))), reason


def header(*values: str, reason: str | None) -> Case:
    """The header Authorization itself, with {} for the token."""
    return (lambda: [value.replace("{}", signed(BASE)) for value in values]), reason


def _flattened() -> str:
    head, payload, signature = signed(BASE).split(".")
    return json.dumps({"protected": head, "payload": payload, "signature": signature})


def _general() -> str:
    head, payload, signature = signed(BASE).split(".")
    return json.dumps({"payload": payload, "signatures": [{"protected": head, "signature": signature}]})


PUBLIC: Final = kit.rsa_key("current").public_key()
PEM: Final = PUBLIC.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
DER: Final = PUBLIC.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

CASES: Final[Mapping[str, Case]] = {
    # the algorithm
    "genuine": says(None),
    "alg none": unsigned("none"),
    "alg None": unsigned("None"),
    "alg NONE": unsigned("NONE"),
    "alg empty": unsigned(""),
    "alg list": unsigned(["RS256"]),
    "alg null": unsigned(None),
    "alg rs256 in small letters": headed("wrong_algorithm", alg="rs256"),
    "HS256 with the public key as PEM": hmacked("HS256", PEM),
    "HS384 with the public key as PEM": hmacked("HS384", PEM),
    "HS512 with the public key as PEM": hmacked("HS512", PEM),
    "HS256 with the public key as DER": hmacked("HS256", DER),
    "HS256 with an empty secret": hmacked("HS256", b""),
    "RS384 by the right key": otherwise("RS384", kit.rsa_key("current")),
    "RS512 by the right key": otherwise("RS512", kit.rsa_key("current")),
    "PS256 by the right key": otherwise("PS256", kit.rsa_key("current")),
    "ES256 by a key of its own": otherwise("ES256", ec.generate_private_key(ec.SECP256R1())),
    "EdDSA by a key of its own": otherwise("EdDSA", ed25519.Ed25519PrivateKey.generate()),
    # the signature and the form
    "signature empty": spoiled(lambda token: token.rpartition(".")[0] + ".", "bad_signature"),
    "signature cut": spoiled(lambda token: token[:-10], "bad_signature"),
    "signature that is no base64": spoiled(lambda token: token[:-1], "not_a_token"),
    "signature of zeros": spoiled(lambda token: token.rpartition(".")[0] + "." + "A" * 342, "bad_signature"),
    "signature with junk behind": spoiled(lambda token: token + "AAAA", "bad_signature"),
    "signature of another key": headed("bad_signature", "forged", kid="current"),
    "two signatures": spoiled(lambda token: token + "." + token.rpartition(".")[2], "not_a_token"),
    "claims of another token": spoiled(
        lambda token: ".".join([token.split(".")[0], segment({**BASE, "exp": NOW + 9999}), token.split(".")[2]]),
        "bad_signature",
    ),
    "payload detached": spoiled(lambda token: token.split(".")[0] + ".." + token.split(".")[2], "not_a_token"),
    "five parts, as if encrypted": spoiled(lambda token: token + ".a.b", "not_a_token"),
    "JSON serialisation, flattened": (_flattened, "not_a_token"),
    "JSON serialisation, general": (_general, "not_a_token"),
    "a blank inside": spoiled(lambda token: token[:9] + " " + token[9:], "not_a_token"),
    "a line break behind": spoiled(lambda token: token + "\n", "not_a_token"),
    "not ASCII": spoiled(lambda token: token[:-1] + "é", "not_a_token"),
    "oversized": says("not_a_token", extra="x" * 8192),
    "claims that are a list": spoiled(lambda token: f"{token.split('.')[0]}.{segment([1])}.AAAA", "not_a_token"),
    "header that is no JSON": (lambda: f"{segment(b'{')}.{segment(dict(BASE))}.AAAA", "not_a_token"),
    "header nested without end": (lambda: f"{segment(b'[' * 3000)}.{segment(dict(BASE))}.AAAA", "not_a_token"),
    # when
    "exp missing": says("no_expiry", exp=None),
    "exp as text": says("bad_date", exp=str(NOW + 3600)),
    "exp true": says("bad_date", exp=True),
    "exp NaN": says("bad_date", exp=float("nan")),
    "exp infinite": says("bad_date", exp=float("inf")),
    "exp beyond numbers": says("bad_date", exp=10**300),
    "exp a list": says("bad_date", exp=[NOW + 3600]),
    "exp with a fraction": says(None, exp=NOW + 0.5),
    "expired, a second within the leeway": says(None, exp=NOW - 299),
    "expired at the leeway": says("expired", exp=NOW - 300),
    "expired, a second beyond the leeway": says("expired", exp=NOW - 301),
    "nbf missing": says(None, nbf=None),
    "nbf at the leeway": says(None, nbf=NOW + 300),
    "nbf a second beyond the leeway": says("not_yet_valid", nbf=NOW + 301),
    "nbf as text": says("bad_date", nbf="0"),
    "iat at the leeway": says(None, iat=NOW + 300),
    "iat a second beyond the leeway": says("not_yet_valid", iat=NOW + 301),
    "iat an object": says("bad_date", iat={}),
    # for whom, and from whom
    "aud missing": says("wrong_audience", aud=None),
    "aud of another app": says("wrong_audience", aud="a9900000-0000-4000-8000-00000000000b"),
    "aud in a list": says("wrong_audience", aud=[APP_ID]),
    "aud with something behind": says("wrong_audience", aud=f"{APP_ID} "),
    "aud in capital letters": says(None, aud=APP_ID.upper()),
    "iss missing": says("wrong_issuer", iss=None),
    "iss in a list": says("wrong_issuer", iss=[ISSUER]),
    "iss with a slash behind": says("wrong_issuer", iss=f"{ISSUER}/"),
    "iss in capital letters": says("wrong_issuer", iss=ISSUER.upper()),
    "iss that begins alike": says("wrong_issuer", iss=f"{ISSUER}.evil.test"),
    "iss of another cloud": says("wrong_issuer", iss="https://api.botframework.us"),
    "iss of Entra for our tenant": says("wrong_issuer", iss=f"https://sts.windows.net/{TENANT}/", tid=TENANT),
    "iss of Entra, another tenant": says("wrong_issuer", iss=f"https://sts.windows.net/{OTHER_TENANT}/", tid=TENANT),
    "iss of Entra v2": says("wrong_issuer", iss=f"https://login.microsoftonline.com/{TENANT}/v2.0", tid=TENANT),
    "iss of the emulator": says("wrong_issuer", iss="https://sts.windows.net/d6d49420-f39b-4df7-a1dc-d59a935871db/"),
    "a skill's token": says("wrong_issuer", iss=f"https://sts.windows.net/{TENANT}/", ver="1.0", appid=APP_ID),
    "serviceurl missing": says("no_serviceurl_claim", serviceurl=None),
    "serviceurl empty": says("no_serviceurl_claim", serviceurl=""),
    "serviceurl a list": says("no_serviceurl_claim", serviceurl=[CLOUD.service_url]),
    "serviceUrl spelled otherwise": says("no_serviceurl_claim", serviceurl=None, serviceUrl=CLOUD.service_url),
    # the key
    "kid missing": headed("no_key_id", kid=None),
    "kid empty": headed("no_key_id", kid=""),
    "kid a number": headed("not_a_token", kid=7),
    "kid too long": headed("no_key_id", kid="x" * 257),
    "kid unknown": headed("unknown_key", kid="unknown"),
    "kid in capital letters": headed("unknown_key", kid="CURRENT"),
    "kid a path": headed("unknown_key", kid="../../../../dev/null"),
    "kid a query": headed("unknown_key", kid="current' OR '1'='1"),
    "kid an address": headed("unknown_key", kid=ELSEWHERE),
    "kid with NUL": headed("unknown_key", kid="current\0"),
    "key endorsed for another channel": by("web-only", "key_not_endorsed"),
    "key endorsed for no channel": by("for-nobody", "key_not_endorsed"),
    "key without endorsements": by("no-list", "key_not_endorsed"),
    "key whose endorsement is no list": by("word", "key_not_endorsed"),
    "key of 1024 bits": by("weak", "unknown_key"),
    "key for encryption": by("sealing", "unknown_key"),
    "key that is a shared secret": headed("unknown_key", kid="shared"),
    # what a header must not decide
    "jku, genuine": headed(None, jku=ELSEWHERE),
    "jku, forged": headed("bad_signature", "forged", kid="current", jku=ELSEWHERE),
    "x5u, genuine": headed(None, x5u=ELSEWHERE),
    "x5u, forged": headed("bad_signature", "forged", kid="current", x5u=ELSEWHERE),
    "jwk, forged": headed("bad_signature", "forged", kid="current", jwk=kit.jwk("forged")),
    "jwk, forged, without a known kid": headed("unknown_key", "forged", jwk=kit.jwk("forged")),
    "x5c, forged": headed("bad_signature", "forged", kid="current", x5c=["AAAA"]),
    "crit of a known word": headed("not_a_token", crit=["exp"], exp=1),
    "crit of an unknown word": headed("not_a_token", crit=["x"], x=1),
    "crit empty": headed("not_a_token", crit=[]),
    "b64 false": headed("not_a_token", b64=False, crit=["b64"]),
    "b64 true": headed("critical_header", b64=True),
    # the header Authorization
    "no header": header(reason="no_authorization"),
    "two headers": header("Bearer {}", "Bearer {}", reason="two_authorizations"),
    "two tokens in one header": header("Bearer {}, Bearer {}", reason="not_a_token"),
    "scheme in small letters": header("bearer {}", reason=None),
    "scheme in capital letters": header("BEARER {}", reason=None),
    "scheme Basic": header("Basic {}", reason="no_bearer_token"),
    "scheme missing": header("{}", reason="no_bearer_token"),
    "scheme with a look-alike": header("Веarer {}", reason="no_bearer_token"),
    "two blanks": header("Bearer  {}", reason="not_a_token"),
    "a tab": header("Bearer\t{}", reason="no_bearer_token"),
    "token missing": header("Bearer ", reason="no_bearer_token"),
    "empty": header("", reason="no_bearer_token"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
async def test_matrix(name: str) -> None:
    """S01, S03: this token is refused for this reason, or let in; and no key is ever looked for elsewhere."""
    make, reason = CASES[name]
    session = Canned(
        [Reply(body=orjson.dumps({"issuer": ISSUER, "jwks_uri": JWKS})), Reply(body=orjson.dumps({"keys": LISTED}))]
    )
    keys = KeySet(session.as_session(), METADATA, clock=lambda: 0.0)
    urls = ServiceUrls([CLOUD.url])
    tokens = ConnectorTokens(keys, app_id=APP_ID, issuer=ISSUER, service_urls=urls, now=lambda: NOW)
    made = make()

    found: str | None = None
    try:
        token = await tokens.check([f"Bearer {made}"] if isinstance(made, str) else made)
    except TokenRefused as refused:
        found = refused.reason
    else:
        assert token.service_url == CLOUD.service_url

    assert found == reason
    assert session.asked in ([], [METADATA, JWKS])


def test_none_is_lost() -> None:
    """S01: the matrix has at least these cases, both of those that are refused and of those that are let in."""
    accepted = [name for name, (_, reason) in CASES.items() if reason is None]

    assert len(CASES) >= 110
    assert len(accepted) >= 11
    assert len({reason for _, reason in CASES.values()}) >= 15
