"""`herald purge`: answers a person's request to be forgotten, beside a running server."""

import re
import time
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import click

from console.commands import store
from console.commands.tools import Tools, choose_bot, config_option
from identity.email import email_problem
from notify import disclosures, forgetting
from notify.forgetting import Forgotten, Found, Wanted
from settings import Settings
from storage import sealed_keys
from storage.engine import Database
from storage.persons import Scope

OPEN_REMAIN = 3
_AN_ID = re.compile(r"[uw][a-z0-9]{2,63}|29:\S{1,250}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
EPILOG = "Exit code: 0 done, 1 not confirmed, 3 some deliveries are still open: run it again later, 4 it could not."


@click.command(epilog=EPILOG)
@config_option
@click.option("--identity", metavar="EMAIL", help="The person's e-mail address.")
@click.option("--user-id", metavar="ID", help="The person's id at the platform: U…, W…, 29:… or Entra object id.")
@click.option("--bot", metavar="ID", help="Only what this bot has. Default: all bots.")
@click.option("--channel", type=click.Choice(["msteams", "slack"]), help="Only this channel. Default: both.")
@click.option("--dry-run", is_flag=True, help="Say what there is; change nothing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def purge(
    tools: Tools,
    config: Path | None,
    identity: str | None,
    user_id: str | None,
    bot: str | None,
    channel: str | None,
    dry_run: bool,
    yes: bool,
) -> None:
    """Forget a person: their deliveries keep counts alone, the directory forgets them.

    Remove the person at the platform first; what it tells of them afterwards is stored anew.
    """
    if (identity is None) == (user_id is None):
        raise click.UsageError("Give either --identity or --user-id.")
    settings = tools.settings_or_fail(config)
    scope = Scope(None if bot is None else choose_bot(settings, bot, channel).id, channel)
    who = forgetting.wanted(scope, email=identity, user_id=user_id)
    problem = email_problem(who.email) if who.email is not None else id_problem(who.user_id or "")
    if problem is not None:
        raise click.UsageError(problem)
    work = partial(_forget, settings=settings, who=who, dry_run=dry_run, yes=yes)
    click.get_current_context().exit(store.with_database(settings, work))


async def _forget(database: Database, *, settings: Settings, who: Wanted, dry_run: bool, yes: bool) -> int:
    found = await forgetting.find(database, who)
    _show(found)
    if not dry_run and not found.is_nothing:
        if not yes:
            click.confirm("Forget this for ever?", abort=True)
        oldest = settings.storage.encryption_key[-1].get_secret_value()
        async with database.write() as tx:
            key = await sealed_keys.ids(tx, store.vault(settings), oldest, time.time())
            record = await sealed_keys.audit(tx, store.vault(settings), time.time())
        mark = disclosures.mark(record, who.name)
        _report(await forgetting.forget(database, found, key=key, mark=mark, now=time.time()))
    return _still_open(found)


def id_problem(given: str) -> str | None:
    """What is wrong with an id that no platform gives; None when it may be one."""
    if _AN_ID.fullmatch(given):
        return None
    return "--user-id: give the id as the platform writes it: U… or W… (Slack), 29:… or the Entra object id (Teams)."


def _show(found: Found) -> None:
    if found.is_nothing:
        click.echo("Nothing is stored about this person.")
        return
    known = found.known
    click.echo("Found:")
    for place in sorted(known.places):
        click.echo(f"  {place.channel} {place.tenant_id}, bot {place.bot_id}: {place.user_id}")
    for alias in sorted(known.aliases):
        click.echo(f"  also known as {alias}")
    click.echo(f"  {len(found.final)} deliveries, {len(found.open)} open, {found.directory} rows of the directory")


def _report(done: Forgotten) -> None:
    click.echo(
        f"Forgotten: {done.deliveries} deliveries, {done.responses} responses, {done.messages} messages that"
        f" nobody else got, {done.directory} rows of the directory."
    )
    if not done.is_overwritten:
        click.echo("The write-ahead log still holds it: the server cuts it off within the hour.", err=True)


def _still_open(found: Found) -> int:
    """Open deliveries are not touched: they end by their deadline."""
    if found.last_deadline is None:
        return 0
    until = datetime.fromtimestamp(found.last_deadline, UTC)
    click.echo(f"{len(found.open)} deliveries are still open, the directory is kept for them:", err=True)
    click.echo(f"run this again when they have ended, at the latest after {until:%Y-%m-%d %H:%M} UTC.", err=True)
    return OPEN_REMAIN
