"""`herald token`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from notify.jwe import DecryptionKey, Opener
from tests.unit.cli.conftest import CLIENT_SECRET

if TYPE_CHECKING:
    from tests.unit.cli.conftest import Shell


class TestToken:
    def test_documented_payload(self, shell: Shell) -> None:
        """The token is signed with the client's secret and holds sub, appId, iat and exp."""
        result = shell.run("token", "--client", "cs-1", "--expires", "60")
        claims = jwt.decode(result.stdout.strip(), CLIENT_SECRET, algorithms=["HS256"])

        assert (claims["appId"], claims["exp"] - claims["iat"]) == ("cs-1", 60)
        assert abs(claims["iat"] - time.time()) < 60
        assert sorted(claims) == ["appId", "exp", "iat", "sub"]

    def test_jti(self, shell: Shell) -> None:
        """A client that must send a jti gets one, new in every token."""
        shell.text += "enforce_jti = true\n"

        tokens = [shell.run("token", "--client", "cs-1").stdout.strip() for _ in range(2)]

        assert len({jwt.decode(t, CLIENT_SECRET, algorithms=["HS256"])["jti"] for t in tokens}) == 2

    def test_short_secret(self, shell: Shell) -> None:
        """A secret of 16 characters, the least that the settings allow, mints without a word on stderr."""
        shell.text = shell.text.replace(CLIENT_SECRET, CLIENT_SECRET[:16])

        assert shell.run("token", "--client", "cs-1").stderr == ""

    def test_private_key(self, shell: Shell) -> None:
        """An RS256 client signs with the private key that only the caller has."""
        key = rsa.generate_private_key(65537, 2048)
        public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        (shell.folder / "pub.pem").write_bytes(public)
        private = shell.folder / "key.pem"
        private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        shell.text += '[[clients]]\nclient_id = "cs-rs"\nalgorithm = "RS256"\npublic_key = "file:pub.pem"\n'

        result = shell.run("token", "--client", "cs-rs", "--private-key", str(private))

        assert jwt.decode(result.stdout.strip(), public, algorithms=["RS256"])["appId"] == "cs-rs"
        assert "give its key with --private-key" in shell.run("token", "--client", "cs-rs").stderr
        (shell.folder / "key.pem").write_text("no key")
        assert "does not fit RS256" in shell.run("token", "--client", "cs-rs", "--private-key", str(private)).stderr

    async def test_encrypt(self, shell: Shell) -> None:
        """With --encrypt the token is one that the first decryption key opens."""
        key = rsa.generate_private_key(65537, 2048)
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (shell.folder / "k.pem").write_bytes(pem)
        without = shell.run("token", "--client", "cs-1", "--encrypt")
        shell.text += '[[decryption_keys]]\nkid = "k-1"\nprivate_key = "file:k.pem"\n'

        token = shell.run("token", "--client", "cs-1", "--encrypt").stdout.strip()

        inside = await Opener([DecryptionKey("k-1", pem.decode())]).open(token)
        assert jwt.decode(inside or "", CLIENT_SECRET, algorithms=["HS256"])["appId"] == "cs-1"
        assert without.exit_code == 4
        assert "no [[decryption_keys]]" in without.stderr

    def test_unknown_client(self, shell: Shell) -> None:
        """An unknown client is refused with those that exist."""
        result = shell.run("token", "--client", "cs-9")

        assert result.exit_code == 4
        assert "no client cs-9: choose one of them (cs-1)" in result.stderr

    def test_expired_secrets(self, shell: Shell) -> None:
        """A client whose secrets are all past their end mints nothing."""
        rotating = f'secrets = [{{ value = "{CLIENT_SECRET}", until = 2020-01-01T00:00:00Z }}]'
        shell.text = shell.text.replace(f'secret = "{CLIENT_SECRET}"', rotating)

        assert "past its `until`" in shell.run("token", "--client", "cs-1").stderr
