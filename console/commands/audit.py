"""`herald audit`: shows the audit record, and proves that nobody changed it."""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from console.commands.store import vault, with_database
from console.commands.tools import Tools, Trouble, config_option
from notify.chain import START, Broken, Head, Walk
from notify.disclosures import mark
from notify.identities import comparable
from storage import audit_events, sealed_keys
from storage.audit_events import Entry
from storage.engine import Database
from storage.vault import Vault

AT_ONCE = 1000
HEAD = re.compile(r"([1-9][0-9]{0,17}):([0-9a-f]{64})")


class HeadType(click.ParamType[Head]):
    """POSITION:HASH, as `verify` prints it."""

    name = "POSITION:HASH"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Head:
        match = HEAD.fullmatch(str(value))
        if match is None:
            self.fail("write it as `herald audit verify` and the event `audit_head` do: 120:9f86…", param, ctx)
        return Head(int(match[1]), match[2])


@click.group()
def audit() -> None:
    """The audit record: who installed, configured, sent and asked, in order."""


@audit.command(epilog="Exit code: 0 the record holds, 1 it does not.")
@config_option
@click.option("--head", "noted", type=HeadType(), help="A head noted earlier: it must still stand there.")
@click.pass_obj
def verify(tools: Tools, config: Path | None, noted: Head | None) -> None:
    """Check the whole chain, from its first row to its last. Changes nothing."""
    settings = tools.settings_or_fail(config)
    locks = vault(settings)
    walk, broken, loose = with_database(settings, lambda database: _verify(database, locks, noted))
    click.echo(f"{walk.head.position} rows hold. Not in the chain yet: {loose}.")
    if walk.head != START:
        click.echo(f"Head: {walk.head}")
    if broken is not None:
        click.echo(f"The record does not hold at {broken}.")
        click.get_current_context().exit(1)
    if noted is None:
        click.echo("Whether its end was cut off only a head can say that was noted elsewhere: --head.")


async def _verify(database: Database, locks: Vault, noted: Head | None) -> tuple[Walk, Broken | None, int]:
    async with database.read() as tx:
        key = await sealed_keys.get(tx, locks, sealed_keys.AUDIT)
        first = await audit_events.chained(tx, after=None, limit=1)
    if key is None and first:
        raise Trouble("The key of the audit record is gone from the database, so nothing can be proved about it.")
    async with database.read() as tx:
        if key is not None and not first and not await audit_events.count_loose(tx):
            raise Trouble("The audit record is empty, and every start of a server is recorded: its rows were removed.")
    walk, after = Walk(key or b"", noted), None
    while True:
        async with database.read() as tx:
            rows = await audit_events.chained(tx, after=after, limit=AT_ONCE)
            if not rows or not walk.over(rows):
                return walk, walk.end(), await audit_events.count_loose(tx)
        after = rows[-1].position


@audit.command()
@config_option
@click.option("--since", type=click.DateTime(), help="Only from this moment (UTC) on.")
@click.option("--identity", help="Only who asked about this person (an e-mail address or user id).")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line, for other programs.")
@click.pass_obj
def show(tools: Tools, config: Path | None, since: datetime | None, identity: str | None, as_json: bool) -> None:
    """Print the record in the order in which it was written."""
    settings = tools.settings_or_fail(config)
    start = float("-inf") if since is None else since.replace(tzinfo=UTC).timestamp()
    write = _as_json if as_json else _as_text
    locks = vault(settings)

    async def print_all(database: Database) -> None:
        marks = None if identity is None else await _marks(database, locks, identity)
        await _show(database, start, lambda entry: marks is None or entry.subject in marks, write)

    with_database(settings, print_all)


async def _marks(database: Database, locks: Vault, identity: str) -> frozenset[str]:
    """What stands in the record for a person, as an e-mail address and as a user id."""
    async with database.read() as tx:
        key = await sealed_keys.get(tx, locks, sealed_keys.AUDIT)
    return frozenset(mark(key or b"", comparable(kind, identity)) for kind in ("resolve", "donotresolve"))


async def _show(
    database: Database, since: float, wanted: Callable[[Entry], bool], write: Callable[[Entry], str]
) -> None:
    after = -1
    while True:
        async with database.read() as tx:
            rows = await audit_events.written(tx, after=after, since=since, limit=AT_ONCE)
        for entry in filter(wanted, rows):
            click.echo(write(entry))
        if not rows:
            return
        after = rows[-1].seq


def _as_json(entry: Entry) -> str:
    fields = {
        "time": _moment(entry.at),
        "kind": entry.kind,
        "actor": entry.actor,
        "subject": entry.subject,
        "bot": entry.bot_id,
        "channel": entry.channel,
        "tenant": entry.tenant_id,
        "detail": _detail(entry.detail),
        "position": entry.position,
        "hash": entry.hash,
    }
    return json.dumps(fields)


def _as_text(entry: Entry) -> str:
    place = "-" if entry.position is None else str(entry.position)
    words = (entry.kind, entry.actor, entry.subject, entry.bot_id, entry.channel, entry.tenant_id, entry.detail)
    return " ".join([place, _moment(entry.at), *(word for word in words if word)])


def _moment(at: float) -> str:
    try:
        return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    except (OverflowError, ValueError, OSError):  # no moment of ours: a row that somebody changed is shown as it is
        return repr(at)


def _detail(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return text
