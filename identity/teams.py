"""People of a Teams tenant by Microsoft Graph: many e-mails in few calls, no match that Graph's fields do not prove.

Cheapest correct question: an address may be a `mail`, a `userPrincipalName`, an alias in `proxyAddresses` (where the
prefix of the main one is `SMTP:`) or in `otherMails`. That is five clauses, and a filter takes fifteen: three addresses
each, twenty filters a batch, 1000 addresses in 17 calls of 334 resource units in all (3500 are allowed in 10 s).
Asking in two phases would save calls and miss people who share an address.

With only `User.ReadBasic.All` the aliases may not be filtered on: then by `mail`, fifteen addresses a filter, and
whoever is not found by name of sign-in, one request each. The same for an address whose full filter Graph refuses:
a refusal is no answer, and only an empty answer says that somebody does not exist.
Sources: graph-docs `concepts/json-batching.md`, `concepts/aad-advanced-queries.md`, `user-list.md`.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote

import aiohttp

from adapters.base import BotId, Fault, FaultClass, Gate, TenantId
from adapters.http import CallFailed, parse_retry_after
from adapters.ids import MAX_NAME, readable, words
from adapters.teams import graph
from adapters.teams.bots import TeamsBots
from adapters.teams.faults import CREDENTIALS_REJECTED, UNREACHABLE
from adapters.teams.limits import GRAPH_BATCH_REQUESTS, GRAPH_FILTER_CLAUSES, GRAPH_UNITS_PER_10_SECONDS
from adapters.teams.tokens import TokenUnavailable
from identity.answers import LookupFailed, NoPerson, NotAsked, PersonAnswer, Unlicensed
from identity.email import looks_valid, normal_form
from identity.teams_plans import is_unlicensed
from storage.directory import Person

logger = logging.getLogger(__name__)

BUCKET: Final = "graph"
TIMEOUT: Final = aiohttp.ClientTimeout(total=30, connect=5)
MAX_ANSWER: Final = 8 * 1024 * 1024
AT_ONCE: Final = 4  # batches under way at the same time; the gate sets their pace
TRIES: Final = 4
RICH_AGAIN_AFTER: Final = 3600.0  # how long a tenant without User.Read.All is asked the poorer question
UNREACHABLE_WAIT: Final = 5.0
CONFIGURATION_WAIT: Final = 60.0
REFUSED_WAIT: Final = 300.0

_RICH_FIELDS: Final = (
    "id,displayName,mail,userPrincipalName,userType,accountEnabled,proxyAddresses,otherMails,assignedPlans"
)
_BASIC_FIELDS: Final = "id,displayName,mail,userPrincipalName"
_CLAUSES: Final = (
    "mail eq '{0}'",
    "userPrincipalName eq '{0}'",
    "proxyAddresses/any(p:p eq 'smtp:{0}')",
    "proxyAddresses/any(p:p eq 'SMTP:{0}')",
    "otherMails/any(o:o eq '{0}')",
)
_RICH_ADDRESSES: Final = GRAPH_FILTER_CLAUSES // len(_CLAUSES)

PERMISSION_MISSING: Final = Fault(
    FaultClass.CONFIGURATION,
    "permission_missing",
    "Grant the app User.Read.All (or User.ReadBasic.All) for Microsoft Graph, with an administrator's consent.",
    "Authorization_RequestDenied",
    costs_attempt=False,
)
THROTTLED: Final = Fault(
    FaultClass.NOT_SENT,
    "throttled",
    "Microsoft Graph asked for a pause: what did not leave by its deadline can be sent again.",
    "http_429",
    costs_attempt=False,
)

QUESTION_REFUSED: Final = Fault(
    FaultClass.NOT_SENT, "lookup_failed", "Microsoft Graph does not take this address in a question: check it.",
    "http_400", costs_attempt=False,
)  # fmt: skip
SWITCHED_OFF: Final = "Look-ups by Microsoft Graph are switched off: install the app for the person, or allow them."

_REMEDIES: Final = {
    "person_not_found": "Check the address; the person must exist in this tenant.",
    "person_disabled": "The account is deactivated in Entra.",
    "person_ambiguous": "Several accounts share this address; make it unique in Entra.",
    "guest_not_supported": "Guests cannot have the app; use the person's own tenant.",
    "person_unlicensed": "Assign a licence that includes Microsoft Teams to the account.",
}


@dataclass(frozen=True, slots=True)
class _Question:
    """One request of a batch: the addresses it asks for, and how."""

    addresses: tuple[str, ...]
    url: str
    rich: bool
    by_name: bool = False  # GET by userPrincipalName: 404 is an answer
    doubtful: bool = False  # the question about `mail` was refused: nobody of this name is not nobody
    tries: int = 0


@dataclass(frozen=True, slots=True)
class _Result:
    """What one batch taught: answers, and questions still to be asked."""

    answers: Mapping[str, PersonAnswer]
    again: Sequence[_Question] = ()


class GraphPeople:
    """PeopleSource for Microsoft Teams."""

    name = "graph"

    def __init__(
        self,
        bots: TeamsBots,
        *,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
        timeout: aiohttp.ClientTimeout = TIMEOUT,
    ) -> None:
        self._bots = bots
        self._clock = clock
        self._now = now
        self._timeout = timeout
        self._basic_until: dict[tuple[BotId, TenantId], float] = {}

    def unasked(self, bot: BotId) -> NotAsked | None:
        """Graph may be switched off for a bot."""
        return None if self._bots.get(bot).app.graph else NotAsked(SWITCHED_OFF)

    async def find(
        self, bot: BotId, tenant: TenantId, addresses: Sequence[str], gate: Gate
    ) -> AsyncIterator[Mapping[str, PersonAnswer]]:
        """Look the addresses up, batch by batch."""
        wanted = list(dict.fromkeys(addresses))
        unasked = self.unasked(bot)
        if unasked is not None:
            if wanted:
                yield dict.fromkeys(wanted, unasked)
            return
        hopeless = {address: _nobody("person_not_found") for address in wanted if not looks_valid(address)}
        if hopeless:
            yield hopeless
        waiting = deque(self._questions(bot, tenant, [address for address in wanted if address not in hopeless]))
        running: set[asyncio.Task[_Result]] = set()
        try:
            while waiting or running:
                while waiting and len(running) < AT_ONCE:
                    batch = [waiting.popleft() for _ in range(min(GRAPH_BATCH_REQUESTS, len(waiting)))]
                    running.add(asyncio.create_task(self._ask(bot, tenant, batch, gate)))
                done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    result = task.result()
                    waiting.extend(result.again)
                    if result.answers:
                        yield result.answers
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    async def seconds(self, bot: BotId, tenant: TenantId, unknown: int) -> float:
        """About how long looking so many addresses up takes: batches of full questions at the documented pace."""
        if self.unasked(bot) is not None:
            return 0.0
        units = math.ceil(unknown / _RICH_ADDRESSES)
        return max(units - GRAPH_UNITS_PER_10_SECONDS, 0) / (GRAPH_UNITS_PER_10_SECONDS / 10.0)

    def _questions(self, bot: BotId, tenant: TenantId, addresses: Sequence[str]) -> list[_Question]:
        if self._clock() < self._basic_until.get((bot, tenant), 0.0):
            return _by_mail(addresses)
        return _by_everything(addresses)

    async def _ask(self, bot: BotId, tenant: TenantId, batch: Sequence[_Question], gate: Gate) -> _Result:
        """One $batch POST, and what each of its parts says."""
        await gate.enter(BUCKET)
        try:
            answer = await graph.ask(
                self._bots, bot, tenant, "POST", "$batch", _body(batch), timeout=self._timeout, limit=MAX_ANSWER
            )
        except TokenUnavailable as error:
            return _failed(batch, error.fault, CONFIGURATION_WAIT)
        except CallFailed as error:
            return _failed(batch, replace(UNREACHABLE, code=error.code), UNREACHABLE_WAIT)
        if answer.status == 401:
            return _retried(batch, CREDENTIALS_REJECTED, CONFIGURATION_WAIT, most=2)
        if answer.status == 429:
            return self._throttled(batch, gate, self._pause(answer.headers))
        if answer.status == 403:
            return self._denied(bot, tenant, batch)
        parts = _parts(graph.found(answer))
        if parts is None:
            fault = replace(UNREACHABLE, code=f"http_{answer.status}")
            return _retried(batch, fault, self._pause(answer.headers) or UNREACHABLE_WAIT)
        return self._read(bot, tenant, batch, parts, gate)

    def _read(
        self,
        bot: BotId,
        tenant: TenantId,
        batch: Sequence[_Question],
        parts: Mapping[str, Mapping[str, Any]],
        gate: Gate,
    ) -> _Result:
        """Join the parts, which come in any order and each with a status of its own."""
        answers: dict[str, PersonAnswer] = {}
        again: list[_Question] = []
        for number, question in enumerate(batch):
            result = self._read_part(bot, tenant, question, parts.get(str(number), {}), gate)
            answers.update(result.answers)
            again.extend(result.again)
        return _Result(answers, again)

    def _read_part(
        self, bot: BotId, tenant: TenantId, question: _Question, part: Mapping[str, Any], gate: Gate
    ) -> _Result:
        status = part.get("status")
        if status == 200:
            return self._read_users(question, part.get("body"))
        if status == 404 and question.by_name:
            return _settled(question, [])
        if status == 429:
            headers = part.get("headers")
            return self._throttled([question], gate, self._pause(headers if isinstance(headers, dict) else {}))
        if status == 403:
            return self._denied(bot, tenant, [question])
        if status == 400:
            return _divided(question)
        return _retried([question], replace(UNREACHABLE, code=f"http_{status}"), UNREACHABLE_WAIT)

    def _read_users(self, question: _Question, body: object) -> _Result:
        """The people of a part. Whoever is not among them is asked for again if some of it could not be read."""
        listed = [body] if question.by_name else body.get("value") if isinstance(body, dict) else None
        users = listed if isinstance(listed, list) else [None]
        known = [user for user in users if isinstance(user, dict) and readable(user.get("id"))]
        whole = not isinstance(body, dict) or "@odata.nextLink" not in body
        if whole and all(isinstance(user, dict) and isinstance(user.get("id"), str) for user in users):
            return _settled(question, known)
        answers = {address: _owner(address, known) for address in question.addresses}
        found = {address: answer for address, answer in answers.items() if not _is_missing(answer)}
        rest = replace(question, addresses=tuple(each for each in question.addresses if each not in found))
        again = _retried([rest], replace(UNREACHABLE, code="unreadable_part"), UNREACHABLE_WAIT)
        return _Result(found | dict(again.answers), again.again)

    def _throttled(self, batch: Sequence[_Question], gate: Gate, pause: float | None) -> _Result:
        """Hold the lane's Graph bucket and ask the same again; the gate makes them wait."""
        gate.throttled(BUCKET, pause)
        return _retried(batch, THROTTLED, pause or UNREACHABLE_WAIT)

    def _denied(self, bot: BotId, tenant: TenantId, batch: Sequence[_Question]) -> _Result:
        """Without User.Read.All ask the poorer question; without that permission too, the lane is at fault."""
        rich = [address for question in batch if question.rich for address in question.addresses]
        if rich:
            self._basic_until[bot, tenant] = self._clock() + RICH_AGAIN_AFTER
            logger.warning("graph_basic_only", extra={"action": "graph_basic_only", "bot": bot, "tenant": tenant})
        refused = _failed([q for q in batch if not q.rich], PERMISSION_MISSING, CONFIGURATION_WAIT)
        return _Result(refused.answers, _by_mail(rich))

    def _pause(self, headers: Mapping[str, Any]) -> float | None:
        found = next((value for name, value in headers.items() if name.lower() == "retry-after"), None)
        return parse_retry_after(None if found is None else str(found), datetime.fromtimestamp(self._now(), UTC))


# ---------------------------------------------------------------- questions


def _by_everything(addresses: Sequence[str]) -> list[_Question]:
    return [_rich(tuple(group)) for group in _groups(addresses, _RICH_ADDRESSES)]


def _rich(addresses: tuple[str, ...]) -> _Question:
    clauses = (clause.format(_quoted(address)) for address in addresses for clause in _CLAUSES)
    return _Question(addresses, _filter_url(clauses, _RICH_FIELDS), rich=True)


def _by_mail(addresses: Sequence[str]) -> list[_Question]:
    return [_basic(tuple(group)) for group in _groups(addresses, GRAPH_FILTER_CLAUSES)]


def _basic(addresses: tuple[str, ...]) -> _Question:
    clauses = (_CLAUSES[0].format(_quoted(address)) for address in addresses)
    return _Question(addresses, _filter_url(clauses, _BASIC_FIELDS), rich=False)


def _by_name(address: str, *, doubtful: bool = False) -> _Question:
    # a name that begins with $ is only understood in the quoted form (graph-docs user-get.md)
    key = f"('{quote(_quoted(address), safe='')}')" if address.startswith("$") else f"/{quote(address, safe='')}"
    return _Question((address,), f"/users{key}?$select={_BASIC_FIELDS}", rich=False, by_name=True, doubtful=doubtful)


def _groups(addresses: Sequence[str], size: int) -> Iterable[Sequence[str]]:
    return (addresses[start : start + size] for start in range(0, len(addresses), size))


def _quoted(address: str) -> str:
    return address.replace("'", "''")


def _filter_url(clauses: Iterable[str], fields: str) -> str:
    return f"/users?$filter={quote(' or '.join(clauses), safe='')}&$select={fields}"


# ---------------------------------------------------------------- answers


def _settled(question: _Question, users: Sequence[Mapping[str, Any]]) -> _Result:
    """Give each address its owner. By `mail` alone nobody is missing yet: the name of sign-in is asked next."""
    answers = {address: _owner(address, users) for address in question.addresses}
    if question.doubtful and any(_is_missing(answer) for answer in answers.values()):
        return _failed([question], QUESTION_REFUSED, REFUSED_WAIT)
    if question.rich or question.by_name:
        return _Result(answers)
    missing = [address for address, answer in answers.items() if _is_missing(answer)]
    return _Result(
        {address: answer for address, answer in answers.items() if address not in missing},
        [_by_name(address) for address in missing],
    )


def _is_missing(answer: PersonAnswer) -> bool:
    return isinstance(answer, NoPerson) and answer.reason == "person_not_found"


def _owner(address: str, users: Sequence[Mapping[str, Any]]) -> PersonAnswer:
    """Whose address this is. What Entra keeps for mail and sign-in goes before `otherMails`, which is free text."""
    own = [user for user in users if address in _own_addresses(user)]
    owners = own or [user for user in users if address in _other_addresses(user)]
    usable = [user for user in owners if not _is_disabled(user) and not _is_guest(user)]
    if len(usable) == 1:
        person = _person(usable[0], address)
        return (
            Unlicensed(person, _nobody("person_unlicensed"))
            if is_unlicensed(usable[0].get("assignedPlans"))
            else person
        )
    if usable:
        return _nobody("person_ambiguous")
    if any(not _is_disabled(user) for user in owners):
        return _nobody("guest_not_supported")
    return _nobody("person_disabled" if owners else "person_not_found")


def _person(user: Mapping[str, Any], address: str) -> Person:
    own = _own_addresses(user)
    return Person(
        user_id=str(user["id"]),
        emails=tuple(dict.fromkeys((*own, address))),  # the asked one is among the user's own fields: see _owner
        name=words(user.get("displayName"), MAX_NAME),
    )


def _own_addresses(user: Mapping[str, Any]) -> tuple[str, ...]:
    aliases = (value[5:] for value in _strings(user.get("proxyAddresses")) if value[:5].lower() == "smtp:")
    return _normal((user.get("mail"), user.get("userPrincipalName"), *aliases))


def _other_addresses(user: Mapping[str, Any]) -> tuple[str, ...]:
    return _normal(_strings(user.get("otherMails")))


def _normal(values: Iterable[object]) -> tuple[str, ...]:
    forms = (normal_form(value) for value in values if isinstance(value, str))
    return tuple(dict.fromkeys(form for form in forms if looks_valid(form)))


def _strings(value: object) -> list[str]:
    return [entry for entry in value if isinstance(entry, str)] if isinstance(value, list) else []


def _is_guest(user: Mapping[str, Any]) -> bool:
    return user.get("userType") == "Guest" or "#ext#" in str(user.get("userPrincipalName") or "").lower()


def _is_disabled(user: Mapping[str, Any]) -> bool:
    return user.get("accountEnabled") is False


def _nobody(reason: str) -> NoPerson:
    return NoPerson(reason, _REMEDIES[reason])


# ---------------------------------------------------------------- what went wrong


def _failed(batch: Sequence[_Question], fault: Fault, wait: float) -> _Result:
    return _Result({address: LookupFailed(fault, wait) for question in batch for address in question.addresses})


def _retried(batch: Sequence[_Question], fault: Fault, wait: float, *, most: int = TRIES) -> _Result:
    """Ask again, and say after some tries that the question was not answered."""
    again = [replace(question, tries=question.tries + 1) for question in batch if question.tries + 1 < most]
    return _Result(_failed([q for q in batch if q.tries + 1 >= most], fault, wait).answers, again)


def _divided(question: _Question) -> _Result:
    """Graph does not take the question: ask for each of its addresses alone, and for a single one in poorer words."""
    if len(question.addresses) > 1:
        single = _rich if question.rich else _basic
        return _Result({}, [single((address,)) for address in question.addresses])
    (address,) = question.addresses
    if question.rich:
        return _Result({}, [_basic((address,))])
    if not question.by_name:
        return _Result({}, [_by_name(address, doubtful=True)])
    if question.doubtful:
        return _failed([question], QUESTION_REFUSED, REFUSED_WAIT)
    return _Result({address: _nobody("person_not_found")})  # nobody has the mail, and it can be no name of sign-in


def _body(batch: Sequence[_Question]) -> dict[str, Any]:
    """The body of the $batch POST."""
    return {
        "requests": [{"id": str(number), "method": "GET", "url": question.url} for number, question in enumerate(batch)]
    }


def _parts(answer: Mapping[str, Any] | None) -> Mapping[str, Mapping[str, Any]] | None:
    """The batch's parts by id; None if the answer is no batch."""
    listed = None if answer is None else answer.get("responses")
    if not isinstance(listed, list):
        return None
    parts: dict[str, Mapping[str, Any]] = {}
    for part in listed:
        if isinstance(part, dict):
            name = str(part.get("id"))
            parts[name] = {} if parts.get(name, part) != part else part  # two that contradict each other are none
    return parts
