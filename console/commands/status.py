"""`herald status`: how far a request is, and what became of every person."""

from pathlib import Path

import click
from rich.console import Console

from console.commands.api import Access, Caller, Record, access_options, find_access, run
from console.commands.progress import EXIT_CODE_HELP, exit_with, follow, show
from console.commands.tools import Tools, config_option


@click.command(epilog=EXIT_CODE_HELP)
@click.argument("request_id", metavar="REQUEST_ID")
@access_options
@config_option
@click.option("--watch", is_flag=True, help="follow it with a progress bar until it is final")
@click.pass_obj
def status(
    tools: Tools,
    request_id: str,
    url: str | None,
    bot: str | None,
    token: str | None,
    client_id: str | None,
    private_key: Path | None,
    config: Path | None,
    watch: bool,
) -> None:
    """Show the outcome of every person of a request (ds-…)."""
    access = find_access(
        tools, config, url=url, bot=bot, token=token, client_id=client_id, private_key=private_key
    )  # fmt: skip
    record = run(_status(access, request_id, watch))
    show(record, Console())
    exit_with(record)


async def _status(access: Access, request_id: str, watch: bool) -> Record:
    async with Caller.open(access.url, access.bot, access.token) as caller:
        return await (follow(caller, request_id, Console(stderr=True)) if watch else caller.status(request_id))
