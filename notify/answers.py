"""Records in Kore's spelling: the answer to a send call and the answer to a status call.

Exactly Kore's keys with Kore's types; what Herald knows beyond them stands in one further key, `details`, and a
client written for Kore never needs it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final, assert_never

from adapters.base import ChannelName
from notify import texts
from notify.body import Problems
from notify.dry_run import Outlook, Rehearsal
from notify.ids import derived_id
from notify.notes import NO_NOTES, Notes
from notify.personal import NotYet, Personal, Ready, Unready
from notify.prospects import Prospect, Question, Standing
from notify.records import LogEntry, PausedLane, RequestRecord, RequestStatus, Response
from notify.render import sizes
from notify.trace import stored

JOB_TYPE: Final = "PROACTIVE_NOTIFICATIONS_API"
ACTION: Final = "PROACTIVE_NOTIFICATIONS"
DRY_RUN: Final = "DRY_RUN"


@dataclass(frozen=True, slots=True)
class Sample:
    """A message as somebody would get it, and what is probably wrong with it. None: nobody would get any."""

    payload: Mapping[str, Any] | None
    findings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Shown:
    """One identity of a preview: its message on one channel, and what is probably wrong with it."""

    channel: ChannelName
    original: str
    message: Personal
    findings: tuple[str, ...] = ()


class Answers:
    """Writes records for callers; `key` makes the ids of people, which nobody else can compute."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def sent(self, record: RequestRecord) -> dict[str, Any]:
        """The answer to a send call; v2's begins with the id, as Kore's samples do."""
        return {
            **({"_id": record.id} if record.route == "v2" else {}),
            "status": record.status.value,
            "percentageComplete": percentage(record),
            "streamId": record.bot_id,
            "createdBy": record.created_by,
            "jobType": JOB_TYPE,
            "action": ACTION,
            "statusLogs": [],
            "_id": record.id,
            **_times(record),
            "__v": 0,
            "store": {"identitiesCount": record.total},
            "countOfDockStatuses": 1,
            **_optional("details", dict(_lane_details(record))),
        }

    def status(self, record: RequestRecord) -> dict[str, Any]:
        """The answer to a status call: every final delivery, in the order given."""
        return {
            "_id": record.id,
            "status": record.status.value,
            "percentageComplete": percentage(record),
            "streamId": record.bot_id,
            "createdBy": record.created_by,
            "jobType": JOB_TYPE,
            "action": ACTION,
            "statusLogs": [self._entry(record, entry) for entry in record.entries],
            **_times(record),
            "__v": 0,
            "count": len(record.entries),
            "store": {"identitiesCount": record.total},
            "countOfDockStatuses": 1,
            **_optional("details", dict(_details(record))),
        }

    def rehearsed(self, rehearsal: Rehearsal, created_by: str, sample: Sample, now: float) -> dict[str, Any]:
        """The answer to a dry run: the record of a send without an id, and how each identity stands."""
        question, moment = rehearsal.question, iso(now)
        shared = {"createdBy": created_by, "streamId": question.bot, "channel": question.channel.value}
        return {
            "status": DRY_RUN,
            "percentageComplete": 0,
            "streamId": question.bot,
            "createdBy": created_by,
            "jobType": JOB_TYPE,
            "action": ACTION,
            "statusLogs": [{**_prospect(each), **shared} for each in rehearsal.prospects],
            "lMod": _iso(_milliseconds(now) // 1000 * 1000),
            "createdOn": moment,
            "requestedTime": moment,
            "__v": 0,
            "count": len(rehearsal.prospects),
            "store": {"identitiesCount": len(rehearsal.prospects)},
            "countOfDockStatuses": 1,
            "details": {
                "outcomes": {standing.value: count for standing, count in sorted(rehearsal.counts.items())},
                **_estimate(rehearsal.seconds, now),
                **_optional("paused", _paused(rehearsal.paused)),
                **_optional("sample", None if sample.payload is None else dict(sample.payload)),
                **_optional("warnings", list(sample.findings)),
            },
        }

    def explained(self, question: Question, outlook: Outlook) -> dict[str, Any]:
        """The answer to an explanation: one identity as it stands."""
        entry = _prospect(outlook.prospect)
        details = {**entry["details"], **_optional("paused", _paused(outlook.paused))}
        return {"streamId": question.bot, "channel": question.channel.value, **entry, "details": details}

    def previewed(self, bot: str, shown: Iterable[Shown], refused: Mapping[ChannelName, Problems]) -> dict[str, Any]:
        """The answer to a preview: each identity's message on each channel, and the channels that would refuse it."""
        return {
            "streamId": bot,
            "previews": [_shown(each) for each in shown],
            **_optional(
                "refused",
                {channel.value: [str(problem) for problem in problems] for channel, problems in refused.items()},
            ),
        }

    def _entry(self, record: RequestRecord, entry: LogEntry) -> dict[str, Any]:
        return {
            "_id": entry.id,
            "requestId": record.id,
            "originalId": entry.original_id,
            "status": "SUCCESS" if entry.succeeded else "FAILURE",
            "createdBy": record.created_by,
            "comments": texts.comment(entry.outcome, entry.reason),
            "streamId": record.bot_id,
            "channel": record.channel.value,
            **(self._recipient(record, entry) if entry.succeeded else {}),
            "createdOn": iso(entry.final_at),
            "__v": 0,
            "details": _entry_details(entry),
        }

    def _recipient(self, record: RequestRecord, entry: LogEntry) -> dict[str, Any]:
        """Who got it: stable per person and bot, so a caller can recognise a person without knowing them."""
        person = entry.user_id or entry.channel_id or entry.original_id
        return {
            "koreId": derived_id(
                "u", self._key, "person", record.bot_id, record.channel, entry.tenant_id or "", person
            ),
            "channelId": entry.channel_id or person,
            "messagestoreId": entry.store_id or derived_id("ms", self._key, "message", entry.id),
        }


def _shown(shown: Shown) -> dict[str, Any]:
    message = shown.message
    about: dict[str, Any] = {"channel": shown.channel.value, "originalId": shown.original}
    match message:
        case Ready(payload, notes):
            about |= {"payload": dict(payload), "size": sizes(shown.channel, payload)}
        case Unready(reason, code, says, notes):
            about |= {"reason": reason, "code": code, "remedy": says}
        case NotYet(reason, says):
            notes = NO_NOTES
            about |= {"reason": reason, "remedy": says}
        case _:
            assert_never(message)
    return about | _noted(replace(notes, warnings=(*notes.warnings, *shown.findings)))


def _prospect(prospect: Prospect) -> dict[str, Any]:
    """How one identity stands, in the names of a status entry."""
    same = None if prospect.same_as is None else f"identities[{prospect.same_as}]"
    return {
        "originalId": prospect.original,
        "comments": texts.standing(prospect.standing, prospect.reason, unseen=prospect.unseen),
        **_optional("channelId", prospect.channel_id),
        "details": {
            "outcome": prospect.standing.value,
            **_optional("reason", prospect.reason),
            **_optional("remedy", prospect.remedy or texts.remedy(prospect.reason)),
            **_optional("who", texts.who(_lack(prospect))),
            **_optional("code", prospect.code),
            **_optional("tenant", prospect.tenant),
            **_optional("duplicateOf", same),
            **_optional("trace", [_step(stored(step)) for step in prospect.trace]),
            **_noted(prospect.notes),
        },
    }


def _lack(prospect: Prospect) -> str | None:
    """The reason that stands, or may stand, in the way."""
    return "app_not_installed" if prospect.standing is Standing.IF_INSTALLED else prospect.reason


def percentage(record: RequestRecord) -> int:
    """⌊100 × final / total⌋, and 100 only together with a final status."""
    if record.status is not RequestStatus.IN_PROGRESS:
        return 100
    return min(99, 100 * record.done // record.total) if record.total else 0


def iso(moment: float) -> str:
    """ISO 8601 in UTC with milliseconds and Z."""
    return _iso(_milliseconds(moment))


def _iso(milliseconds: int) -> str:
    seconds, rest = divmod(milliseconds, 1000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:03d}Z"


def _milliseconds(moment: float) -> int:
    return round(moment * 1000)


def _times(record: RequestRecord) -> dict[str, str]:
    """`lMod` is cut to the second, as at Kore; the other two are equal to each other."""
    created = iso(record.created_at)
    changed = _milliseconds(record.changed_at)
    return {"lMod": _iso(changed - changed % 1000), "createdOn": created, "requestedTime": created}


def _details(record: RequestRecord) -> Iterator[tuple[str, Any]]:
    if record.status is RequestStatus.IN_PROGRESS:
        yield "pending", record.total - record.done
    yield from _lane_details(record)


def _lane_details(record: RequestRecord) -> Iterator[tuple[str, Any]]:
    if record.rate is not None:
        yield "rate", record.rate
    if record.estimated_completion is not None:
        yield "estimatedCompletion", iso(record.estimated_completion)
    if record.paused:
        yield "paused", _paused(record.paused)


def _paused(lanes: Iterable[PausedLane]) -> list[dict[str, Any]]:
    return [
        {
            "tenant": lane.tenant_id,
            "reason": lane.reason,
            "remedy": lane.remedy,
            **_optional("who", texts.who(lane.reason)),
            "since": iso(lane.since),
        }
        for lane in lanes
    ]


def _estimate(seconds: float | None, now: float) -> dict[str, Any]:
    if seconds is None:
        return {}
    return {"estimatedSeconds": round(seconds, 1), "estimatedCompletion": iso(now + seconds)}


def _entry_details(entry: LogEntry) -> dict[str, Any]:
    return {
        "outcome": entry.outcome,
        **_optional("reason", entry.reason),
        **_optional("remedy", entry.remedy or texts.remedy(entry.reason)),
        **_optional("who", texts.who(entry.reason)),
        **_optional("code", entry.code),
        **_optional("duplicateOf", entry.duplicate_of),
        **_optional("trace", [_step(step) for step in entry.trace]),
        **_optional("responses", [_response(response) for response in entry.responses]),
        "attempts": entry.attempts,
        **_noted(entry.notes),
    }


def _noted(notes: Notes) -> dict[str, Any]:
    return {**_optional("warnings", list(notes.warnings)), **_optional("scriptLog", list(notes.log))}


def _response(response: Response) -> dict[str, Any]:
    return {"at": iso(response.at), "kind": response.kind, **response.detail}


def _step(step: Mapping[str, Any]) -> dict[str, Any]:
    age = step.get("age_seconds", step.get("age"))
    return {
        **_optional("source", step.get("source")),
        **_optional("age", None if age is None else round(age, 1)),
        **_optional("result", step.get("result")),
        **_optional("code", step.get("code")),
        **_optional("tenant", step.get("tenant")),
    }


def _optional(name: str, value: Any) -> dict[str, Any]:  # a value of any JSON type
    return {} if value is None or value in ("", [], {}) else {name: value}
