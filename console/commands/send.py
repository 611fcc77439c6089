"""`herald send`: posts one notification to many people."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TextIO

import click
from rich.console import Console

from console.commands.api import Access, Caller, Record, access_options, find_access, run
from console.commands.progress import EXIT_CODE_HELP, exit_with, follow, show
from console.commands.rehearsal import EXIT_CODE_HELP as REHEARSAL_HELP
from console.commands.rehearsal import exit_code, show_rehearsal
from console.commands.tools import Tools, config_option


@click.command(epilog=f"{EXIT_CODE_HELP} Without --watch an accepted request ends with 0. {REHEARSAL_HELP}")
@access_options
@config_option
@click.option("--channel", type=click.Choice(["msteams", "slack"]), required=True)
@click.option("--text", help="the message as plain text")
@click.option("--json-file", type=click.File(encoding="utf-8"), help="the platform's own payload as JSON")
@click.option("--identity", "identities", multiple=True, metavar="E-MAIL", help="may be given many times")
@click.option("--identities-file", type=click.File(encoding="utf-8"), help="one a line, # begins a comment, - is stdin")
@click.option("--donotresolve", is_flag=True, help="the identities are channel user ids already")
@click.option("--tenant", metavar="ID", help="only through this Teams tenant or Slack workspace")
@click.option("--dry-run", is_flag=True, help="say how each person would be reached; nothing is sent")
@click.option("--idempotency-key", metavar="KEY", help="the same key again sends nothing twice")
@click.option("--watch", is_flag=True, help="follow it with a progress bar until it is final")
@click.pass_obj
def send(
    tools: Tools,
    url: str | None,
    bot: str | None,
    token: str | None,
    client_id: str | None,
    private_key: Path | None,
    config: Path | None,
    channel: str,
    text: str | None,
    json_file: TextIO | None,
    identities: tuple[str, ...],
    identities_file: TextIO | None,
    donotresolve: bool,
    tenant: str | None,
    dry_run: bool,
    idempotency_key: str | None,
    watch: bool,
) -> None:
    """Send one message to many people and print the request id."""
    people = [*identities, *read_identities(identities_file or ())]
    if not people:
        raise click.UsageError("Nobody to send to: give --identity or --identities-file.")
    if dry_run and (watch or idempotency_key):
        raise click.UsageError("--dry-run sends nothing: leave --watch and --idempotency-key out.")
    body = {
        "channel": channel,
        "userIdentityType": "donotresolve" if donotresolve else "resolve",
        "message": message(text, json_file),
        "identities": people,
        **({"options": {"tenant": tenant}} if tenant else {}),
    }
    access = find_access(
        tools, config, url=url, bot=bot, token=token, client_id=client_id, private_key=private_key
    )  # fmt: skip
    if dry_run:
        rehearsal = run(_rehearse(access, body))
        show_rehearsal(rehearsal, Console())
        click.get_current_context().exit(exit_code(rehearsal))
    record = run(_send(access, body, idempotency_key, watch))
    if watch:
        show(record, Console())
        exit_with(record)


async def _send(access: Access, body: dict[str, Any], idempotency_key: str | None, watch: bool) -> Record:
    async with Caller.open(access.url, access.bot, access.token) as caller:
        record = await caller.notify(body, idempotency_key)
        click.echo(record.request_id)
        return await follow(caller, record.request_id, Console(stderr=True)) if watch else record


async def _rehearse(access: Access, body: dict[str, Any]) -> Mapping[str, Any]:
    async with Caller.open(access.url, access.bot, access.token) as caller:
        return await caller.rehearse(body)


def read_identities(lines: Iterable[str]) -> list[str]:
    """The identities of a file: blank lines and comments do not count."""
    stripped = (line.strip() for line in lines)
    return [line for line in stripped if line and not line.startswith("#")]


def message(text: str | None, json_file: TextIO | None) -> dict[str, str]:
    """The message of the request, from exactly one of the two sources."""
    if (text is None) == (json_file is None):
        raise click.UsageError("Give exactly one of --text and --json-file.")
    if text is not None:
        return {"type": "text", "val": text}
    source = json_file.read() if json_file is not None else ""
    try:
        payload = json.loads(source)
    except ValueError as error:
        raise click.BadParameter(f"is not JSON: {error}", param_hint="--json-file") from error
    if not isinstance(payload, dict):
        raise click.BadParameter("must hold one JSON object", param_hint="--json-file")
    return {"type": "script", "val": json.dumps(payload)}  # the API takes a payload as JSON text of a script message
