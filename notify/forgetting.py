"""A person asks to be forgotten: who that is in what is stored, and taking them out of it.

Their final deliveries keep place, state and reason under a keyed hash; what the directory has about them goes last,
because it says which deliveries are theirs. Open deliveries are left alone, and the directory with them: they end by
their deadline, and then the same call takes the rest.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from identity.email import normal_form
from notify.digest import pseudonym
from notify.identities import INVALID, comparable
from notify.piecemeal import AT_ONCE, piece
from storage import audit_events, persons
from storage.engine import Database
from storage.persons import Addressed, Scope, Somebody

RANGE: Final = 10_000  # deliveries looked through in one reading transaction
TRIES: Final = 20
TRY_SECONDS: Final = 0.25
ENTRY: Final = ""  # the tenant of a delivery that was never in one


@dataclass(frozen=True, slots=True)
class Wanted:
    """Whom an operator names: by an e-mail, or by a user id of a platform."""

    scope: Scope
    email: str | None = None  # normal form
    user_id: str | None = None

    @property
    def name(self) -> str:
        return self.email or self.user_id or ""


def wanted(scope: Scope, *, email: str | None = None, user_id: str | None = None) -> Wanted:
    """The same in the form in which identities are compared."""
    return Wanted(
        scope,
        None if email is None else normal_form(email),
        None if user_id is None else comparable("donotresolve", user_id),
    )


@dataclass(frozen=True, slots=True)
class Known:
    """Who that is: `aliases` are further e-mails, `ids` what the platforms call them, by channel and tenant."""

    wanted: Wanted
    places: frozenset[Somebody] = frozenset()
    aliases: frozenset[str] = frozenset()
    ids: frozenset[tuple[str, str, str]] = frozenset()

    @property
    def addresses(self) -> list[str]:
        return sorted({*self.aliases, *({self.wanted.email} if self.wanted.email else ())})

    @property
    def plain_ids(self) -> list[str]:
        return sorted({each for _, _, each in self.ids} | ({self.wanted.user_id} if self.wanted.user_id else set()))

    def owns(self, row: Addressed) -> bool:
        """Whether a delivery is theirs; one to a further e-mail is not if it reached somebody else."""
        if self.wanted.email is not None and row.identity == self.wanted.email:
            return True
        if any(self._is_called(row, each) for each in (row.identity, row.user_id, row.channel_id) if each):
            return True
        if row.reason == INVALID:  # "Ann <ann@contoso.example>": nobody's, and it names them
            return any(each in row.identity for each in (*self.addresses, *self.plain_ids))
        return row.identity in self.aliases and row.user_id is None

    def _is_called(self, row: Addressed, given: str) -> bool:
        """Ids of people are unique in a tenant; the one that the operator named is meant in every tenant."""
        if given == self.wanted.user_id or (row.channel, row.tenant_id, given) in self.ids:
            return True
        return row.tenant_id == ENTRY and any(channel == row.channel and each == given for channel, _, each in self.ids)


@dataclass(frozen=True, slots=True)
class Found:
    """What is stored about somebody."""

    known: Known
    final: Sequence[Addressed]
    open: Sequence[Addressed]
    directory: int

    @property
    def is_nothing(self) -> bool:
        return not (self.final or self.open or self.directory)

    @property
    def last_deadline(self) -> float | None:
        """When the last open delivery has ended."""
        return max((row.deadline_at for row in self.open), default=None)


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What was taken out."""

    deliveries: int = 0
    responses: int = 0
    messages: int = 0  # of requests that had no other recipient
    directory: int = 0
    still_open: int = 0
    is_overwritten: bool = False  # and not in SQLite's log either

    @property
    def counts(self) -> Mapping[str, int]:
        names = ("deliveries", "responses", "messages", "directory", "still_open")
        return {name: getattr(self, name) for name in names}


async def find(database: Database, who: Wanted) -> Found:
    """Everything that is stored about somebody, apart from what is forgotten already."""
    async with database.read() as tx:
        known = await _known(tx, who)
        directory = sum([await persons.in_directory(tx, person) for person in sorted(known.places)])
        directory += await persons.count_misses(tx, who.scope, known.addresses)
        last = await persons.last_seq(tx)
    rows: list[Addressed] = []
    for after in range(0, last, RANGE):
        async with database.read() as tx:
            some = await persons.addressed(
                tx,
                who.scope,
                after=after,
                upto=after + RANGE,
                identities=[*known.addresses, *known.plain_ids],
                ids=known.plain_ids,
                invalid=INVALID,
            )
        rows += [row for row in some if known.owns(row)]
    final = [row for row in rows if row.is_final]
    return Found(known, final, [row for row in rows if not row.is_final], directory)


async def _known(tx: AsyncConnection, who: Wanted) -> Known:
    places: set[Somebody] = set()
    if who.email is not None:
        places |= await persons.owners(tx, who.scope, who.email)
    if who.user_id is not None:
        places |= await persons.of_id(tx, who.scope, who.user_id)
    aliases: set[str] = set()
    ids: set[tuple[str, str, str]] = set()
    for place in places:
        aliases |= await persons.addresses(tx, place)
        called = {place.user_id, *await persons.channel_ids(tx, place)}
        ids |= {(place.channel, place.tenant_id, each) for each in called}
    return Known(who, frozenset(places), frozenset(aliases - {who.email}), frozenset(ids))


async def forget(database: Database, found: Found, *, key: bytes, mark: str, now: float) -> Forgotten:
    """Take somebody out of everything but what is open.

    `key` makes the hashes that stay in their place, `mark` is what the audit record calls them.
    """
    names = {row.identity: pseudonym(key, row.identity) for row in found.final}
    pseudonyms = sorted(set(names.values()))
    deliveries = answered = messages = 0
    for some in _pieces(found.final):
        counts = await piece(database, _Batch(some, names, pseudonyms))
        deliveries, answered, messages = deliveries + counts[0], answered + counts[1], messages + counts[2]

    async def conclude(tx: AsyncConnection) -> Forgotten:
        directory = 0 if found.open else await _forget_directory(tx, found.known)
        done = Forgotten(deliveries, answered, messages, directory, len(found.open))
        await audit_events.append(
            tx,
            at=now,
            kind="person_purged",
            actor=audit_events.OPERATOR,
            subject=mark,
            bot_id=found.known.wanted.scope.bot_id or "",
            channel=found.known.wanted.scope.channel or "",
            detail=done.counts,
        )
        return done

    done = await piece(database, conclude)
    return replace(done, is_overwritten=await _overwrite(database))


async def _overwrite(database: Database) -> bool:
    """Take what was deleted out of the database's log too; readers may be in the way for a moment."""
    for _ in range(TRIES):
        if await database.empty_log():
            return True
        await asyncio.sleep(TRY_SECONDS)
    return False


async def _forget_directory(tx: AsyncConnection, known: Known) -> int:
    count = sum([await persons.forget(tx, person) for person in sorted(known.places)])
    return count + await persons.forget_misses(tx, known.wanted.scope, known.addresses)


@dataclass(frozen=True, slots=True)
class _Batch:
    """A few deliveries to take somebody out of, in one transaction; counts deliveries, responses and messages."""

    rows: Sequence[Addressed]
    names: Mapping[str, str]
    pseudonyms: Sequence[str]

    async def __call__(self, tx: AsyncConnection) -> tuple[int, int, int]:
        deliveries = answered = 0
        for identity, seqs in _by_identity(self.rows).items():
            changed, gone = await persons.forget_deliveries(tx, seqs, self.names[identity])
            deliveries, answered = deliveries + changed, answered + gone
        ids = {row.request_id for row in self.rows}
        return deliveries, answered, await persons.forget_messages(tx, ids, self.pseudonyms)


def _by_identity(rows: Iterable[Addressed]) -> Mapping[str, Sequence[int]]:
    grouped: dict[str, list[int]] = defaultdict(list)
    for row in rows:
        grouped[row.identity].append(row.seq)
    return grouped


def _pieces(rows: Sequence[Addressed]) -> Iterator[Sequence[Addressed]]:
    for start in range(0, len(rows), AT_ONCE):
        yield rows[start : start + AT_ONCE]
