"""PURE: the Teams app package of a bot, a zip of manifest.json and two icons, the same bytes for the same input.

Manifest keys: https://learn.microsoft.com/microsoft-365/extensibility/schema/. Version 1.22 has all that a
notifier needs; the admin tools of some clouds refuse the newest ones.
"""

import io
import ipaddress
import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from settings import Bot, TeamsApp

MANIFEST_VERSION: Final = "1.22"
SCHEMA_URL: Final = f"https://developer.microsoft.com/json-schemas/teams/v{MANIFEST_VERSION}/MicrosoftTeams.schema.json"
ICONS: Final = ("color.png", "outline.png")  # 192×192; 32×32 white on transparent
ASSETS: Final = Path(__file__).parent / "assets"
ACCENT: Final = "#2F4BA8"
ZIP_EPOCH: Final = (1980, 1, 1, 0, 0, 0)  # the earliest moment that a zip can name: no build time in the package


@dataclass(frozen=True, slots=True)
class Publisher:
    """Who stands behind the app; Teams shows it before an install. All addresses are https."""

    name: str
    website: str
    privacy: str
    terms: str


def teams_manifest(bot: Bot, app: TeamsApp, publisher: Publisher, *, public_url: str, version: str) -> dict[str, Any]:
    """The manifest of a bot that only notifies people in their personal chat.

    The Entra app id is also the manifest id: stable, unique, and what a look-up in the org's catalog asks for.
    """
    return {
        "$schema": SCHEMA_URL,
        "manifestVersion": MANIFEST_VERSION,
        "version": version,
        "id": app.app_id.lower(),
        "developer": {
            "name": publisher.name[:32],
            "websiteUrl": publisher.website,
            "privacyUrl": publisher.privacy,
            "termsOfUseUrl": publisher.terms,
        },
        "name": {"short": bot.name[:30], "full": bot.name[:100]},
        "description": {
            "short": f"Notifications from {bot.name}"[:80],
            "full": f"{bot.name} sends you notifications in a personal chat. It does not read your messages.",
        },
        "icons": {"color": ICONS[0], "outline": ICONS[1]},
        "accentColor": ACCENT,
        "defaultInstallScope": "personal",
        "bots": [
            {
                "botId": app.app_id.lower(),
                "scopes": ["personal"],
                "isNotificationOnly": True,
                "supportsFiles": False,
                "supportsCalling": False,
                "supportsVideo": False,
            }
        ],
        "permissions": ["identity"],
        "validDomains": valid_domains(public_url),
        # lets the app install itself for people by Graph (TeamsAppInstallation.ReadWriteSelfForUser.All)
        "webApplicationInfo": {"id": app.app_id.lower(), "resource": f"api://botid-{app.app_id.lower()}"},
    }


def valid_domains(public_url: str) -> list[str]:
    """The host of the public address, if it is a name that Teams can reach."""
    host = urlsplit(public_url).hostname or ""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return [host] if "." in host else []
    return []


def package(manifest: dict[str, Any]) -> bytes:
    """The zip to upload: files at its root, fixed times and order, stored as they are."""
    files = {"manifest.json": (json.dumps(manifest, indent=2, ensure_ascii=False) + "\n").encode()}
    files |= {icon: (ASSETS / icon).read_bytes() for icon in ICONS}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name, ZIP_EPOCH)
            entry.create_system, entry.external_attr = 3, 0o644 << 16
            archive.writestr(entry, content)
    return buffer.getvalue()
