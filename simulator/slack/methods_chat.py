"""chat.postMessage, chat.update and chat.delete.

Source: the methods' pages on docs.slack.dev. Posting to a user id opens the direct message; updating and deleting want
the id of the conversation.
"""

from typing import Any

from simulator.slack.answers import SlackError
from simulator.slack.call import Body, Call, is_messageable
from simulator.slack.content import FORMATS, read_content, read_metadata
from simulator.slack.conversations import Conversation
from simulator.slack.directory import SLACKBOT

_CUSTOMIZE = ("username", "icon_url", "icon_emoji")


def post_message(call: Call) -> Body:
    """Store a message in the conversation and in the person's mailbox."""
    arguments, slack, install = call.arguments, call.slack, call.install
    channel = arguments.text("channel")
    if not channel:
        raise SlackError("channel_not_found")
    if any(arguments.text(name) for name in _CUSTOMIZE):
        call.require("chat:write.customize")
        raise SlackError("invalid_arguments")  # lands in the Slackbot conversation, which is not simulated
    conversation = _target(call, channel)
    if not install.app.messages_tab_enabled:
        raise SlackError("messages_tab_disabled")
    content, warnings = read_content(arguments)
    metadata = read_metadata(arguments)
    thread = arguments.text("thread_ts")
    if thread and thread not in conversation.messages:
        raise SlackError("thread_not_found")
    call.warnings += warnings
    now = slack.world.clock.now()
    ts = slack.conversations.stamp(now)
    message: dict[str, Any] = {
        "type": "message",
        "user": install.bot_user_id,
        "bot_id": install.bot_id,
        "app_id": install.app.id,
        "team": conversation.workspace.id,
        "ts": ts,
        **content,
    }
    if metadata:
        message["metadata"] = metadata
    if thread:
        message["thread_ts"] = thread
    conversation.add(ts, message)
    user = conversation.workspace.users[conversation.user_id]
    slack.world.mailboxes.deliver(
        "slack",
        conversation.workspace.id,
        user.id,
        conversation.id,
        ts,
        message,
        now,
        user.email or "",
        user.real_name,
        install.app.name,
    )
    return {"ok": True, "channel": conversation.id, "ts": ts, "message": message}


def _target(call: Call, channel: str) -> Conversation:
    """The conversation to post to, opened when a user id is given."""
    if channel[0] == "D":
        conversation = call.conversation(channel)
        if conversation.workspace.users[conversation.user_id].deleted:
            raise SlackError("channel_not_found")
        return conversation
    if channel[0] not in "UW":
        raise SlackError("not_in_channel" if channel == "C0GENERAL" else "channel_not_found")
    found = call.user(channel)
    if found is None:
        raise SlackError("channel_not_found")
    workspace, user = found
    if user.id == SLACKBOT or (user.is_bot and not user.deleted):
        raise SlackError("cannot_dm_bot")
    if not is_messageable(user):
        raise SlackError("channel_not_found")
    return call.slack.conversations.open(call.install, workspace, user, call.slack.world.clock.now())[0]


def update(call: Call) -> Body:
    """Replace a message of our own. Blocks stay only when no text is given, metadata unless an empty object is."""
    conversation, ts, message = _own_message(call, "cant_update_message")
    content, warnings = read_content(call.arguments)
    metadata = read_metadata(call.arguments)
    call.warnings += warnings
    slack, now = call.slack, call.slack.world.clock.now()
    given = call.arguments.values
    if "text" not in given and "markdown_text" not in given:
        del content["text"]
    kept = {name: value for name, value in message.items() if name not in FORMATS or "text" not in content}
    changed = {**kept, **content}
    if "text" in given and "blocks" not in content:
        changed.pop("blocks", None)
    if metadata is not None:
        changed.pop("metadata", None)
        if metadata:
            changed["metadata"] = metadata
    changed["edited"] = {"user": call.install.bot_user_id, "ts": slack.conversations.stamp(now)}
    conversation.messages[ts] = changed
    slack.world.mailboxes.edit("slack", conversation.workspace.id, conversation.id, ts, changed, now)
    return {"ok": True, "channel": conversation.id, "ts": ts, "text": changed["text"], "message": changed}


def delete(call: Call) -> Body:
    """Delete a message of our own."""
    conversation, ts, _ = _own_message(call, "cant_delete_message")
    conversation.remove(ts)
    world = call.slack.world
    world.mailboxes.delete("slack", conversation.workspace.id, conversation.id, ts, world.clock.now())
    return {"ok": True, "channel": conversation.id, "ts": ts}


def _own_message(call: Call, not_ours: str) -> tuple[Conversation, str, dict[str, Any]]:
    channel = call.arguments.text("channel")
    if not channel:
        raise SlackError("channel_not_found")
    conversation = call.conversation(channel)
    ts = call.arguments.required("ts")
    message = conversation.messages.get(ts)
    if message is None:
        raise SlackError("message_not_found")
    if message.get("bot_id") != call.install.bot_id:
        raise SlackError(not_ours)
    return conversation, ts, message
