"""`herald send`: posts one notification to many people."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from console.commands.api import Access, Caller, Record, access_options, find_access, run
from console.commands.message import Said, message_options
from console.commands.progress import EXIT_CODE_HELP, exit_with, follow, show
from console.commands.rehearsal import EXIT_CODE_HELP as REHEARSAL_HELP
from console.commands.rehearsal import exit_code, show_rehearsal
from console.commands.tools import Tools, config_option


@click.command(epilog=f"{EXIT_CODE_HELP} Without --watch an accepted request ends with 0. {REHEARSAL_HELP}")
@access_options
@config_option
@message_options(is_channel_required=True)
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
    said: Said,
    dry_run: bool,
    idempotency_key: str | None,
    watch: bool,
) -> None:
    """Send one message to many people and print the request id."""
    if dry_run and (watch or idempotency_key):
        raise click.UsageError("--dry-run sends nothing: leave --watch and --idempotency-key out.")
    body = said.body()
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
