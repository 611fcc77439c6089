"""`herald manifest`: what to upload at Teams and Slack, filled in from the settings."""

import json
from pathlib import Path
from urllib.parse import urlsplit

import click

from console.commands.slack_manifest import slack_manifest, unknown_scopes
from console.commands.teams_package import Publisher, package, teams_manifest
from console.commands.tools import Tools, Trouble, choose_bot, config_option
from settings import Settings

BOT_OPTION = click.option("--bot", metavar="ST-ID", help="bot id; default: the only one with this channel")


@click.group()
def manifest() -> None:
    """Write the app package for Teams or the app manifest for Slack."""


@manifest.command()
@config_option
@BOT_OPTION
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    metavar="FILE.zip",
    help="the package to upload in the Teams admin center",
)
@click.option("--version", default="1.0.0", show_default=True, help="raise it whenever you upload a changed package")
@click.option("--publisher", metavar="NAME", help="who people see behind the app; default: the bot's name")
@click.option("--website", metavar="URL", help="default: server.public_url")
@click.option("--privacy", metavar="URL", help="default: the website")
@click.option("--terms", metavar="URL", help="default: the website")
@click.pass_obj
def teams(
    tools: Tools,
    config: Path | None,
    bot: str | None,
    output: Path,
    version: str,
    publisher: str | None,
    website: str | None,
    privacy: str | None,
    terms: str | None,
) -> None:
    """Write the Teams app package."""
    settings = tools.settings_or_fail(config)
    chosen = choose_bot(settings, bot, "msteams")
    assert chosen.msteams is not None  # noqa: S101 - choose_bot saw to it
    site = _https(website or settings.server.public_url, "--website")
    who = Publisher(
        publisher or chosen.name, site, _https(privacy or site, "--privacy"), _https(terms or site, "--terms")
    )
    public_url = settings.server.public_url
    content = package(teams_manifest(chosen, chosen.msteams, who, public_url=public_url, version=version))
    try:
        output.write_bytes(content)
    except OSError as error:
        raise Trouble(f"Cannot write {output} ({error.strerror}): choose another place.") from error
    click.echo(f"Wrote {output}. Upload it in the Teams admin center under Teams apps → Manage apps.", err=True)


@manifest.command()
@config_option
@BOT_OPTION
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="default: stdout")
@click.pass_obj
def slack(tools: Tools, config: Path | None, bot: str | None, output: Path | None) -> None:
    """Write the Slack app manifest as JSON."""
    settings = tools.settings_or_fail(config)
    chosen = choose_bot(settings, bot, "slack")
    assert chosen.slack is not None  # noqa: S101 - choose_bot saw to it
    _slack_reaches(settings)
    if unknown := unknown_scopes((*chosen.slack.scopes, *chosen.slack.optional_scopes)):
        raise Trouble(f"Not scopes of a Slack notifier: {', '.join(unknown)}. Correct scopes or optional_scopes.")
    text = json.dumps(slack_manifest(chosen, chosen.slack, public_url=settings.server.public_url), indent=2)
    if output is None:
        click.echo(text)
        return
    try:
        output.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise Trouble(f"Cannot write {output} ({error.strerror}): choose another place.") from error
    click.echo(f"Wrote {output}. Paste it at https://api.slack.com/apps: Create New App, From a manifest.", err=True)


def _https(url: str, option: str) -> str:
    parts = urlsplit(url)
    if parts.scheme != "https" or not parts.hostname:
        raise Trouble(f"Teams wants https addresses: set server.public_url to one, or give {option} https://…")
    return url


def _slack_reaches(settings: Settings) -> None:
    if urlsplit(settings.server.public_url).scheme != "https":
        click.echo("Warning: Slack calls https addresses only; set server.public_url before you use this.", err=True)
