"""Which chat a `POST /v3/conversations` asks for, and why it may be refused.

A bot opens personal chats only, and only where its app is installed for the person (Microsoft Teams, "Send proactive
messages"). The person is named by `29:` id or by object id, never by e-mail or user principal name.
"""

from typing import Any

from simulator.teams.apps import App
from simulator.teams.conversations import Conversation
from simulator.teams.errors import ConnectorError
from simulator.teams.ids import bot_user_id, read_user_id
from simulator.teams.people import TeamsPerson, Tenant
from simulator.teams.state import TeamsState


def wanted_chat(state: TeamsState, app: App, body: dict[str, Any], path_tenant: str | None) -> Conversation:
    """The chat of a well-formed request, whether or not it may be opened."""
    bot = body.get("bot")
    if not isinstance(bot, dict) or bot.get("id") != bot_user_id(app.app_id):
        raise ConnectorError("Bad Argument", "'bot.id' must be the calling bot.")
    tenant = _tenant(state, body, path_tenant)
    if body.get("isGroup"):
        return _channel(state, app, tenant, body)
    return state.conversations.personal(app, tenant, _person(state, app, tenant, body))


def check_may_open(app: App, conversation: Conversation) -> None:
    """Refuse a chat that the platform would not open."""
    person = conversation.person
    if conversation.tenant.id in app.disabled_in:
        raise ConnectorError("BotDisabledByAdmin")
    if not conversation.installed or not person.enabled:
        raise ConnectorError("ForbiddenOperationException")
    if person.block == "ConversationBlockedByUser":
        raise ConnectorError("ConversationBlockedByUser")


def _tenant(state: TeamsState, body: dict[str, Any], path_tenant: str | None) -> Tenant:
    named = _named_tenants(body)
    if not named:
        raise ConnectorError("Bad Argument", "The tenant is missing: set 'tenantId' or 'channelData.tenant.id'.")
    tenant_id = named.pop()
    if named or path_tenant not in (None, tenant_id):
        raise ConnectorError("Bad Argument", "The request names different tenants.")
    tenant = state.directory.tenant(tenant_id)
    if tenant is None:
        raise ConnectorError("Bad Argument", "Unknown tenant.")
    return tenant


def _named_tenants(body: dict[str, Any]) -> set[str]:
    """The service reads member names whatever their case; botbuilder for Python writes `tenantID`."""
    data = body.get("channelData")
    inner = data.get("tenant") if isinstance(data, dict) else None
    values = [value for name, value in body.items() if name.lower() == "tenantid"]
    values.append(inner.get("id") if isinstance(inner, dict) else None)
    return {value for value in values if isinstance(value, str) and value}


def _person(state: TeamsState, app: App, tenant: Tenant, body: dict[str, Any]) -> TeamsPerson:
    members = body.get("members")
    if not isinstance(members, list) or len(members) != 1 or not isinstance(members[0], dict):
        raise ConnectorError("Bad Argument", "'members' must name exactly one person.")
    member_id = members[0].get("id")
    if not isinstance(member_id, str) or not member_id:
        raise ConnectorError("Bad Argument", "'members[0].id' is missing.")
    if member_id.startswith("29:"):
        place = read_user_id(app.app_id, member_id)
        if place is None or place[0] != tenant.index:
            raise ConnectorError("Bad Argument", "Failed to decrypt pairwise id")
        person = state.directory.person(*place)
    else:
        if "@" in member_id:
            raise ConnectorError("Bad Argument", "A person cannot be named by e-mail or user principal name.")
        found = tenant.find("id", member_id)
        person = found[0] if found else None
    if person is None:
        raise ConnectorError("NotFound")
    return person


def _channel(state: TeamsState, app: App, tenant: Tenant, body: dict[str, Any]) -> Conversation:
    data = body.get("channelData")
    channel = data.get("channel") if isinstance(data, dict) else None
    channel_id = channel.get("id") if isinstance(channel, dict) else None
    if not isinstance(channel_id, str) or not isinstance(body.get("activity"), dict):
        raise ConnectorError("Bad Argument", "A bot cannot create group chats; a channel thread needs an activity.")
    conversation = state.conversations.get(app.app_id, channel_id)
    if conversation is None or conversation.kind != "channel" or conversation.tenant is not tenant:
        raise ConnectorError("BotNotInConversationRoster")
    return conversation
