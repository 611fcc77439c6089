"""PURE: the questions that find people by Microsoft Graph, and what an answer to one leads to.

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

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final
from urllib.parse import quote

from adapters.base import Fault, FaultClass
from adapters.ids import readable
from adapters.teams.faults import UNREACHABLE
from adapters.teams.limits import GRAPH_FILTER_CLAUSES
from identity.answers import LookupFailed, PersonAnswer
from identity.teams_owners import is_missing, nobody, owner_of

TRIES: Final = 4
UNREACHABLE_WAIT: Final = 5.0
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
RICH_ADDRESSES: Final = GRAPH_FILTER_CLAUSES // len(_CLAUSES)

QUESTION_REFUSED: Final = Fault(
    FaultClass.NOT_SENT, "lookup_failed", "Microsoft Graph does not take this address in a question: check it.",
    "http_400", costs_attempt=False,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Question:
    """One request of a batch: the addresses it asks for, and how."""

    addresses: tuple[str, ...]
    url: str
    rich: bool
    by_name: bool = False  # GET by userPrincipalName: 404 is an answer
    doubtful: bool = False  # the question about `mail` was refused: nobody of this name is not nobody
    tries: int = 0


@dataclass(frozen=True, slots=True)
class Result:
    """What one batch taught: answers, and questions still to be asked."""

    answers: Mapping[str, PersonAnswer]
    again: Sequence[Question] = ()


# ---------------------------------------------------------------- asking


def by_everything(addresses: Sequence[str]) -> list[Question]:
    """The full questions: each field that may hold an address."""
    return [_rich(tuple(group)) for group in _groups(addresses, RICH_ADDRESSES)]


def _rich(addresses: tuple[str, ...]) -> Question:
    clauses = (clause.format(_quoted(address)) for address in addresses for clause in _CLAUSES)
    return Question(addresses, _filter_url(clauses, _RICH_FIELDS), rich=True)


def by_mail(addresses: Sequence[str]) -> list[Question]:
    """The poorer questions, which User.ReadBasic.All may ask."""
    return [_basic(tuple(group)) for group in _groups(addresses, GRAPH_FILTER_CLAUSES)]


def _basic(addresses: tuple[str, ...]) -> Question:
    clauses = (_CLAUSES[0].format(_quoted(address)) for address in addresses)
    return Question(addresses, _filter_url(clauses, _BASIC_FIELDS), rich=False)


def _by_name(address: str, *, doubtful: bool = False) -> Question:
    # a name that begins with $ is only understood in the quoted form (graph-docs user-get.md)
    key = f"('{quote(_quoted(address), safe='')}')" if address.startswith("$") else f"/{quote(address, safe='')}"
    return Question((address,), f"/users{key}?$select={_BASIC_FIELDS}", rich=False, by_name=True, doubtful=doubtful)


def _groups(addresses: Sequence[str], size: int) -> Iterable[Sequence[str]]:
    return (addresses[start : start + size] for start in range(0, len(addresses), size))


def _quoted(address: str) -> str:
    return address.replace("'", "''")


def _filter_url(clauses: Iterable[str], fields: str) -> str:
    return f"/users?$filter={quote(' or '.join(clauses), safe='')}&$select={fields}"


def body_of(batch: Sequence[Question]) -> dict[str, Any]:
    """The body of the $batch POST."""
    return {
        "requests": [{"id": str(number), "method": "GET", "url": question.url} for number, question in enumerate(batch)]
    }


def parts_of(answer: Mapping[str, Any] | None) -> Mapping[str, Mapping[str, Any]] | None:
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


# ---------------------------------------------------------------- answered


def read_users(question: Question, body: object) -> Result:
    """The people of a part. Whoever is not among them is asked for again if some of it could not be read."""
    listed = [body] if question.by_name else body.get("value") if isinstance(body, dict) else None
    users = listed if isinstance(listed, list) else [None]
    known = [user for user in users if isinstance(user, dict) and readable(user.get("id"))]
    whole = not isinstance(body, dict) or "@odata.nextLink" not in body
    if whole and all(isinstance(user, dict) and isinstance(user.get("id"), str) for user in users):
        return settled(question, known)
    answers = {address: owner_of(address, known) for address in question.addresses}
    found = {address: answer for address, answer in answers.items() if not is_missing(answer)}
    rest = replace(question, addresses=tuple(each for each in question.addresses if each not in found))
    again = retried([rest], replace(UNREACHABLE, code="unreadable_part"), UNREACHABLE_WAIT)
    return Result(found | dict(again.answers), again.again)


def settled(question: Question, users: Sequence[Mapping[str, Any]]) -> Result:
    """Give each address its owner. By `mail` alone nobody is missing yet: the name of sign-in is asked next."""
    answers = {address: owner_of(address, users) for address in question.addresses}
    if question.doubtful and any(is_missing(answer) for answer in answers.values()):
        return failed([question], QUESTION_REFUSED, REFUSED_WAIT)
    if question.rich or question.by_name:
        return Result(answers)
    missing = [address for address, answer in answers.items() if is_missing(answer)]
    return Result(
        {address: answer for address, answer in answers.items() if address not in missing},
        [_by_name(address) for address in missing],
    )


# ---------------------------------------------------------------- not answered


def failed(batch: Sequence[Question], fault: Fault, wait: float) -> Result:
    """Say of every address that the question was not answered."""
    return Result({address: LookupFailed(fault, wait) for question in batch for address in question.addresses})


def retried(batch: Sequence[Question], fault: Fault, wait: float, *, most: int = TRIES) -> Result:
    """Ask again, and say after some tries that the question was not answered."""
    again = [replace(question, tries=question.tries + 1) for question in batch if question.tries + 1 < most]
    return Result(failed([q for q in batch if q.tries + 1 >= most], fault, wait).answers, again)


def divided(question: Question) -> Result:
    """Graph does not take the question: ask for each of its addresses alone, and for a single one in poorer words."""
    if len(question.addresses) > 1:
        single = _rich if question.rich else _basic
        return Result({}, [single((address,)) for address in question.addresses])
    (address,) = question.addresses
    if question.rich:
        return Result({}, [_basic((address,))])
    if not question.by_name:
        return Result({}, [_by_name(address, doubtful=True)])
    if question.doubtful:
        return failed([question], QUESTION_REFUSED, REFUSED_WAIT)
    return Result({address: nobody("person_not_found")})  # nobody has the mail, and it can be no name of sign-in
