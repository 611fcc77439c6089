"""Apps, their installations and the tokens and codes that belong to them."""

import itertools
import secrets
from dataclasses import dataclass, field
from typing import Literal

from simulator.slack.directory import base36

BOT_SCOPES = (
    "app_mentions:read channels:history channels:read chat:write chat:write.customize chat:write.public commands "
    "groups:history groups:read im:history im:read im:write mpim:history mpim:read mpim:write reactions:read "
    "reactions:write team:read users.profile:read users:read users:read.email users:write"
)
KNOWN_SCOPES = frozenset(BOT_SCOPES.split())
EVENT_TYPES = (
    "app_home_opened",
    "app_uninstalled",
    "message.im",
    "team_access_granted",
    "team_access_revoked",
    "team_join",
    "tokens_revoked",
    "user_change",
)

DEFAULT_CLIENT_ID = "1000000000001.1000000000001"
DEFAULT_CLIENT_SECRET = "simulator-slack-client-secret"
DEFAULT_SIGNING_SECRET = "simulator-slack-signing-secret"
DEFAULT_APP_ID = "A0SIMAPP0"
DEFAULT_SCOPES = ("chat:write", "users:read", "users:read.email", "im:history", "im:write", "team:read")
DEFAULT_BOT_TOKEN = "xoxb-simulator-default-bot-token"

TokenState = Literal["active", "revoked", "inactive"]


@dataclass(slots=True)
class App:
    """One registered app."""

    id: str
    client_id: str
    client_secret: str
    signing_secret: str
    number: int
    name: str = "Notifier"
    verification_token: str = "simulator-verification-token"
    events_url: str | None = None
    interactivity_url: str | None = None
    redirect_urls: list[str] = field(default_factory=list)
    """Empty: any address of this machine."""
    bot_events: list[str] = field(default_factory=lambda: list(EVENT_TYPES))
    messages_tab_enabled: bool = True
    org_deploy_enabled: bool = True
    outside_marketplace: bool = False


@dataclass(slots=True)
class Install:
    """One app in one workspace, or in an org with access to some of its workspaces."""

    app: App
    token: str
    scopes: tuple[str, ...]
    bot_id: str
    bot_user_id: str
    installer_id: str
    team_id: str | None
    enterprise_id: str | None
    granted: list[str]
    """The workspaces that the token reaches."""
    state: TokenState = "active"
    headers: dict[str, dict[str, str]] = field(default_factory=dict)
    """The scope headers of each method, made once."""

    @property
    def is_enterprise_install(self) -> bool:
        """Whether it is org-wide."""
        return self.team_id is None

    @property
    def place(self) -> str:
        """Workspace or org id."""
        return self.team_id or self.enterprise_id or ""


@dataclass(frozen=True, slots=True)
class Code:
    """What a person approved on the consent page, to be exchanged once for a token."""

    value: str
    app: App
    scopes: tuple[str, ...]
    place: str
    redirect_uri: str | None
    expires: float


class Registry:
    """All apps, installations and codes."""

    def __init__(self) -> None:
        self.apps: dict[str, App] = {}
        self.by_client: dict[str, App] = {}
        self.installs: dict[str, Install] = {}
        self.codes: dict[str, Code] = {}
        self.used_codes: set[str] = set()
        self._numbers = itertools.count()

    def register(self, client_id: str, client_secret: str, signing_secret: str, app_id: str | None = None) -> App:
        """Add an app, or replace the one with the same client id."""
        known = self.by_client.get(client_id)
        number = known.number if known is not None else next(self._numbers)
        app_id = app_id or (known.id if known is not None else f"A0SIMAPP{base36(number, 1)}")
        app = App(app_id, client_id, client_secret, signing_secret, number)
        self.apps[app.id] = self.by_client[client_id] = app
        return app

    def active(self, app: App, place: str) -> Install | None:
        """The living installation of an app in a workspace or org."""
        for install in self.installs.values():
            if install.app.id == app.id and install.place == place and install.state == "active":
                return install
        return None

    def install(
        self,
        app: App,
        scopes: tuple[str, ...],
        *,
        team_id: str | None,
        enterprise_id: str | None,
        granted: list[str],
        installer_id: str,
        token: str | None = None,
    ) -> Install:
        """Install an app. A second installation keeps the token and adds the scopes, as Slack does."""
        place = team_id or enterprise_id or ""
        known = self.active(app, place)
        if known is not None and token in (None, known.token):
            known.scopes = tuple(dict.fromkeys(known.scopes + scopes))
            known.headers = {}
            return known
        letters = f"{base36(app.number, 2)}{place[-4:]}"
        install = Install(
            app=app,
            token=token or f"xoxb-{app.number}-{place}-{secrets.token_hex(12)}",
            scopes=scopes,
            bot_id=f"B0{letters}",
            bot_user_id=f"U0BOT{letters}",
            installer_id=installer_id,
            team_id=team_id,
            enterprise_id=enterprise_id,
            granted=granted,
        )
        self.installs[install.token] = install
        return install

    def of_app(self, app: App) -> list[Install]:
        """The living installations of an app."""
        return [each for each in self.installs.values() if each.app.id == app.id and each.state == "active"]
