"""Herald's core on a real database, between a platform and a directory that do as they are told."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import Counter, defaultdict, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.engine import RowMapping

from adapters.base import (
    Address,
    BotId,
    ChannelName,
    ChannelPace,
    ChoreHandler,
    DeliveryId,
    Fault,
    FaultClass,
    Gate,
    Lane,
    Look,
    Looker,
    MayNotLook,
    MethodPace,
    Note,
    NotSent,
    Outcome,
    Refused,
    Sent,
    TenantId,
    Uncertain,
    unheard,
)
from identity.answers import LookupFailed, NoPerson, NotAsked, PersonAnswer
from identity.email import normal_form
from identity.resolver import Resolver
from notify.chores import ChoreBook
from notify.delivery import Policy
from notify.drain import Drain
from notify.message import Kind, Message
from notify.records import Entry, RequestRecord, Submission
from notify.renderer import Renderer
from notify.requests import Requests
from notify.runner import Runner
from notify.script.pool import ScriptPool
from notify.workshop import Clocks, Workshop
from storage import deliveries as delivery_store
from storage import directory, installations, lanes, references
from storage import requests as request_store
from storage.directory import Person
from storage.engine import Database
from storage.installations import Installation
from storage.references import Reference
from storage.tables import deliveries
from storage.tables import requests as requests_table

BOT = BotId("st-people")
HOME = TenantId("T1")
ELSEWHERE = TenantId("T2")
FAST = MethodPace(rate=2000.0, burst=100.0)
QUICK = Policy(backoff_base=0.02, backoff_cap=0.1, look_pause=0.05, settle_seconds=0.1)
SERVICE_URL = "https://smba.example/"
PATIENCE = 20.0  # seconds until a fact that never comes fails its test

THROTTLED = Fault(FaultClass.NOT_SENT, "throttled", "Send again later.", "ratelimited", costs_attempt=False)
UNREACHABLE = Fault(FaultClass.NOT_SENT, "platform_unreachable", "Check the network.", "refused", costs_attempt=False)
BUSY = Fault(FaultClass.NOT_SENT, "conversation_busy", "Send again later.", "http_412")
REVOKED = Fault(FaultClass.CONFIGURATION, "installation_revoked", "Install the app again.", "token_revoked")
UNCLEAR = Fault(FaultClass.UNCERTAIN, "no_clear_answer", "Ask the person.", "http_502", "Bad gateway")
BLOCKED = Fault(FaultClass.REFUSED, "blocked_by_recipient", "Only the person can.", "user_blocked", "blocked the app")

Answer = Outcome | Callable[[], Awaitable[Outcome]]


async def until(check: Callable[[], Awaitable[bool]], what: str, *, within: float = PATIENCE) -> None:
    """Wait for a fact that is only in the database."""
    deadline = time.monotonic() + within
    while not await check():
        assert time.monotonic() < deadline, f"not within {within} s: {what}"
        await asyncio.sleep(0.02)


async def soon(event: asyncio.Event, what: str, *, within: float = PATIENCE) -> None:
    """Wait for a signal."""
    try:
        async with asyncio.timeout(within):
            await event.wait()
    except TimeoutError:
        raise AssertionError(f"not within {within} s: {what}") from None


@dataclass(frozen=True, slots=True)
class Call:
    """One send on the wire."""

    tenant: str
    user: str
    conversation: str | None
    delivery: str
    payload: object
    at: float  # monotonic


class Platform:
    """A channel that answers what it was told for each person, and keeps what arrived."""

    def __init__(
        self,
        name: ChannelName = ChannelName.SLACK,
        *,
        pace: MethodPace = FAST,
        in_flight: int = 16,
        windows: tuple[tuple[float, int], ...] = (),
    ) -> None:
        self.name = name
        self.calls: list[Call] = []
        self.mailbox: Counter[str] = Counter()  # messages that a person sees, by user id
        self.answers: dict[str, deque[Answer]] = defaultdict(deque)
        self.openings: dict[str, deque[Address | NotSent | Refused]] = defaultdict(deque)
        self.opened: list[str] = []
        self.credentials = asyncio.Event()
        self.credentials.set()
        self.on_the_wire = 0
        self.most_on_the_wire = 0
        self._changed = asyncio.Event()
        self._pace = ChannelPace(
            "post",
            {"post": pace, "lookup": FAST},
            in_flight,
            learns=name is ChannelName.SLACK,
            opens=name is ChannelName.MSTEAMS,
            windows=windows,
        )

    def will(self, user: str, *answers: Answer) -> None:
        """The next answers for a person; afterwards everything is well."""
        self.answers[user].extend(answers)

    async def called(self, count: int) -> None:
        """Wait until so many sends have begun."""
        deadline = time.monotonic() + PATIENCE
        while len(self.calls) < count:
            self._changed.clear()
            async with asyncio.timeout(deadline - time.monotonic()):
                await self._changed.wait()

    def pace(self) -> ChannelPace:
        """The pace to start with."""
        return self._pace

    def prepare(self, payload: Mapping[str, Any]) -> object:
        """Here a payload needs no form of its own."""
        return payload

    def shows(self, _prepared: object) -> bool:
        """Every conversation shows everything."""
        return True

    async def warm(self, _bot: BotId) -> None:
        """Wait for credentials, which a test may withhold."""
        await self.credentials.wait()

    async def open(self, bot: BotId, address: Address, gate: Gate, note: Note = unheard) -> Address | NotSent | Refused:
        """Open a conversation, one call of the send bucket."""
        if address.conversation_id is not None:
            return address
        await gate.enter("post")
        self.opened.append(address.user_id)
        if self.openings[address.user_id]:
            answer = self.openings[address.user_id].popleft()
            if isinstance(answer, Refused):
                gate.went_well("post")
            if not isinstance(answer, Address):
                return answer
        gate.went_well("post")
        return replace(address, conversation_id=f"a:{address.user_id}", service_url=SERVICE_URL)

    async def send(self, bot: BotId, address: Address, prepared: object, delivery: DeliveryId) -> Outcome:
        """One call on the wire."""
        self.calls.append(
            Call(address.tenant, address.user_id, address.conversation_id, delivery, prepared, time.monotonic())
        )
        self._changed.set()
        self.on_the_wire += 1
        self.most_on_the_wire = max(self.most_on_the_wire, self.on_the_wire)
        try:
            outcome = await self._answer(address)
        finally:
            self.on_the_wire -= 1
        if isinstance(outcome, Sent):
            self.mailbox[address.user_id] += 1
        return outcome

    async def _answer(self, address: Address) -> Outcome:
        await asyncio.sleep(0)
        if not self.answers[address.user_id]:
            return Sent(f"m-{len(self.calls)}", address.conversation_id or f"D-{address.user_id}")
        answer = self.answers[address.user_id].popleft()
        return answer if isinstance(answer, Sent | NotSent | Uncertain | Refused) else await answer()


class People:
    """A people source that knows whom it was told, each look-up one call of the gate."""

    name = "test directory"

    def __init__(self) -> None:
        self.known: dict[tuple[str, str], PersonAnswer] = {}
        self.failures: dict[str, deque[LookupFailed]] = defaultdict(deque)  # by e-mail
        self.asked: list[tuple[str, str]] = []
        self.held: dict[str, asyncio.Event] = {}
        self.off: NotAsked | None = None

    def hold(self, tenant: str) -> asyncio.Event:
        """From now on this tenant does not answer; the event says that it was asked."""
        self.held[tenant] = asyncio.Event()
        return self.held[tenant]

    def add(self, tenant: str, *emails: str, **details: Any) -> None:
        """People whose user id is U and the part before the @."""
        for email in emails:
            self.known[tenant, email] = Person(user_id(email), (email,), **details)

    def unasked(self, _bot: BotId) -> NotAsked | None:
        """Whatever was told."""
        return self.off

    async def seconds(self, bot: BotId, tenant: TenantId, unknown: int) -> float:
        """Answers cost no time here."""
        return 0.0

    async def find(
        self, bot: BotId, tenant: TenantId, addresses: Sequence[str], gate: Gate
    ) -> AsyncIterator[Mapping[str, PersonAnswer | LookupFailed]]:
        """Twenty at a time, each with a call of its own."""
        for start in range(0, len(addresses), 20):
            answers: dict[str, PersonAnswer | LookupFailed] = {}
            for email in addresses[start : start + 20]:
                await gate.enter("lookup")
                self.asked.append((tenant, email))
                if tenant in self.held:
                    self.held[tenant].set()
                    await asyncio.Event().wait()
                answers[email] = self._answer(tenant, email)
            yield answers

    def _answer(self, tenant: str, email: str) -> PersonAnswer | LookupFailed:
        if self.failures[email]:
            return self.failures[email].popleft()
        return self.known.get((tenant, email), NoPerson("person_not_found", "Check the address."))


@dataclass
class Looking:
    """A looker that says what it was told; afterwards that it may not look."""

    answers: deque[Look] = field(default_factory=deque)
    since: list[tuple[str, float]] = field(default_factory=list)

    async def __call__(self, bot: BotId, address: Address, delivery: DeliveryId, since: float, gate: Gate) -> Look:
        """Look once."""
        self.since.append((delivery, since))
        return self.answers.popleft() if self.answers else MayNotLook("permission_missing", "Grant im:history.")


class Wall:
    """Wall time that a test can move; monotonic time stays real. It counts how often it was `asked`."""

    def __init__(self) -> None:
        self.ahead = 0.0
        self.asked = 0

    def __call__(self) -> float:
        self.asked += 1
        return time.time() + self.ahead


def user_id(email: str) -> str:
    """The user id of a person in these tests."""
    return "U" + email.partition("@")[0].upper().replace(".", "")


def crowd(count: int, name: str = "p") -> list[str]:
    """So many e-mails."""
    return [f"{name}{number}@x.example" for number in range(count)]


@dataclass
class Server:
    """One process: a runner with its requests, on a database that others may share."""

    database: Database
    platform: Platform
    people: People
    runner: Runner
    requests: Requests
    wall: Wall
    shop: Workshop

    async def accept(
        self, emails: Iterable[str], *, client: str = "cs-1", identity_type: str = "resolve", **options: Any
    ) -> str:
        """Accept one request for these people, as the API does; returns its id."""
        message = options.pop("message", Message(Kind.NATIVE, options.pop("payload", {"text": "Hello"})))
        entries = [Entry(each, normal_form(each) if identity_type == "resolve" else each) for each in emails]
        submission = Submission(BOT, self.platform.name, client, "u-1", "v1", identity_type, message, entries, options)
        answer = await self.requests.accept(submission, now=self.wall(), write=_id_of)
        return answer.decode()

    async def closed(self, *requests: str, within: float = PATIENCE) -> list[RequestRecord]:
        """Wait until these requests are closed; their records."""

        async def all_closed() -> bool:
            async with self.database.read() as tx:
                found = [await request_store.get(tx, bot_id=BOT, request_id=each) for each in requests]
            return all(each is not None and each.status != request_store.OPEN for each in found)

        await until(all_closed, f"{len(requests)} request(s) closed", within=within)
        return [await self.record(each) for each in requests]

    async def record(self, request: str) -> RequestRecord:
        """The record of a request, as the status call reads it."""
        record = await self.requests.status(BOT, request)
        assert record is not None
        return record

    def lane(self, tenant: str = HOME) -> Lane:
        """A lane of the bot on this platform."""
        return Lane(BOT, self.platform.name, TenantId(tenant))

    def drain(self, tenant: str = HOME) -> Drain | None:
        """The drain at work on a lane."""
        return self.runner.drain_of(self.lane(tenant))

    async def pause(self, tenant: str = HOME) -> lanes.Pause | None:
        """The pause that stands in the lane's row."""
        async with self.database.read() as tx:
            return (await lanes.paused(tx, bot_id=BOT)).get((BOT, str(self.platform.name), tenant))

    async def install(self, *tenants: str) -> None:
        """The app is installed in these tenants."""
        await install(self.database, self.platform.name, *tenants)

    async def know(self, emails: Iterable[str], tenant: str = HOME, *, kind: str = "member") -> None:
        """The directory has these people already."""
        async with self.database.write() as tx:
            await directory.learn(
                tx,
                bot_id=BOT,
                channel=self.platform.name,
                tenant_id=tenant,
                persons=[Person(user_id(email), (email,), kind=kind) for email in emails],
                source="event",
                now=self.wall(),
            )

    async def write_to(
        self, emails: Iterable[str], tenant: str = HOME, *, conversation: str | None = None, at: float = 1.0
    ) -> None:
        """A conversation with each of these people is known."""
        async with self.database.write() as tx:
            for email in emails:
                person = user_id(email)
                reference = Reference(
                    BOT, self.platform.name, tenant, person, person, conversation or f"a:{person}", SERVICE_URL, at
                )
                await references.capture(tx, reference, 1.0)

    async def idle(self) -> None:
        """Wait until no drain is at work."""

        async def none() -> bool:
            return self.runner.active_lanes == 0

        await until(none, "no drain at work")


def _id_of(record: RequestRecord) -> bytes:
    return record.id.encode()


async def install(database: Database, channel: ChannelName, *tenants: str) -> None:
    """The app is installed in these tenants."""
    async with database.write() as tx:
        for tenant in tenants:
            await installations.save(tx, Installation(BOT, str(channel), tenant, installed_at=1.0), 1.0)


def build(
    database: Database,
    platform: Platform,
    people: People,
    *,
    looker: Looker | None = None,
    chores: Mapping[str, ChoreHandler] | None = None,
    awaited: frozenset[str] = frozenset(),
    policy: Policy = QUICK,
    deadline_seconds: float = 3600.0,
    claim_seconds: float = 30.0,
    rendered_bytes: int = 32 * 1024**2,
) -> Server:
    """A server that is not started yet."""
    wall = Wall()
    runner = Runner(database, owner=secrets.token_hex(8), claim_seconds=claim_seconds)
    shop = Workshop(
        database=database,
        channel=platform,
        resolver=Resolver(database, people, clock=wall),
        looker=looker,
        chores=ChoreBook(database, chores or {}, clock=wall, awaited=awaited),
        renderer=Renderer(ScriptPool(), key=b"k" * 32, names={BOT: "Herald"}),
        policy=policy,
        clocks=Clocks(wall=wall, monotonic=time.monotonic, jitter=lambda: 0.0),
        wake=runner.wake,
        claim_seconds=claim_seconds,
        rendered_bytes=rendered_bytes,
    )
    requests = Requests(database, wake=runner.wake, deadline_hours=deadline_seconds / 3600.0, progress=runner.progress)
    return Server(database, platform, people, runner, requests, wall, shop)


@asynccontextmanager
async def serving(
    database: Database, platform: Platform | None = None, people: People | None = None, **details: Any
) -> AsyncIterator[Server]:
    """A server at work; stopped at the end, and what it leaves behind is sound."""
    server = build(database, platform or Platform(), people or People(), **details)
    await server.runner.start({server.platform.name: server.shop})
    try:
        yield server
    finally:
        await server.runner.stop(grace=5.0)
    await is_sound(database)


async def is_sound(database: Database) -> None:
    """The invariants: counts are the rows' counts, closed exactly once, every open row is taken up again."""
    async with database.read() as tx:
        wrong = await request_store.miscounts(tx, changed_since=0.0)
        lost = await delivery_store.without_next_time(tx)
        orphans = await tx.execute(select(func.count()).select_from(deliveries).where(deliveries.c.state == "sending"))

    assert (wrong, lost) == ([], 0)
    assert orphans.scalar_one() == 0


async def rows(database: Database, request: str) -> list[RowMapping]:
    """The deliveries of a request as they are stored, in the caller's order."""
    async with database.read() as tx:
        found = await tx.execute(
            select(deliveries).where(deliveries.c.request_id == request).order_by(deliveries.c.position)
        )
        return list(found.mappings())


async def row(database: Database, request: str) -> RowMapping:
    """The only delivery of a request."""
    (only,) = await rows(database, request)
    return only


async def times_closed(database: Database, request: str) -> int:
    """How often a request was closed."""
    async with database.read() as tx:
        found = await tx.execute(select(requests_table.c.times_closed).where(requests_table.c.id == request))
        return int(found.scalar_one())
