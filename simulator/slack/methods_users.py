"""users.list, users.info and users.lookupByEmail.

Source: the methods' pages on docs.slack.dev. E-mails are shown only to tokens with users:read.email.
"""

import base64
import binascii

from simulator.slack import limits
from simulator.slack.answers import SlackError
from simulator.slack.call import Body, Call
from simulator.slack.directory import User

_EMAIL_SCOPE = "users:read.email"


def list_users(call: Call) -> Body:
    """A page of everybody in the workspace, deactivated people, bots and strangers included."""
    workspace = call.workspace()
    users = workspace.users
    world = call.slack.world
    limit = call.arguments.whole("limit") or 0
    if not 0 <= limit <= limits.USERS_PAGE:
        raise SlackError("invalid_limit")
    if not limit and (world.settings["slack_limit_required"] or len(users) > limits.USERS_WITHOUT_LIMIT):
        raise SlackError("limit_required")
    ids = list(users)
    start = _position(call.arguments.text("cursor"), ids)
    end = start + min(limit or len(ids), int(world.settings["slack_users_page"]))
    with_email = _EMAIL_SCOPE in call.install.scopes
    return {
        "ok": True,
        "members": [users[each].as_json(with_email) for each in ids[start:end]],
        "cache_ts": int(world.clock.now().timestamp()),
        "response_metadata": {"next_cursor": _cursor(ids[end]) if end < len(ids) else ""},
    }


def info(call: Call) -> Body:
    """One person by id."""
    found = call.user(call.arguments.required("user"))
    if found is None:
        raise SlackError("user_not_found")
    return _one(call, found[1])


def lookup_by_email(call: Call) -> Body:
    """One active person by e-mail; unknown and deactivated people look the same."""
    call.require("users:read")
    email = call.arguments.required("email")
    for team_id in call.teams():
        user = call.slack.directory.workspaces[team_id].by_email(email)
        if user is not None:
            return _one(call, user)
    raise SlackError("users_not_found")


def _one(call: Call, user: User) -> Body:
    return {"ok": True, "user": user.as_json(_EMAIL_SCOPE in call.install.scopes)}


def _cursor(identifier: str) -> str:
    return base64.b64encode(f"user:{identifier}".encode()).decode()


def _position(cursor: str, ids: list[str]) -> int:
    if not cursor:
        return 0
    try:
        kind, _, identifier = base64.b64decode(cursor, validate=True).decode("ascii").partition(":")
        if kind != "user":
            raise SlackError("invalid_cursor")
        return ids.index(identifier)
    except (binascii.Error, ValueError) as failure:
        raise SlackError("invalid_cursor") from failure
