"""PURE: the schemas of answers, as `notify.answers` and `notify.errors` write them.

Nothing else may stand in an answer, but in the payloads of platforms and in the values that people send by a button.
"""

from __future__ import annotations

from typing import Final

from adapters.base import ChannelName
from notify.answers import ACTION, DRY_RUN, JOB_TYPE
from notify.openapi.shapes import (
    Json,
    always,
    an_id,
    choice,
    closed,
    many,
    moment,
    open_object,
    ref,
    text,
    texts,
    whole,
)
from notify.presses import MOST_LABEL
from notify.prospects import Standing
from notify.records import RequestStatus
from notify.texts import SENT, Who

_CHANNELS: Final = tuple(ChannelName)
_OUTCOMES: Final = ("sent", "refused", "unconfirmed", "skipped", "cancelled")
_BOT: Final = an_id("st", "The bot of the path.")
_CALLER: Final = an_id("u", "Who called, stable for a client.")
_CHANNEL: Final = choice(_CHANNELS, "The platform.")
_ORIGINAL: Final = text("The identity as it was sent, to the letter.")
_REASON: Final = text("Why: a stable word; docs/reasons.md lists all of them.", pattern="^[a-z_]+$")
_REMEDY: Final = text("What to do about it.")
_WHO: Final = choice(tuple(Who), "Who can do that.")
_CODE: Final = text("The platform's own word, or how a script failed.")
_PAUSED: Final = many(ref("Paused"), "Lanes that wait until somebody mends something.", minItems=1)
_WARNINGS: Final = texts("What is probably wrong with the message; it refuses nothing.", minItems=1)
_SCRIPT_LOG: Final = texts("What the person's script logged.", minItems=1)
_TRACE: Final = many(ref("Step"), "What this has been through, in few steps.", minItems=1)
_RATE: Final[Json] = {"type": "number", "description": "Deliveries a second now."}
_ESTIMATE: Final = moment("When the last delivery should end, as things go now.")
_NOTES: Final[Json] = {"warnings": _WARNINGS, "scriptLog": _SCRIPT_LOG}


def schemas() -> dict[str, Json]:
    """The answers by name, with their parts."""
    return {
        "Sent": _sent(),
        "Status": _status(),
        "DryRun": _dry_run(),
        "Previews": _previews(),
        "Explanation": _explanation(),
        "Success": _success(),
        "Failure": _failure(),
        "EntryDetails": _entry_details(),
        "Rehearsed": _rehearsed(),
        "ProspectDetails": _prospect_details(),
        "Previewed": _previewed(),
        "Paused": _paused(),
        "Step": _step(),
        "Response": _response(),
        "Errors": _errors(),
        "Problem": _problem(),
        "Health": _health(),
    }


def _record(status: Json, **members: Json) -> Json:
    """What every record has."""
    return {
        "status": status,
        "percentageComplete": whole("Rounded down; 100 only with a final status.", minimum=0, maximum=100),
        "streamId": _BOT,
        "createdBy": _CALLER,
        "jobType": always(JOB_TYPE),
        "action": always(ACTION),
        "lMod": moment("When it changed last, cut to the second."),
        "createdOn": moment("When the call was accepted."),
        "requestedTime": moment("The same as createdOn."),
        "__v": always(0),
        "store": closed({"identitiesCount": whole("Identities of the call, equal ones counted too.", minimum=1)}),
        "countOfDockStatuses": always(1),
        **members,
    }


_ID: Final = an_id("ds", "The request: ask for its status with it.")


def _sent() -> Json:
    details = closed({}, {"rate": _RATE, "estimatedCompletion": _ESTIMATE, "paused": _PAUSED})
    nothing_yet = {"type": "array", "maxItems": 0, "description": "Nothing is delivered yet."}
    record = _record(always(RequestStatus.IN_PROGRESS.value), _id=_ID, statusLogs=nothing_yet)
    return closed(record, {"details": details}, "A request that is stored, and on its way.")


def _status() -> Json:
    entry = {"oneOf": [ref("Success"), ref("Failure")]}
    pending = whole("Deliveries that are not final.", minimum=0)
    record = _record(
        choice(tuple(RequestStatus), "Every request ends in one of the other three."),
        _id=_ID,
        statusLogs=many(entry, "One for each delivery that is final, ordered by the moment it became so."),
        count=whole("How many entries there are.", minimum=0),
    )
    details = {"pending": pending, "rate": _RATE, "estimatedCompletion": _ESTIMATE, "paused": _PAUSED}
    return closed(record, {"details": closed({}, details)}, "A request with every delivery that is final.")


def _entry(status: str, comments: Json, **members: Json) -> Json:
    return {
        "_id": an_id("nl", "The entry."),
        "requestId": an_id("ds", "The request."),
        "originalId": _ORIGINAL,
        "status": always(status),
        "createdBy": _CALLER,
        "comments": comments,
        "streamId": _BOT,
        "channel": _CHANNEL,
        "createdOn": moment("When the delivery became final."),
        "__v": always(0),
        "details": ref("EntryDetails"),
        **members,
    }


def _success() -> Json:
    recipient = {
        "koreId": an_id("u", "Who got it, stable per person and bot."),
        "channelId": text("Teams: 29:… where it is known, else the Entra object id. Slack: the user id."),
        "messagestoreId": an_id("ms", "The message."),
    }
    return closed(_entry("SUCCESS", always(SENT), **recipient), says="A message that was delivered.")


def _failure() -> Json:
    return closed(_entry("FAILURE", text("Why not, in a sentence.")), says="A message that was not, or not surely.")


def _entry_details() -> Json:
    optional = {
        "reason": _REASON,
        "remedy": _REMEDY,
        "who": _WHO,
        "code": _CODE,
        "duplicateOf": an_id("nl", "The entry of the equal identity before it, which decides."),
        "trace": _TRACE,
        "responses": many(ref("Response"), "What the person pressed in the message.", minItems=1),
        **_NOTES,
    }
    required = {"outcome": choice(_OUTCOMES), "attempts": whole("Sends that were tried.", minimum=0)}
    return closed(required, optional, "What Herald says beyond Kore.")


def _step() -> Json:
    members = {
        "source": text("What was asked or done."),
        "result": text("What came of it."),
        "age": {"type": "number", "minimum": 0, "description": "Seconds since this was learnt."},
        "code": text("The platform's own word."),
        "tenant": text("The tenant or workspace."),
    }
    return closed({}, members, "One step of a delivery.")


def _response() -> Json:
    members = {
        "value": {"description": "What the button carries: any JSON."},
        "label": text("The words that the person saw.", maxLength=MOST_LABEL),
        "actionId": text("Slack's action_id; on Teams the id of an Action.Execute."),
        "blockId": text("Slack's block_id."),
        "verb": text("Of an Action.Execute."),
        "note": text("Why value is missing."),
    }
    required = {"at": moment("When it was pressed."), "kind": choice(("button", "reply"))}
    return closed(required, members, "What a person did with the message.")


def _paused() -> Json:
    required = {
        "tenant": text("The tenant or workspace; empty where it is not known yet."),
        "reason": _REASON,
        "remedy": _REMEDY,
        "since": moment("Since when."),
    }
    return closed(required, {"who": _WHO}, "A lane that waits.")


def _dry_run() -> Json:
    standings = {standing.value: whole(minimum=1) for standing in Standing}
    details = {
        "estimatedSeconds": {"type": "number", "minimum": 0, "description": "How long sending would take."},
        "estimatedCompletion": _ESTIMATE,
        "paused": _PAUSED,
        "sample": open_object("The platform's payload, as the first who would get one would get it."),
        "warnings": _WARNINGS,
    }
    record = _record(
        always(DRY_RUN),
        statusLogs=many(ref("Rehearsed"), "One for each identity, in the order given."),
        count=whole("How many entries there are.", minimum=1),
        details=closed({"outcomes": closed({}, standings, "How many of each.")}, details),
    )
    return closed(record, says="What the call would come to; nothing is stored or sent.")


def _prospect(details: Json) -> Json:
    return {
        "originalId": _ORIGINAL,
        "comments": text("How the person stands, in a sentence."),
        "streamId": _BOT,
        "channel": _CHANNEL,
        "details": details,
    }


_CHANNEL_ID: Final[Json] = {"channelId": text("The platform's id of the person, where it is known.")}


def _rehearsed() -> Json:
    required = {**_prospect(ref("ProspectDetails")), "createdBy": _CALLER}
    return closed(required, _CHANNEL_ID, "How one identity of a dry run stands.")


def _explanation() -> Json:
    return closed(_prospect(ref("ProspectDetails")), _CHANNEL_ID, "How one person would be reached, or why not.")


def _prospect_details() -> Json:
    optional = {
        "reason": _REASON,
        "remedy": _REMEDY,
        "who": _WHO,
        "code": _CODE,
        "tenant": text("The tenant or workspace that a message would go through."),
        "duplicateOf": text("The equal identity before it.", pattern=r"^identities\[\d+\]$"),
        "trace": _TRACE,
        "paused": _PAUSED,
        **_NOTES,
    }
    return closed({"outcome": choice(tuple(Standing))}, optional, "How somebody stands.")


def _previews() -> Json:
    refused = {channel.value: texts("Why a send call would be refused.", minItems=1) for channel in _CHANNELS}
    optional = {"refused": closed({}, refused, "The channels on which a send call would be refused.")}
    required = {"streamId": _BOT, "previews": many(ref("Previewed"), "One for each identity and channel.", minItems=1)}
    return closed(required, optional, "A message as each would get it.")


def _previewed() -> Json:
    about = {"channel": _CHANNEL, "originalId": _ORIGINAL}
    count = whole(minimum=0)
    teams = closed({"bytes": count, "limit": count}, says="In UTF-16, as Teams counts.")
    slack = closed({"characters": count, "limit": count, "blocks": count, "blocksLimit": count})
    ready = {
        "payload": open_object("The platform's payload."),
        "size": {"oneOf": [teams, slack], "description": "How large it is, in the platform's own count."},
    }
    unready = {"reason": _REASON, "remedy": _REMEDY}
    return {
        "oneOf": [
            closed({**about, **ready}, _NOTES, "What this person would get."),
            closed({**about, **unready}, {"code": _CODE, **_NOTES}, "Why there is nothing for this person."),
        ]
    }


def _errors() -> Json:
    entry = closed({"msg": text("What is wrong, in words."), "code": whole("The HTTP status, or 4002 of Kore.")})
    return closed({"errors": many(entry, minItems=1)}, says="A refusal in Kore's shape.")


def _problem() -> Json:
    members = {"type": always("about:blank"), "title": text(), "status": whole(minimum=400, maximum=599)}
    return closed(members, says="A refusal after RFC 9457.")


def _health() -> Json:
    check = closed({"ok": {"type": "boolean"}, "finding": text()})
    checks = {"type": "object", "additionalProperties": check, "description": "Each thing that was looked at."}
    return closed({"status": choice(("ready", "unavailable")), "checks": checks})
