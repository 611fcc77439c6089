"""`herald token`: mints a caller's JWT from a configured client."""

import time
import uuid
import warnings
from datetime import UTC, datetime
from pathlib import Path

import click
import jwt
from jwt.warnings import InsecureKeyLengthWarning

from console.commands.tools import Tools, Trouble, config_option
from notify import jwe
from settings import ApiClient, Settings

MOST_SECONDS = 366 * 24 * 3600


@click.command()
@config_option
@click.option("--client", "client_id", required=True, metavar="CLIENT_ID", help="client_id from the settings")
@click.option(
    "--expires", type=click.IntRange(1, MOST_SECONDS), default=3600, show_default=True, help="seconds from now"
)
@click.option(
    "--private-key",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    metavar="FILE",
    help="PEM private key; needed for RS256 and RS512, whose settings hold the public half only",
)
@click.option("--encrypt", is_flag=True, help="for the first of the settings' decryption_keys")
@click.pass_obj
def token(
    tools: Tools, config: Path | None, client_id: str, expires: int, private_key: Path | None, encrypt: bool
) -> None:
    """Print a token for the header `auth` of the API."""
    settings = tools.settings_or_fail(config)
    minted = token_for(settings, client_id, expires, private_key)
    click.echo(encrypted(settings, minted) if encrypt else minted)


def encrypted(settings: Settings, minted: str) -> str:
    """The token as only this server can read it."""
    if not settings.decryption_keys:
        raise Trouble("The settings have no [[decryption_keys]]: add one, or leave out --encrypt.")
    key = settings.decryption_keys[0]
    return jwe.encrypt(minted, jwe.DecryptionKey(key.kid, key.private_key.get_secret_value()))


def token_for(settings: Settings, client_id: str, expires: int, private_key: Path | None) -> str:
    """A token of the configured client, or Trouble that says what is missing."""
    client = find_client(settings, client_id)
    key = _signing_key(client, private_key)
    try:
        return mint(client, key, now=time.time(), expires=expires)
    except (jwt.PyJWTError, ValueError, TypeError) as error:
        raise Trouble(
            f"--private-key {private_key} does not fit {client.algorithm}: give an RSA key as PEM."
        ) from error


def find_client(settings: Settings, client_id: str) -> ApiClient:
    """The client of this id, of any bot or admin-scoped."""
    clients = [client for bot in settings.bots for client in bot.clients] + list(settings.clients)
    for client in clients:
        if client.client_id == client_id:
            return client
    known = ", ".join(client.client_id for client in clients) or "none"
    raise Trouble(f"The settings have no client {client_id}: choose one of them ({known}).")


def mint(client: ApiClient, key: str, *, now: float, expires: int) -> str:
    """The documented payload; a `jti` only where the client's settings demand one."""
    claims = {"sub": client.client_id, "appId": client.client_id, "iat": int(now), "exp": int(now) + expires}
    if client.enforce_jti:
        claims["jti"] = str(uuid.uuid4())
    with warnings.catch_warnings():
        # the settings decide how short a secret may be, and `herald check` warns; a token on stdout needs no echo
        warnings.simplefilter("ignore", InsecureKeyLengthWarning)
        return jwt.encode(claims, key, algorithm=client.algorithm)


def _signing_key(client: ApiClient, private_key: Path | None) -> str:
    if client.algorithm.startswith("RS"):
        if private_key is None:
            raise Trouble(f"Client {client.client_id} signs with {client.algorithm}: give its key with --private-key.")
        return private_key.read_text(encoding="utf-8")
    secrets = client.valid_secrets(datetime.now(UTC))
    if not secrets:
        raise Trouble(f"Every secret of client {client.client_id} is past its `until`: add a new one.")
    return secrets[0].get_secret_value()
