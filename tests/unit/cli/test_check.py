"""`herald check`: every line is ok, warn or fail, with what to do."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, get_args

import jwt
import pytest
from aiohttp import web
from pydantic import BaseModel, SecretStr

from console.commands.checks import secrecy
from settings import Settings
from storage.engine import Database
from tests.unit.cli.conftest import CLIENT_SECRET, TENANT

if TYPE_CHECKING:
    from tests.unit.cli.conftest import Shell

ROLES = ["User.Read.All", "TeamsAppInstallation.ReadWriteSelfForUser.All"]


INSTALL = "TeamsAppInstallation.ReadWriteSelfForUser.All"


def graph_token(*roles: str) -> str:
    return jwt.encode({"roles": list(roles)}, "k" * 32, algorithm="HS256")


@dataclass
class Platforms:
    """Entra, the Bot Framework's metadata and Slack, with what they answer."""

    url: str = ""
    metadata: Any = field(default_factory=lambda: {"jwks_uri": "https://keys.example"})
    bot: Any = field(default_factory=lambda: {"access_token": "bot-token"})
    graph: Any = field(default_factory=lambda: {"access_token": graph_token(*ROLES)})
    slack: Any = field(default_factory=lambda: {"ok": True, "team": "Contoso"})
    scopes: str = "chat:write,users:read,users:read.email"
    forms: list[dict[str, Any]] = field(default_factory=list)
    authorization: list[str] = field(default_factory=list)

    async def openid(self, _request: web.Request) -> web.Response:
        return web.json_response(self.metadata)

    async def token(self, request: web.Request) -> web.Response:
        form = {**await request.post(), "tenant": request.match_info["tenant"]}
        self.forms.append(form)
        answer = self.graph if "graph" in str(form["scope"]) else self.bot
        return web.json_response(answer, status=200 if "access_token" in answer else 401)

    async def slack_call(self, request: web.Request) -> web.Response:
        self.authorization.append(f"{request.match_info['method']} {request.headers.get('Authorization', '')}")
        return web.json_response(self.slack, headers={"x-oauth-scopes": self.scopes})


@pytest.fixture(name="platforms")
async def _platforms(shell: Shell) -> AsyncIterator[Platforms]:
    stub = Platforms()
    app = web.Application()
    app.router.add_get("/openid", stub.openid)
    app.router.add_post("/{tenant}/oauth2/v2.0/token", stub.token)
    app.router.add_post("/api/{method}", stub.slack_call)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    stub.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    shell.text += f"""
[endpoints]
dangerously_allow_http_endpoints = true
bot_openid = "{stub.url}/openid"
entra_login = "{stub.url}"
slack_api = "{stub.url}/api"
"""
    yield stub
    await runner.cleanup()


class TestSetup:
    def test_all_well(self, shell: Shell) -> None:
        """With a good setup nothing warns, and the code is 0."""
        shell.run("migrate")
        result = shell.run("check", "--offline")

        assert result.exit_code == 0
        assert {line.split()[0] for line in result.stdout.splitlines()} == {"ok"}

    def test_settings(self, shell: Shell) -> None:
        """Each problem of the settings is a failing line of its own."""
        shell.text = '[server]\nport = "x"\n'
        result = shell.run("check", "--offline")

        assert result.exit_code == 1
        assert [line.split()[0] for line in result.stdout.splitlines()] == ["fail", "fail"]
        assert "server.port" in result.stdout

    def test_no_bots(self, shell: Shell) -> None:
        """Without a bot nothing can be sent."""
        shell.text = shell.text.split("[[bots]]")[0]

        assert "fail bots: none configured" in shell.run("check", "--offline").stdout

    def test_no_clients(self, shell: Shell) -> None:
        """A bot that nobody may call fails."""
        shell.text = shell.text.split("[[bots.clients]]")[0]

        assert "fail People team: nobody may call it" in shell.run("check", "--offline").stdout

    def test_short_secret(self, shell: Shell) -> None:
        """A secret shorter than its hash warns."""
        shell.text = shell.text.replace("0123456789abcdef0123456789abcdef", "0123456789abcdef")

        assert "warn People team, client cs-1: a secret is shorter" in shell.run("check", "--offline").stdout

    def test_ended(self, shell: Shell) -> None:
        """S08: a secret past its end is named, and is no fault while another opens; alone it is one."""
        old = '{ value = "fedcba9876543210fedcba9876543210", until = 2020-01-01T00:00:00Z }'
        shell.text += f"secrets = [{old}]\n"
        both = shell.run("check", "--offline")
        shell.text = shell.text.replace('secret = "0123456789abcdef0123456789abcdef"\n', "")
        alone = shell.run("check", "--offline")

        said = "warn People team, client cs-1: secrets[0] opens nothing since 2020-01-01 00:00 UTC, its `until`"
        assert said in both.stdout
        assert "ok   People team, client cs-1: verifies HS256 with 1 secret(s)" in both.stdout
        assert both.exit_code == 0
        assert said in alone.stdout
        assert "fail People team, client cs-1: every secret is past its `until`" in alone.stdout
        assert "fedcba" not in both.stdout + alone.stdout

    def test_placeholder(self, shell: Shell) -> None:
        """S09: a secret that is none fails by its key, and is not shown."""
        shell.text = shell.text.replace("0123456789abcdef0123456789abcdef", "please change this secret")
        result = shell.run("check", "--offline")

        assert result.exit_code == 1
        assert "bots[0].clients[0].secret → is a placeholder: write the secret itself" in result.stdout
        assert "please change" not in result.stdout

    def test_danger(self, shell: Shell) -> None:
        """An option called dangerous that is on warns by its name."""
        shell.text += "[endpoints]\ndangerously_allow_http_endpoints = true\n"

        assert "warn endpoints.dangerously_allow_http_endpoints: is on" in shell.run("check", "--offline").stdout

    @pytest.mark.parametrize(
        ("url", "level"),
        [("http://localhost:8080", "warn"), ("https://10.0.0.1", "warn"), ("http://herald.example.com", "fail")],
    )
    def test_public_url(self, shell: Shell, url: str, level: str) -> None:
        """A private address warns, a public one without TLS fails: the platforms call https only."""
        shell.text = shell.text.replace("https://herald.example.com", url)

        assert f"{level} server.public_url: {url}" in shell.run("check", "--offline").stdout

    @pytest.mark.parametrize(
        ("line", "said"),
        [
            ("", True),
            ('public_url = "http://localhost:8080"\n', False),
            ('public_url = "http://localhost:8080"\nhost = "0.0.0.0"\n', True),
            ('public_url = "http://localhost:8080"\nhost = "::1"\n', False),
        ],
    )
    def test_trusted_proxies(self, shell: Shell, line: str, said: bool) -> None:
        """A server that others reach and that knows no proxy gets a hint; a local one does not."""
        shell.text = shell.text.replace('trusted_proxies = ["127.0.0.1"]\n', "")
        if line:
            shell.text = shell.text.replace('public_url = "https://herald.example.com"\n', line)

        assert said == ("warn server.trusted_proxies: no proxy is named" in shell.run("check", "--offline").stdout)

    def test_readable_secrets(self, shell: Shell) -> None:
        """A settings file that everybody may read is fine without secrets; with some they are named, not shown."""
        shell.mode = 0o644
        output = shell.run("check", "--offline").stdout

        assert "holds app_password, bot_token, encryption_key, secret, signing_secret in clear" in output
        assert "teams-password" not in output

    def test_secrets_elsewhere(self, shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where the file only says where the secrets are, nobody needs to be kept from it."""
        shell.mode = 0o644
        for name in ("teams-password", "slack-signing", "xoxb-1", "0123456789abcdefghijklmnopqrstuv", CLIENT_SECRET):
            variable = f"SECRET_{len(name)}"
            monkeypatch.setenv(variable, name)
            shell.text = shell.text.replace(f'"{name}"', f'"env:{variable}"')

        assert "in clear" not in shell.run("check", "--offline").stdout

    def test_every_secret_is_known(self) -> None:
        """The keys that are looked for are those that hold a secret in the settings."""
        assert set(secrets_in(Settings)) == secrecy.SECRETS

    def test_proxy(self, shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
        """A proxy variable, which counts for Slack alone, is pointed out without its value."""
        monkeypatch.setenv("https_proxy", "http://user:pw@proxy")
        output = shell.run("check", "--offline").stdout

        assert "warn proxy: HTTPS_PROXY is set" in output
        assert "pw" not in output


def secrets_in(table: type[BaseModel]) -> Iterator[str]:
    """The names of the fields of a table, and of the tables in it, that hold secrets."""
    for name, field_info in table.model_fields.items():
        kinds = [field_info.annotation]
        while kinds:
            kind = kinds.pop()
            kinds.extend(get_args(kind))
            if kind is SecretStr:
                yield name
            elif isinstance(kind, type) and issubclass(kind, BaseModel):
                yield from secrets_in(kind)


class TestDatabase:
    def test_rights(self, shell: Shell) -> None:
        """Files that others can read are warned of and left; the migration takes these rights away."""
        shell.run("migrate")
        for file in shell.folder.glob("herald.db*"):
            file.chmod(0o644)
        warned = shell.run("check", "--offline").stdout
        after = {file.stat().st_mode & 0o777 for file in shell.folder.glob("herald.db*")}
        shell.run("migrate")

        assert "warn database: other users of this machine can read herald.db, herald.db.lock" in warned
        assert after == {0o644}
        assert {file.stat().st_mode & 0o777 for file in shell.folder.glob("herald.db*")} == {0o600}
        assert "other users" not in shell.run("check", "--offline").stdout

    def test_missing_file(self, shell: Shell) -> None:
        """A SQLite file that is not there warns and is not created."""
        assert (
            "warn database: herald.db does not exist yet → run `herald migrate`"
            in shell.run("check", "--offline").stdout
        )
        assert not (shell.folder / "herald.db").exists()

    def test_missing_folder(self, shell: Shell) -> None:
        """A folder that is not there fails."""
        shell.text = shell.text.replace("sqlite:///herald.db", "sqlite:///none/herald.db")

        assert "fail database: folder" in shell.run("check", "--offline").stdout

    def test_empty(self, shell: Shell) -> None:
        """An empty database asks for the migration."""
        (shell.folder / "herald.db").touch()

        assert "warn database: reachable and empty → run `herald migrate`" in shell.run("check", "--offline").stdout

    async def test_other_revision(self, shell: Shell) -> None:
        """A database at another revision fails with both."""
        await shell.run_beside("migrate")
        database = Database.open(f"sqlite:///{shell.folder}/herald.db")
        async with database.write() as tx:
            await tx.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
        await database.close()

        assert (
            "fail database: at 9999, this version works with" in (await shell.run_beside("check", "--offline")).stdout
        )

    def test_postgres_down(self, shell: Shell) -> None:
        """A PostgreSQL that does not answer fails, and its password is not shown."""
        shell.text = shell.text.replace("sqlite:///herald.db", "postgresql://u:hunter2@127.0.0.1:1/herald")
        output = shell.run("check", "--offline").stdout

        assert "fail database: does not answer" in output
        assert "hunter2" not in output


class TestPlatforms:
    async def test_all_well(self, shell: Shell, platforms: Platforms) -> None:
        """Good credentials with all permissions are ok; nothing secret is printed."""
        result = await shell.run_beside("check")

        assert result.exit_code == 0
        assert "ok   Teams signing keys: published by 127.0.0.1" in result.stdout
        assert "ok   People team, Teams: Entra gives the bot its token" in result.stdout
        assert "ok   People team, Graph: User.Read.All" in result.stdout
        assert "ok   People team, Slack: the token opens Contoso" in result.stdout
        assert "ok   People team, Slack: scopes: chat:write, users:read, users:read.email" in result.stdout
        assert [word for word in ("teams-password", "xoxb-1", "bot-token") if word in result.output] == []

    async def test_asked_as_the_sender_asks(self, shell: Shell, platforms: Platforms) -> None:
        """The tokens asked for are those of the send path: the app's tenant, the bot's and Graph's audience."""
        await shell.run_beside("check")

        assert {(form["tenant"], form["scope"]) for form in platforms.forms} == {
            (TENANT, "https://api.botframework.com/.default"),
            (TENANT, "https://graph.microsoft.com/.default"),
        }
        assert platforms.authorization == ["auth.test Bearer xoxb-1"]

    async def test_multi_tenant(self, shell: Shell, platforms: Platforms) -> None:
        """A multi-tenant bot asks in the Bot Framework's tenant, and Graph is left to each tenant."""
        shell.text = shell.text.replace(f'tenant_id = "{TENANT}"', 'app_type = "MultiTenant"')

        result = await shell.run_beside("check")

        assert [form["tenant"] for form in platforms.forms] == ["botframework.com"]
        assert "warn People team, Graph: not tried: no tenant_id" in result.stdout

    @pytest.mark.parametrize(
        ("code", "remedy"),
        [(7000215, "the secret's Value"), (700016, "correct app_id"), (1, "login.microsoftonline.com/error")],
    )
    async def test_entra_refuses(self, shell: Shell, platforms: Platforms, code: int, remedy: str) -> None:
        """Entra's error codes are translated into what to do."""
        platforms.bot = {"error": "invalid_client", "error_codes": [code], "error_description": "long"}
        result = await shell.run_beside("check")

        assert result.exit_code == 1
        assert f"(AADSTS{code})" in result.stdout
        assert remedy in result.stdout

    @pytest.mark.parametrize(
        ("roles", "line"),
        [
            ([], "fail People team, Graph: may not look people up"),
            (["User.ReadBasic.All"], "warn People team, Graph: User.ReadBasic.All"),
        ],
    )
    async def test_graph_permissions(self, shell: Shell, platforms: Platforms, roles: list[str], line: str) -> None:
        """Missing Graph permissions are named."""
        platforms.graph = {"access_token": graph_token(*roles)}

        assert line in (await shell.run_beside("check")).stdout

    @pytest.mark.parametrize(
        ("roles", "line"),
        [
            (["User.Read.All"], "fail People team, Graph: may not install the app for people"),
            (
                ["TeamsAppInstallation.ReadWriteSelfForUser.All"],
                "fail People team, Graph: may not read the app catalog",
            ),
            (
                ["TeamsAppInstallation.ReadWriteForUser.All", "AppCatalog.Read.All"],
                "warn People team, Graph: TeamsAppInstallation.ReadWriteForUser.All",
            ),
            (
                [INSTALL, "AppCatalog.Read.All"],
                f"ok   People team, Graph: {INSTALL}",
            ),
        ],
    )
    async def test_install_permissions(self, shell: Shell, platforms: Platforms, roles: list[str], line: str) -> None:
        """Where the app is to be installed for people, the permissions for it are looked over."""
        shell.text = shell.text.replace('tenant_id = "7e4a', 'install = true\ntenant_id = "7e4a')
        platforms.graph = {"access_token": graph_token("User.Read.All", *roles)}

        assert line in (await shell.run_beside("check")).stdout

    async def test_graph_off(self, shell: Shell, platforms: Platforms) -> None:
        """Without Graph in the settings it is not asked."""
        shell.text = shell.text.replace('tenant_id = "7e4a', 'graph = false\ntenant_id = "7e4a')

        await shell.run_beside("check")

        assert len(platforms.forms) == 1

    async def test_slack_refuses(self, shell: Shell, platforms: Platforms) -> None:
        """Slack's error is shown with what to do."""
        platforms.slack = {"ok": False, "error": "account_inactive"}

        assert "(account_inactive) → the app was removed from the workspace" in (await shell.run_beside("check")).stdout

    async def test_slack_scopes(self, shell: Shell, platforms: Platforms) -> None:
        """Scopes that the token lacks fail."""
        platforms.scopes = "chat:write"

        assert (
            "fail People team, Slack: scopes missing: users:read, users:read.email"
            in (await shell.run_beside("check")).stdout
        )

    async def test_oauth(self, shell: Shell, platforms: Platforms) -> None:
        """With OAuth installs there is no token yet, so only Slack's reachability is looked at."""
        shell.text = shell.text.replace('bot_token = "xoxb-1"', 'client_id = "1.2"\nclient_secret = "c"')

        result = await shell.run_beside("check")

        assert "ok   People team, Slack: reachable" in result.stdout
        assert platforms.authorization == ["api.test "]

    async def test_metadata(self, shell: Shell, platforms: Platforms) -> None:
        """Metadata without a key address fails: no inbound event could be verified."""
        platforms.metadata = {}

        assert (
            "fail Teams signing keys: 127.0.0.1 answered 200 without jwks_uri"
            in (await shell.run_beside("check")).stdout
        )

    async def test_unreachable(self, shell: Shell, platforms: Platforms) -> None:
        """A platform that cannot be reached is named by host."""
        shell.text = shell.text.replace(platforms.url, "http://127.0.0.1:1")

        result = await shell.run_beside("check")

        assert result.exit_code == 1
        assert result.stdout.count("cannot reach 127.0.0.1") == 3
