"""Keys and signatures of the simulator, seen by an independent implementation."""

import jwt
import pytest

from simulator.teams.keys import ENDORSEMENTS, KeyRing, SigningKey, new_key, sign


@pytest.fixture(name="key", scope="module")
def _key() -> SigningKey:
    return new_key("test", ENDORSEMENTS)


class TestSign:
    @pytest.mark.parametrize("algorithm", ["RS256", "RS384", "RS512"])
    def test_verifies(self, key: SigningKey, algorithm: str) -> None:
        """A signature verifies with the published JSON Web Key."""
        token = sign(key, {"alg": algorithm, "kid": key.kid}, {"aud": "a"})
        claims = jwt.decode(token, jwt.PyJWK(key.jwk(), algorithm), algorithms=[algorithm], audience="a")

        assert claims == {"aud": "a"}

    def test_other_key_does_not(self, key: SigningKey) -> None:
        """Another key does not verify it."""
        token = sign(new_key("other"), {"alg": "RS256"}, {})

        with pytest.raises(jwt.InvalidSignatureError):
            jwt.decode(token, jwt.PyJWK(key.jwk(), "RS256"), algorithms=["RS256"])

    def test_unsigned(self, key: SigningKey) -> None:
        """With `none` there is no signature, with HS256 one that is keyed with the public key."""
        assert sign(key, {"alg": "none"}, {}).endswith(".")
        assert not sign(key, {"alg": "HS256"}, {}).endswith(".")


class TestKeyRing:
    def test_roll_over(self) -> None:
        """A roll-over changes the current key, keeps or drops the old one, and never publishes the hidden key."""
        ring = KeyRing("bot", ENDORSEMENTS)
        first = ring.current
        second = ring.roll(keep_old=True)
        kept = ring.published()
        ring.roll(keep_old=False)

        assert first is not second
        assert [second, first, ring.unendorsed] == kept
        assert first not in ring.published()
        assert ring.unpublished not in kept
        assert ring.old is None

    def test_named(self) -> None:
        """Keys are asked for by what they are."""
        ring = KeyRing("bot", ENDORSEMENTS)

        assert ring.current is ring.named("current")
        assert "msteams" not in (ring.named("unendorsed") or ring.current).endorsements
        assert ring.named("old") is None
        assert ring.named("golden") is None
