"""What the Teams side is told at start. Values only; app.py makes them from the settings."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal

from adapters.base import BotId

AppType = Literal["SingleTenant", "MultiTenant", "UserAssignedMSI"]


@dataclass(frozen=True, slots=True)
class Certificate:
    """A credential instead of a password: the PEM private key and the SHA-1 thumbprint shown by Entra."""

    private_key: str = field(repr=False)
    thumbprint: str

    def __post_init__(self) -> None:
        """Refuse a SHA-256 thumbprint: msal would sign with it as if it were SHA-1, and Entra would reject that."""
        if not re.fullmatch(r"[0-9A-Fa-f]{40}", self.thumbprint.replace(":", "")):
            raise ValueError("thumbprint must be the SHA-1 one: 40 hexadecimal digits")


@dataclass(frozen=True, slots=True)
class TeamsApp:
    """One bot's Teams side. Exactly one of password and certificate, or neither for a managed identity."""

    bot: BotId
    app_id: str
    app_type: AppType = "SingleTenant"
    tenant_id: str | None = None
    password: str | None = field(default=None, repr=False)
    certificate: Certificate | None = None
    catalog_app_id: str | None = None
    graph: bool = True  # people may be looked up by Graph
    installs: bool = False  # the app may be installed for people by Graph

    def __post_init__(self) -> None:
        """Refuse what would switch authentication off or could never get a token."""
        if not self.app_id:
            raise ValueError("app_id is empty: botbuilder would switch authentication off")
        if self.app_type == "SingleTenant" and not self.tenant_id:
            raise ValueError("tenant_id is missing: a SingleTenant app gets its tokens from its own tenant")
        credentials = bool(self.password) + (self.certificate is not None)
        if credentials != (0 if self.app_type == "UserAssignedMSI" else 1):
            raise ValueError("give exactly one of password and certificate, and neither for UserAssignedMSI")

    @property
    def home_tenant(self) -> str | None:
        """The only tenant this app may hear from; None for an app of many tenants."""
        return None if self.app_type == "MultiTenant" else self.tenant_id

    @property
    def channel_account(self) -> str:
        """The bot as a member of a Teams conversation."""
        return f"28:{self.app_id}"


@dataclass(frozen=True, slots=True)
class TeamsEndpoints:
    """Where one cloud's services are. Addresses stand without a trailing slash, the default service URL with one."""

    entra_login: str
    bot_openid: str
    bot_issuer: str  # issuer of inbound tokens and, with /.default, scope of outbound ones
    multi_tenant_login: str  # the tenant in which a multi-tenant app asks for its token
    graph: str
    graph_audience: str
    service_urls: tuple[str, ...]
    default_service_url: str | None
    allow_http: bool = False


@dataclass(frozen=True, slots=True)
class TeamsPace:
    """How fast a lane may go; the defaults stay just below what limits.py documents."""

    requests_per_second: float = 48.0
    in_flight: int = 32
    graph_batches_per_second: float = 10.0
    graph_burst: float = 5.0
    installs_per_second: float = 28.0
