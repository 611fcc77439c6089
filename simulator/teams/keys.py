"""Signing keys and JSON Web Signatures, written out so that every part of a token can also be made wrong.

The connector's keys carry `endorsements`: a bot must refuse a key that is not endorsed for the channel of the
activity (Bot Connector authentication, Microsoft Learn).
"""

import hashlib
import hmac
from base64 import urlsafe_b64encode
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any

import orjson
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

ENDORSEMENTS = ("msteams", "skype", "webchat", "directline", "email")
_HASHES: dict[str, hashes.HashAlgorithm] = {
    "RS256": hashes.SHA256(),
    "RS384": hashes.SHA384(),
    "RS512": hashes.SHA512(),
}


def b64(data: bytes) -> str:
    """Base64url without padding."""
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def _number(value: int) -> str:
    return b64(value.to_bytes((value.bit_length() + 7) // 8, "big"))


@dataclass(slots=True)
class SigningKey:
    """One RSA key with its public identity."""

    kid: str
    private: rsa.RSAPrivateKey
    endorsements: tuple[str, ...] = ()

    def jwk(self) -> dict[str, Any]:
        """The public key as a JSON Web Key."""
        numbers = self.private.public_key().public_numbers()
        key: dict[str, Any] = {
            "kty": "RSA",
            "use": "sig",
            "kid": self.kid,
            "x5t": self.kid,
            "n": _number(numbers.n),
            "e": _number(numbers.e),
        }
        return {**key, "endorsements": list(self.endorsements)} if self.endorsements else key

    def public_pem(self) -> bytes:
        """The public key as text; what an algorithm-confusion attack uses as an HMAC secret."""
        return self.private.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )


@cache
def _private(_name: str, _turn: int) -> rsa.RSAPrivateKey:
    """One key for each name and turn in a process: to make one takes longer than to start the rest of a simulator."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def new_key(name: str, endorsements: tuple[str, ...] = (), turn: int = 0) -> SigningKey:
    """The 2048-bit key of this name and turn, whose id is derived from it; no other name or turn has it."""
    private = _private(name, turn)
    modulus = private.public_key().public_numbers().n
    kid = f"{name}-{hashlib.sha256(str(modulus).encode()).hexdigest()[:20]}"
    return SigningKey(kid, private, endorsements)


def sign(key: SigningKey, header: dict[str, Any], claims: dict[str, Any]) -> str:
    """A compact JWS. `alg` decides: RS256/384/512, HS256 (keyed with the public PEM) or anything else, unsigned."""
    message = f"{b64(orjson.dumps(header))}.{b64(orjson.dumps(claims))}"
    return f"{message}.{b64(_signature(key, header.get('alg'), message.encode()))}"


def _signature(key: SigningKey, algorithm: object, message: bytes) -> bytes:
    if isinstance(algorithm, str) and algorithm in _HASHES:
        return key.private.sign(message, padding.PKCS1v15(), _HASHES[algorithm])
    if algorithm == "HS256":
        return hmac.new(key.public_pem(), message, hashlib.sha256).digest()
    return b""


@dataclass
class KeyRing:
    """The keys of one issuer: the current one, older ones still published, and special ones for tests."""

    name: str
    endorsements: tuple[str, ...] = ()
    _old: list[SigningKey] = field(default_factory=list)
    _current: SigningKey | None = None
    _turn: int = 0

    @property
    def current(self) -> SigningKey:
        """The key that signs; made when first needed, because making one takes a while."""
        if self._current is None:
            self._current = new_key(self.name, self.endorsements, self._turn)
        return self._current

    @property
    def old(self) -> SigningKey | None:
        """The newest key that no longer signs but is still published."""
        return self._old[-1] if self._old else None

    @cached_property
    def unendorsed(self) -> SigningKey:
        """A published key without the endorsement for Teams."""
        return new_key(f"{self.name}-other", ("skype",))

    @cached_property
    def unpublished(self) -> SigningKey:
        """A key that is never published."""
        return new_key(f"{self.name}-hidden", self.endorsements)

    def roll(self, *, keep_old: bool) -> SigningKey:
        """Sign with a new key from now on; the old one stays published if asked."""
        self._old = [*self._old, self.current] if keep_old else []
        self._turn += 1
        self._current = new_key(self.name, self.endorsements, self._turn)
        return self._current

    def published(self) -> list[SigningKey]:
        """What the key document lists."""
        other = [self.unendorsed] if self.endorsements else []
        return [self.current, *self._old, *other]

    def named(self, name: str) -> SigningKey | None:
        """The key that a test asks for."""
        if name == "old":
            return self.old
        return {
            "current": lambda: self.current,
            "unendorsed": lambda: self.unendorsed,
            "unpublished": lambda: self.unpublished,
        }.get(name, lambda: None)()
