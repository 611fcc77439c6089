"""The Teams app catalogue and the apps installed for a person.

Sources: Microsoft Graph, "List teamsApp", "Install app for user", "List apps installed for user", "Get chat
between user and teamsApp", "Uninstall app for user"; Microsoft Teams, "Enable proactive installation of
apps using Graph API".
"""

from collections.abc import Callable
from functools import partial

from simulator.teams import ids, odata
from simulator.teams.apps import App
from simulator.teams.errors import GraphError, bad_request
from simulator.teams.graph_call import GraphAnswer, GraphCall
from simulator.teams.graph_users import account
from simulator.teams.people import TeamsPerson
from simulator.teams.state import TeamsState

Installer = Callable[[App, TeamsPerson, str], None]
"""Installs ("add") or uninstalls ("remove") an app and tells the bot in the background."""

_CATALOG = ("AppCatalog.Read.All", "AppCatalog.ReadWrite.All", "AppCatalog.Submit")
_PREFIX = "TeamsAppInstallation."
_SELF = tuple(f"{_PREFIX}{name}SelfForUser.All" for name in ("ReadWrite", "ReadWriteAndConsent"))
_ANY_WRITE = tuple(f"{_PREFIX}{name}ForUser.All" for name in ("ReadWrite", "ReadWriteAndConsent"))
_ANY_READ = (f"{_PREFIX}ReadForUser.All", *_ANY_WRITE)


class GraphApps:
    """Handlers of the catalogue and of installed apps."""

    def __init__(self, state: TeamsState, install: Installer) -> None:
        self._state = state
        self._install = install

    def catalog(self, call: GraphCall, base_url: str) -> GraphAnswer:
        """`GET /appCatalogs/teamsApps`, with `$filter` on externalId, id or displayName."""
        call.needs(*_CATALOG)
        call.allow_options("$filter", "$select", "$expand")
        apps = [_catalog_app(app) for app in self._state.apps.all() if app.in_catalog]
        return _collection(f"{base_url}/v1.0/$metadata#appCatalogs/teamsApps", _kept(apps, call.query.get("$filter")))

    def list_installed(self, call: GraphCall, person_id: str, base_url: str) -> GraphAnswer:
        """`GET /users/{id}/teamwork/installedApps`."""
        _needs(call, *_SELF, *_ANY_READ)
        call.allow_options("$filter", "$expand", "$select")
        person = account(call.tenant, person_id)
        expand = set(call.query.get("$expand", "").split(",")) - {""}
        if expand - {"teamsApp", "teamsAppDefinition"}:
            raise bad_request("Only teamsApp and teamsAppDefinition can be expanded.", "BadRequest")
        text = call.query.get("$filter")
        if text is not None and "teamsApp" not in expand:
            raise bad_request("A filter on teamsApp needs $expand=teamsApp.", "BadRequest")
        shown = [_installation(person, app) for app in self._state.apps.all() if self._sees(call, app, person)]
        kept = _kept(shown, text)
        if "teamsApp" not in expand:
            kept = [{"id": each["id"]} for each in kept]
        return _collection(f"{base_url}/v1.0/$metadata#users('{person.id}')/teamwork/installedApps", kept)

    def install(self, call: GraphCall, person_id: str) -> GraphAnswer:
        """`POST /users/{id}/teamwork/installedApps`."""
        _needs(call, *_SELF, *_ANY_WRITE)
        app = self._bound_app(call.body)
        person = account(call.tenant, person_id)
        self._check_may_install(call, app, person)
        chat = self._state.conversation_of(app, person)
        if chat.installed:
            raise GraphError(409, "Conflict", f"App {app.catalog_app_id} is already installed for the user.")
        self._install(app, person, "add")
        place = ids.installation_id(person.id, app.catalog_app_id)
        return GraphAnswer(201, headers={"Location": f"/users/{person.id}/teamwork/installedApps/{place}"})

    def get_installed(self, call: GraphCall, person_id: str, place: str) -> GraphAnswer:
        """`GET /users/{id}/teamwork/installedApps/{installation}`."""
        _needs(call, *_SELF, *_ANY_READ)
        app, person = self._installed(call, person_id, place)
        return GraphAnswer(200, {"id": _installation(person, app)["id"]})

    def chat(self, call: GraphCall, person_id: str, place: str) -> GraphAnswer:
        """`GET /users/{id}/teamwork/installedApps/{installation}/chat`."""
        _needs(call, *_SELF, *_ANY_READ)
        app, person = self._installed(call, person_id, place)
        chat = self._state.conversation_of(app, person)
        body = {"id": chat.graph_id, "topic": None, "chatType": "oneOnOne", "tenantId": call.tenant.id}
        return GraphAnswer(200, body)

    def uninstall(self, call: GraphCall, person_id: str, place: str) -> GraphAnswer:
        """`DELETE /users/{id}/teamwork/installedApps/{installation}`."""
        _needs(call, *_SELF, *_ANY_WRITE)
        app, person = self._installed(call, person_id, place)
        if not call.grant.roles.intersection(_ANY_WRITE) and app.app_id != call.grant.app_id:
            raise _not_its_own(call, app)
        self._install(app, person, "remove")
        return GraphAnswer(204)

    def _bound_app(self, body: object) -> App:
        bound = body.get("teamsApp@odata.bind") if isinstance(body, dict) else None
        if not isinstance(bound, str) or "/appCatalogs/teamsApps/" not in bound:
            raise bad_request("The property 'teamsApp@odata.bind' is missing or malformed.", "BadRequest")
        catalog_app_id = bound.rpartition("/appCatalogs/teamsApps/")[2].strip("('/)")
        app = self._state.apps.by_catalog_id(catalog_app_id)
        if app is None:
            raise GraphError(404, "NotFound", f"No app was found in the catalog with id '{catalog_app_id}'.")
        return app

    def _check_may_install(self, call: GraphCall, app: App, person: TeamsPerson) -> None:
        roles = call.grant.roles
        if not roles.intersection(_ANY_WRITE) and app.app_id != call.grant.app_id:
            raise _not_its_own(call, app)
        consenting = {role for role in roles if role.startswith(f"{_PREFIX}ReadWriteAndConsent")}
        if app.requires_consent and not consenting:
            raise GraphError(403, "Forbidden", "The app requires consent to resource-specific permissions.")
        if person.guest or not person.enabled or not person.install_allowed or not app.usable_in(call.tenant.id):
            raise GraphError(403, "Forbidden", "The app is blocked for the user by an app permission policy.")

    def _installed(self, call: GraphCall, person_id: str, place: str) -> tuple[App, TeamsPerson]:
        person = account(call.tenant, person_id)
        named = ids.read_installation_id(place)
        app = None if named is None or named[0] != person.id else self._state.apps.by_catalog_id(named[1])
        if app is None or not self._sees(call, app, person):
            raise GraphError(404, "NotFound", "The installed app was not found.")
        return app, person

    def _sees(self, call: GraphCall, app: App, person: TeamsPerson) -> bool:
        """Self permissions show the caller's own app only."""
        chat = self._state.conversations.known_of(app, person)
        if chat is None or not chat.installed:
            return False
        return app.app_id == call.grant.app_id or bool(call.grant.roles.intersection(_ANY_READ))


def _needs(call: GraphCall, *roles: str) -> None:
    """Teams' own part of Graph names the permissions that it misses, the directory's part does not."""
    if not call.grant.roles.intersection(roles):
        wanted, given = ", ".join(roles), ", ".join(sorted(call.grant.roles))
        text = (
            f"Missing role permissions on the request. API requires one of '{wanted}'. Roles on the request '{given}'."
        )
        raise GraphError(403, "Forbidden", text)


def _not_its_own(call: GraphCall, app: App) -> GraphError:
    """A Self permission is for the app whose manifest names the caller."""
    text = f"AAD App Id '{call.grant.app_id}' is not allowed to manage the Teams App '{app.manifest_id}'"
    return GraphError(403, "Forbidden", text)


def _catalog_app(app: App) -> dict[str, object]:
    return {
        "id": app.catalog_app_id,
        "externalId": app.manifest_id,
        "displayName": app.name,
        "distributionMethod": "organization",
    }


def _installation(person: TeamsPerson, app: App) -> dict[str, object]:
    return {"id": ids.installation_id(person.id, app.catalog_app_id), "teamsApp": _catalog_app(app)}


def _kept(items: list[dict[str, object]], text: str | None) -> list[dict[str, object]]:
    if text is None:
        return items
    node = odata.parse(text)
    odata.check_limits(node)
    return [item for item in items if odata.holds(node, partial(_at, item))]


def _at(item: dict[str, object], path: str) -> object:
    value: object = item
    for name in path.split("/"):
        if not isinstance(value, dict) or name not in value:
            raise bad_request(f"Could not find a property named '{name}'.", "BadRequest")
        value = value[name]
    return value


def _collection(context: str, items: list[dict[str, object]]) -> GraphAnswer:
    return GraphAnswer(200, {"@odata.context": context, "@odata.count": len(items), "value": items})
