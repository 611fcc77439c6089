"""conversations.open and conversations.history, for direct messages.

Source: the methods' pages on docs.slack.dev.
"""

import base64
import binascii
import re

from simulator.slack import limits
from simulator.slack.answers import SlackError, missing_scope
from simulator.slack.call import Body, Call
from simulator.slack.conversations import Conversation, Message
from simulator.slack.directory import SLACKBOT, User, Workspace

_STAMP = re.compile(r"\d{1,16}(\.\d{1,6})?")
_MOST_USERS = 8


def open_conversation(call: Call) -> Body:
    """Open or resume a direct message with one person; groups are not simulated."""
    channel = call.arguments.text("channel")
    if channel:
        return _opened(call, call.conversation(channel), new=False)
    named = [each.strip() for each in call.arguments.text("users").split(",") if each.strip()]
    if not named:
        raise SlackError("users_list_not_supplied")
    if len(named) > _MOST_USERS:
        raise SlackError("too_many_users")
    workspace, user = _person(call, named[0])
    if len(named) > 1:
        raise missing_scope("mpim:write", call.install.scopes)
    if call.arguments.flag("prevent_creation"):
        existing = call.slack.conversations.between(call.install.bot_user_id, user.id)
        if existing is None:
            raise SlackError("channel_not_found")
        return _opened(call, existing, new=False)
    conversation, new = call.slack.conversations.open(call.install, workspace, user, call.slack.world.clock.now())
    return _opened(call, conversation, new=new)


def _person(call: Call, identifier: str) -> tuple[Workspace, User]:
    found = call.user(identifier)
    if found is None:
        raise SlackError("user_not_found")
    user = found[1]
    if user.is_stranger:
        raise SlackError("invalid_user_combination")
    if user.deleted:
        raise SlackError("user_disabled")
    if user.is_bot or user.id == SLACKBOT:
        raise SlackError("cannot_dm_bot")
    return found


def _opened(call: Call, conversation: Conversation, *, new: bool) -> Body:
    answer: Body = {"ok": True}
    if not new:
        answer |= {"no_op": True, "already_open": True}
    channel: Body = {"id": conversation.id}
    if call.arguments.flag("return_im"):
        channel |= {
            "created": conversation.created,
            "is_im": True,
            "is_org_shared": False,
            "user": conversation.user_id,
            "is_open": True,
            "context_team_id": conversation.workspace.id,
        }
    return {**answer, "channel": channel}


def history(call: Call) -> Body:
    """A page of a conversation, newest first. A user id is not accepted as channel."""
    arguments = call.arguments
    channel = arguments.text("channel")
    if not channel:
        raise SlackError("channel_not_found")
    conversation = call.conversation(channel)
    oldest = _bound(arguments.text("oldest"), "invalid_ts_oldest")
    latest = _bound(arguments.text("latest"), "invalid_ts_latest")
    inclusive = arguments.flag("inclusive")
    cursor = arguments.text("cursor")
    limit = _limit(call)
    stamps = conversation.between(oldest, latest, inclusive)
    if cursor:
        newest = _read_cursor(cursor)
        stamps = [ts for ts in stamps if ts <= newest]
    page, rest = stamps[:limit], stamps[limit:]
    with_metadata = arguments.flag("include_all_metadata")
    answer: Body = {
        "ok": True,
        "messages": [_shown(conversation.messages[ts], with_metadata) for ts in page],
        "has_more": bool(rest),
        "pin_count": 0,
        "channel_actions_ts": None,
        "channel_actions_count": 0,
    }
    if rest:
        answer["response_metadata"] = {"next_cursor": _write_cursor(rest[0])}
    return answer


def _limit(call: Call) -> int:
    limit = call.arguments.whole("limit")
    if limit is not None and not 0 <= limit <= limits.HISTORY_PAGE:
        raise SlackError("invalid_limit")
    most = limits.HISTORY_PAGE_OUTSIDE_MARKETPLACE if call.install.app.outside_marketplace else limits.HISTORY_PAGE
    return min(limit or limits.HISTORY_DEFAULT_PAGE, most)


def _shown(message: Message, with_metadata: bool) -> Message:
    if with_metadata or "metadata" not in message:
        return message
    return {name: value for name, value in message.items() if name != "metadata"}


def _bound(value: str, error: str) -> str:
    """A `ts` in the form that sorts with those of messages."""
    if not value:
        return ""
    if not _STAMP.fullmatch(value):
        raise SlackError(error)
    seconds, _, micros = value.partition(".")
    return f"{int(seconds):010d}.{micros:0<6}"


def _write_cursor(ts: str) -> str:
    return base64.b64encode(f"next_ts:{ts.replace('.', '')}".encode()).decode()


def _read_cursor(cursor: str) -> str:
    try:
        kind, _, digits = base64.b64decode(cursor, validate=True).decode("ascii").partition(":")
    except (binascii.Error, UnicodeDecodeError) as failure:
        raise SlackError("invalid_cursor") from failure
    if kind != "next_ts" or not digits.isdecimal() or len(digits) <= 6:
        raise SlackError("invalid_cursor")
    return f"{digits[:-6]}.{digits[-6:]}"
