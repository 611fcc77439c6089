"""The checks that need no network beyond the database: callers, addresses, proxies, database."""

import ipaddress
import os
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

from sqlalchemy.exc import SQLAlchemyError

from console.commands.checks.findings import Finding, fail, ok, warn
from console.commands.checks.sealing import seals
from console.commands.migrate import database_remedy
from settings import ApiClient, Settings
from storage.engine import Database
from storage.migrate import head, revision

GOOD_SECRET = 32  # RFC 8725, 3.5: a key as long as the hash
DANGERS = {
    "endpoints.dangerously_allow_http_endpoints": "set it to false unless the platforms are simulated",
}
PROXY_VARIABLES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY")


def callers(settings: Settings) -> Iterator[Finding]:
    """Whether there are bots, and somebody who may use each."""
    if not settings.bots:
        yield fail("bots", "none configured", "add a [[bots]] table with [bots.msteams] or [bots.slack]")
    for bot in settings.bots:
        clients = (*bot.clients, *settings.clients)
        if not clients:
            yield fail(bot.name, "nobody may call it", "add [[bots.clients]] with a client_id and a secret")
        for client in bot.clients:
            yield from _client(f"{bot.name}, client {client.client_id}", client)
    for client in settings.clients:
        yield from _client(f"client {client.client_id}", client)


def _client(subject: str, client: ApiClient) -> Iterator[Finding]:
    now = datetime.now(UTC)
    for key, until in client.ended(now):
        yield warn(subject, f"{key} opens nothing since {until:%Y-%m-%d %H:%M %Z}, its `until`", "remove it")
    if client.algorithm.startswith("RS"):
        yield _count(subject, client, len(client.valid_public_keys(now)), "public key")
        return
    secrets = client.valid_secrets(now)
    if any(len(secret.get_secret_value()) < GOOD_SECRET for secret in secrets):
        yield warn(subject, f"a secret is shorter than {GOOD_SECRET} characters", "rotate to `openssl rand -hex 32`")
    else:
        yield _count(subject, client, len(secrets), "secret")


def _count(subject: str, client: ApiClient, number: int, kind: str) -> Finding:
    if number == 0:
        return fail(subject, f"every {kind} is past its `until`", f"add a new {kind}")
    return ok(subject, f"verifies {client.algorithm} with {number} {kind}(s)")


def dangers(settings: Settings) -> Iterator[Finding]:
    """Every option that is called dangerous and is on."""
    for option in settings.dangers():
        yield warn(option, "is on", DANGERS.get(option, "remove it unless you know that you need it"))


def public_address(settings: Settings) -> Iterator[Finding]:
    """Whether the platforms can call back; sends work without, events do not."""
    url = settings.server.public_url
    parts = urlsplit(url)
    if _is_private(parts.hostname or ""):
        yield warn("server.public_url", f"{url} is not reachable from the internet", "set the public https address")
    elif parts.scheme != "https":
        yield fail(
            "server.public_url", f"{url} is not https", "Teams and Slack call https addresses only: put TLS in front"
        )
    else:
        yield ok("server.public_url", url)


def trusted_proxies(settings: Settings) -> Iterator[Finding]:
    """A server that others reach probably stands behind a proxy; not named, the proxy is taken for every caller."""
    server = settings.server
    behind_one = urlsplit(server.public_url).scheme == "https" or not _is_loopback(server.host)
    if behind_one and not server.trusted_proxies:
        yield warn(
            "server.trusted_proxies",
            "no proxy is named: one in front counts as the address of every caller",
            "list the proxy's address; leave it if callers connect without one",
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _is_private(host: str) -> bool:
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return host == "localhost" or "." not in host


def proxies(environ: Mapping[str, str]) -> Iterator[Finding]:
    """Proxy variables count for Slack alone (NO_PROXY respected): say so before somebody relies on them."""
    found = [name for name in PROXY_VARIABLES if environ.get(name) or environ.get(name.lower())]
    if found:
        text = f"{', '.join(found)} is set: Slack is called through it, Teams, Entra and Graph are called directly"
        yield warn(
            "proxy", text, "allow Microsoft's hosts on port 443 in the firewall, or unset it if it is not wanted"
        )


async def database(settings: Settings) -> list[Finding]:
    """Whether the database answers and is at this version; a missing SQLite file is not created."""
    url = settings.storage.url.get_secret_value()
    if url.startswith("sqlite:///") and (missing := _without_file(Path(url.removeprefix("sqlite:///")))):
        return [missing]
    opened = Database.open(url)
    try:
        found = await revision(opened)
        sealed = await seals(settings, opened) if found == head() else []
    except (SQLAlchemyError, OSError) as error:
        return [fail("database", f"does not answer ({type(error).__name__})", database_remedy(settings))]
    finally:
        await opened.close()
    if found == head():
        return [ok("database", f"at {found}"), *sealed]
    if found is None:
        return [warn("database", "reachable and empty", "run `herald migrate`")]
    return [fail("database", f"at {found}, this version works with {head()}", "run `herald migrate`")]


def _without_file(path: Path) -> Finding | None:
    if path.exists():
        return None
    folder = path.parent
    if folder.is_dir() and os.access(folder, os.W_OK):
        return warn("database", f"{path.name} does not exist yet", "run `herald migrate`")
    return fail("database", f"folder {folder} is missing or not writable", "create it, or correct storage.url")
