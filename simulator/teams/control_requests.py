"""What control requests name: an app, a tenant, a person, a conversation."""

from typing import Any

from simulator.teams.apps import DEFAULT_APP_ID, App
from simulator.teams.conversations import Conversation, Kind
from simulator.teams.ids import read_user_id
from simulator.teams.people import TeamsPerson, Tenant
from simulator.teams.state import TeamsState


class BadControl(ValueError):
    """A control request is wrong."""


def app_of(state: TeamsState, data: dict[str, Any]) -> App:
    """`app_id`; the default app when absent."""
    app = state.apps.get(str(data.get("app_id", DEFAULT_APP_ID)))
    if app is None:
        raise BadControl("unknown app_id")
    return app


def tenant_of(state: TeamsState, data: dict[str, Any]) -> Tenant:
    """`tenant` (id or domain); the first tenant when absent."""
    if "tenant" not in data:
        return state.directory.tenants[0]
    tenant = state.directory.named(str(data["tenant"]))
    if tenant is None:
        raise BadControl("unknown tenant")
    return tenant


def person_of(state: TeamsState, app: App | None, tenant: Tenant, name: object) -> TeamsPerson:
    """An object id, user principal name, e-mail or (of one bot) a `29:` id."""
    if not isinstance(name, str):
        raise BadControl("person must be an id, user principal name or e-mail")
    place = read_user_id(app.app_id, name) if app is not None else None
    person = state.directory.person(*place) if place is not None else tenant.anyone(name)
    if person is None:
        raise BadControl(f"unknown person {name}")
    return person


def conversation_of(state: TeamsState, app: App, data: dict[str, Any]) -> Conversation:
    """`person` for a personal chat; `team` or `chat` (any name, with `members`) for a thread."""
    tenant = tenant_of(state, data)
    if not app.usable_in(tenant.id):
        raise BadControl("a single-tenant app works in its home tenant only; register a MultiTenant app")
    for field, kind in _THREADS.items():
        if field in data:
            names = data.get("members") or []
            members = [person_of(state, app, tenant, each) for each in names] or tenant.people[:3]
            return state.conversations.thread(app, tenant, kind, str(data[field]), members)
    return state.conversations.personal(app, tenant, person_of(state, app, tenant, data.get("person")))


_THREADS: dict[str, Kind] = {"team": "channel", "chat": "groupChat"}


def chosen_people(state: TeamsState, app: App, tenant: Tenant, data: dict[str, Any]) -> list[TeamsPerson] | None:
    """Whom a bulk request means: `emails`, the first `count` plain people, or `all_with_app`; None = no bulk."""
    if "emails" in data:
        return [person_of(state, app, tenant, each) for each in data["emails"]]
    if data.get("all_with_app"):
        return [person for person in tenant.people if person.plain]
    count = data.get("count")
    if count is None:
        return None
    if not isinstance(count, int) or count < 0:
        raise BadControl("count must be a whole number")
    return [person for person in tenant.people if person.plain][:count]


def person_json(tenant: Tenant, person: TeamsPerson) -> dict[str, Any]:
    """A person as the control API shows them."""
    return {
        "index": person.index,
        "tenant": tenant.id,
        "id": person.id,
        "name": person.name,
        "first": person.first,
        "last": person.last,
        "email": person.mail,
        "upn": person.upn,
        "guest": person.guest,
        "enabled": person.enabled,
        "has_app": person.has_app,
        "proxy_addresses": list(person.proxy_addresses),
        "other_mails": list(person.other_mails),
        "block": person.block,
        "install_allowed": person.install_allowed,
        "left": person.left,
        "teams_plan": person.teams_plan,
    }


def conversation_json(state: TeamsState, conversation: Conversation) -> dict[str, Any]:
    """A conversation as the control API shows it."""
    return {
        "id": conversation.id,
        "graph_id": conversation.graph_id,
        "app_id": conversation.app_id,
        "tenant": conversation.tenant.id,
        "kind": conversation.kind,
        "user_id": conversation.user_ids[0] if conversation.kind == "personal" else None,
        "aad_object_id": conversation.person.id if conversation.kind == "personal" else None,
        "service_url": state.service_url(conversation.tenant),
        "installed": conversation.installed,
        "exists": conversation.exists,
    }
