"""Who else on this machine can read what Herald keeps: the settings file with secrets in clear, the SQLite files."""

import stat
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from console.commands.checks.findings import Finding, warn
from settings import Settings
from storage import privacy

SECRETS: Final = frozenset(
    {"app_password", "bot_token", "client_secret", "encryption_key", "private_key"}
    | {"secret", "signing_secret", "url", "value"}
)
"""The keys that hold a secret, whatever their table."""


def settings(path: Path | None) -> Iterator[Finding]:
    """A file that holds secrets themselves, and not where they are, is nobody else's to read."""
    if path is None or not path.stat().st_mode & stat.S_IROTH:
        return
    found = sorted(set(_in_clear(tomllib.loads(path.read_text(encoding="utf-8")))))
    if found:
        text = f"{path.name} holds {', '.join(found)} in clear and every user of this machine can read it"
        yield warn("settings", text, f"chmod 640 {path.name}, or write env:NAME or file:PATH instead")


def _in_clear(values: Any) -> Iterator[str]:
    if isinstance(values, list):
        for each in values:
            yield from _in_clear(each)
    elif isinstance(values, dict):
        for key, value in values.items():
            written = value if isinstance(value, list) else [value]
            if key in SECRETS and any(isinstance(each, str) and _is_secret(key, each) for each in written):
                yield key
            yield from _in_clear(value)


def _is_secret(key: str, value: str) -> bool:
    if value.startswith(("env:", "file:", "-----BEGIN PUBLIC KEY")):
        return False
    return key != "url" or bool(urlsplit(value).password)


def database(settings: Settings) -> Iterator[Finding]:
    """The files of a SQLite database; `check` changes nothing, so it leaves them as they are."""
    url = settings.storage.url.get_secret_value()
    names = (
        [file.name for file in privacy.wide(Path(url.removeprefix("sqlite:///")))] if url.startswith("sqlite:") else []
    )
    if names:
        text = f"other users of this machine can read {', '.join(names)}"
        yield warn("database", text, "`herald migrate` and `herald serve` take these rights away; or chmod 600")
