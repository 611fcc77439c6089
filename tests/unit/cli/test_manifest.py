"""`herald manifest`: the Teams app package and the Slack app manifest."""

from __future__ import annotations

import json
import struct
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from jsonschema import Draft4Validator, Draft7Validator  # type: ignore[import-untyped]  # ships no types

from console.commands.slack_manifest import EVENTS, KNOWN_SCOPES
from tests.unit.cli.conftest import APP, BOT, TENANT

if TYPE_CHECKING:
    from tests.unit.cli.conftest import Shell

DATA = Path(__file__).parents[2] / "data"
OAUTH = 'client_id = "1.2"\nclient_secret = "c"\n'


def text(most: int, least: int = 1) -> dict[str, Any]:
    return {"type": "string", "minLength": least, "maxLength": most}


def table(required: list[str], **properties: Any) -> dict[str, Any]:
    return {"type": "object", "required": required, "additionalProperties": False, "properties": properties}


def names(most: int) -> dict[str, Any]:
    return {"type": "array", "items": text(50), "maxItems": most, "uniqueItems": True}


FLAG = {"type": "boolean"}
URL = {"type": "string", "pattern": "^https://", "maxLength": 3500}
# What https://docs.slack.dev/reference/app-manifest documents about the keys that we write.
SLACK_RULES = table(
    ["display_information", "features", "oauth_config", "settings"],
    display_information=table(["name"], name=text(35), description=text(140)),
    features=table(
        ["app_home", "bot_user"],
        app_home=table([], home_tab_enabled=FLAG, messages_tab_enabled=FLAG, messages_tab_read_only_enabled=FLAG),
        bot_user=table(["display_name"], display_name=text(80), always_online=FLAG),
    ),
    oauth_config=table(
        ["scopes"],
        redirect_urls={"type": "array", "items": URL, "maxItems": 1000},
        scopes=table(["bot"], bot=names(255), bot_optional=names(255)),
    ),
    settings=table(
        ["event_subscriptions"],
        event_subscriptions=table(["request_url", "bot_events"], request_url=URL, bot_events=names(100)),
        interactivity=table(["is_enabled"], is_enabled=FLAG, request_url=URL),
        org_deploy_enabled=FLAG,
        socket_mode_enabled=FLAG,
        token_rotation_enabled=FLAG,
    ),
)


@pytest.fixture(name="schema", scope="module")
def _schema() -> Draft4Validator:
    path = DATA / "MicrosoftTeams.schema.v1.22.json"
    return Draft4Validator(json.loads(path.read_text(encoding="utf-8")))


class TeamsPackage:
    def __init__(self, path: Path) -> None:
        self.bytes = path.read_bytes()
        with zipfile.ZipFile(path) as archive:
            self.files = {name: archive.read(name) for name in archive.namelist()}
        self.manifest: dict[str, Any] = json.loads(self.files["manifest.json"])


def teams(shell: Shell, *more: str) -> TeamsPackage:
    path = shell.folder / "herald.zip"
    result = shell.run("manifest", "teams", "-o", str(path), *more)
    assert result.exit_code == 0, result.output
    return TeamsPackage(path)


def slack(shell: Shell) -> dict[str, Any]:
    result = shell.run("manifest", "slack")
    assert result.exit_code == 0, result.output
    manifest: dict[str, Any] = json.loads(result.stdout)
    return manifest


class TestTeams:
    @pytest.mark.parametrize("name", ["People team", "N" * 100, 'Ünï "quoted" 通知'])
    def test_schema(self, shell: Shell, schema: Draft4Validator, name: str) -> None:
        """The manifest is valid against Microsoft's schema, whatever the bot is called."""
        shell.text = shell.text.replace('"People team"', json.dumps(name, ensure_ascii=False))

        assert [error.message for error in schema.iter_errors(teams(shell).manifest)] == []

    def test_schema_bites(self, shell: Shell, schema: Draft4Validator) -> None:
        """The schema check would notice a wrong scope, a long name and a missing icon."""
        manifest = teams(shell).manifest
        broken = [
            manifest | {"bots": [manifest["bots"][0] | {"scopes": ["groupchat"]}]},
            manifest | {"name": {"short": "x" * 31}},
            manifest | {"icons": {"color": "color.png"}},
        ]

        assert [bool(list(schema.iter_errors(one))) for one in broken] == [True, True, True]

    def test_notification_bot(self, shell: Shell) -> None:
        """The bot is for personal chats, only notifies, and may install itself for people."""
        manifest = teams(shell).manifest

        assert (manifest["id"], manifest["bots"][0]["botId"], manifest["webApplicationInfo"]["id"]) == (APP, APP, APP)
        assert manifest["bots"][0]["scopes"] == ["personal"]
        assert manifest["bots"][0]["isNotificationOnly"] is True
        assert manifest["defaultInstallScope"] == "personal"
        assert manifest["validDomains"] == ["herald.example.com"]

    def test_root(self, shell: Shell) -> None:
        """Manifest and both icons stand at the root of the zip."""
        assert sorted(teams(shell).files) == ["color.png", "manifest.json", "outline.png"]

    @pytest.mark.parametrize(("icon", "size"), [("color.png", 192), ("outline.png", 32)])
    def test_icons(self, shell: Shell, icon: str, size: int) -> None:
        """The icons are PNG files of the demanded sizes."""
        content = teams(shell).files[icon]

        assert content[:8] == b"\x89PNG\r\n\x1a\n"
        assert struct.unpack(">II", content[16:24]) == (size, size)

    def test_deterministic(self, shell: Shell) -> None:
        """The same settings give the same bytes."""
        assert teams(shell).bytes == teams(shell).bytes

    def test_options(self, shell: Shell) -> None:
        """Version and publisher can be given."""
        manifest = teams(
            shell, "--version", "2.0.1", "--publisher", "Contoso", "--privacy", "https://p.example"
        ).manifest

        assert (manifest["version"], manifest["developer"]) == (
            "2.0.1",
            {
                "name": "Contoso",
                "websiteUrl": "https://herald.example.com",
                "privacyUrl": "https://p.example",
                "termsOfUseUrl": "https://herald.example.com",
            },
        )

    def test_no_public_address(self, shell: Shell) -> None:
        """Without an https address Teams would refuse the package, so none is written."""
        shell.text = shell.text.replace("https://herald.example.com", "http://localhost:8080")

        result = shell.run("manifest", "teams", "-o", str(shell.folder / "herald.zip"))

        assert result.exit_code == 4
        assert "Teams wants https addresses: set server.public_url" in result.stderr

    def test_no_teams_bot(self, shell: Shell) -> None:
        """A bot without Teams has no package."""
        shell.text = shell.text.replace("[bots.msteams]", "").replace(f'app_id = "{APP}"', "")
        shell.text = shell.text.replace(f'app_password = "teams-password"\ntenant_id = "{TENANT}"\n', "")

        result = shell.run("manifest", "teams", "-o", str(shell.folder / "herald.zip"))

        assert "no bot with [bots.msteams]: add one" in result.stderr


class TestSlack:
    @pytest.mark.parametrize("name", ["People team", "N" * 100])
    def test_rules(self, shell: Shell, name: str) -> None:
        """The manifest keeps to the documented keys, types and lengths."""
        shell.text = shell.text.replace("People team", name).replace('bot_token = "xoxb-1"\n', OAUTH)

        assert [error.message for error in Draft7Validator(SLACK_RULES).iter_errors(slack(shell))] == []

    def test_addresses(self, shell: Shell) -> None:
        """Events, interactivity and consent lead to this server's routes of the bot."""
        shell.text = shell.text.replace('bot_token = "xoxb-1"\n', OAUTH)
        manifest, root = slack(shell), f"https://herald.example.com/slack/{BOT}"

        assert manifest["settings"]["event_subscriptions"]["request_url"] == f"{root}/events"
        assert manifest["settings"]["interactivity"]["request_url"] == f"{root}/interactivity"
        assert manifest["oauth_config"]["redirect_urls"] == [f"{root}/oauth_redirect"]
        assert manifest["settings"]["org_deploy_enabled"] is True

    def test_single_workspace(self, shell: Shell) -> None:
        """With a bot token there is no consent page and no organisation-wide install."""
        manifest = slack(shell)

        assert "redirect_urls" not in manifest["oauth_config"]
        assert manifest["settings"]["org_deploy_enabled"] is False

    def test_events(self, shell: Shell) -> None:
        """Exactly the events that keep people, conversations and installations true are subscribed."""
        assert slack(shell)["settings"]["event_subscriptions"]["bot_events"] == [
            "app_home_opened",
            "team_join",
            "user_change",
            "app_uninstalled",
            "tokens_revoked",
            "team_access_granted",
            "team_access_revoked",
        ]

    def test_events_without_scope(self, shell: Shell) -> None:
        """An event whose scope is not asked for is left out: Slack would refuse the manifest."""
        shell.text = shell.text.replace('bot_token = "xoxb-1"\n', 'bot_token = "xoxb-1"\nscopes = ["chat:write"]\n')

        assert "team_join" not in slack(shell)["settings"]["event_subscriptions"]["bot_events"]

    def test_event_scopes_exist(self) -> None:
        """Every scope that an event needs is a known one."""
        assert {scope for scope in EVENTS.values() if scope} <= KNOWN_SCOPES

    def test_read_only_chat(self, shell: Shell) -> None:
        """People can read the chat and not write into it; tokens do not rotate."""
        manifest = slack(shell)

        assert manifest["features"]["app_home"] == {
            "home_tab_enabled": False,
            "messages_tab_enabled": True,
            "messages_tab_read_only_enabled": True,
        }
        assert manifest["settings"]["token_rotation_enabled"] is False

    def test_optional_scopes(self, shell: Shell) -> None:
        """Optional scopes are asked for as optional."""
        token = 'bot_token = "xoxb-1"\n'
        shell.text = shell.text.replace(token, token + 'optional_scopes = ["im:history", "im:write", "chat:write"]\n')

        assert slack(shell)["oauth_config"]["scopes"]["bot_optional"] == ["im:history", "im:write"]

    def test_unknown_scope(self, shell: Shell) -> None:
        """A scope that Slack does not have is refused here, because Slack's own schema does not check it."""
        token = 'bot_token = "xoxb-1"\n'
        shell.text = shell.text.replace(token, token + 'scopes = ["chat:write", "nope:scope"]\n')

        result = shell.run("manifest", "slack")

        assert result.exit_code == 4
        assert "nope:scope" in result.stderr

    def test_file(self, shell: Shell) -> None:
        """The manifest can go to a file."""
        path = shell.folder / "slack.json"
        result = shell.run("manifest", "slack", "-o", str(path))

        assert result.stdout == ""
        assert json.loads(path.read_text(encoding="utf-8")) == slack(shell)
