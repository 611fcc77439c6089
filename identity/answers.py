"""What a resolution can come to, and what a platform's people source says about an e-mail. Values only."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from adapters.base import Address, BotId, Fault, Gate, TenantId, TraceStep
from storage.directory import Person

Trace = tuple[TraceStep, ...]


@dataclass(frozen=True, slots=True)
class Found:
    """The identity leads to this address.

    `talked_at` is when the person talked to us there, by the platform's time; 0: never, or not any more.
    """

    address: Address
    trace: Trace
    talked_at: float = 0.0
    guest: bool = False


@dataclass(frozen=True, slots=True)
class Missing:
    """The identity leads to nobody we may write to; `reason` is a stable slug."""

    reason: str
    remedy: str
    trace: Trace


@dataclass(frozen=True, slots=True)
class Later:
    """Nothing is known yet: the look-up was throttled, unreachable, or the lane is misconfigured (see the fault)."""

    retry_after: float
    fault: Fault
    trace: Trace = ()


Resolution = Found | Missing | Later


@dataclass(frozen=True, slots=True)
class NoPerson:
    """The platform knows nobody, or nobody usable, under the e-mail.

    Reasons: person_not_found, person_disabled, person_ambiguous, guest_not_supported; Slack's table gives others.
    """

    reason: str
    remedy: str
    remember: bool = True  # keep as a miss in the directory
    code: str = ""  # the platform's own word, where it said one


@dataclass(frozen=True, slots=True)
class Unlicensed:
    """The platform knows the person, and that their account has no licence for the channel."""

    person: Person
    otherwise: NoPerson  # what they are to us without a conversation


@dataclass(frozen=True, slots=True)
class NotAsked:
    """The platform cannot be asked at all, by choice of the settings: what is stored must do."""

    remedy: str


@dataclass(frozen=True, slots=True)
class LookupFailed:
    """The platform did not answer the question; ask again after so many seconds."""

    fault: Fault
    retry_after: float


Judged = Person | NoPerson | NotAsked | LookupFailed
PersonAnswer = Judged | Unlicensed


class PeopleSource(Protocol):
    """A platform's own look-up of people by e-mail (Graph; users.list and users.lookupByEmail)."""

    name: str

    def unasked(self, bot: BotId) -> NotAsked | None:
        """Why nobody is ever asked for this bot, where the settings say so."""

    def find(
        self, bot: BotId, tenant: TenantId, addresses: Sequence[str], gate: Gate
    ) -> AsyncIterator[Mapping[str, PersonAnswer]]:
        """Look normal-form e-mails up, every call through the gate; answers come as they are known.

        Each address is answered exactly once. Never raises for a platform's answer.
        """

    async def seconds(self, bot: BotId, tenant: TenantId, unknown: int) -> float:
        """About how long looking so many addresses up takes at the documented pace."""
