"""Registered apps: the Entra application, the Azure Bot and the Teams app package belong together."""

from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

AppType = Literal["SingleTenant", "MultiTenant", "UserAssignedMSI"]

DEFAULT_APP_ID = "a9900000-0000-4000-8000-000000000001"
DEFAULT_MULTI_TENANT_APP_ID = "a9900000-0000-4000-8000-000000000002"
DEFAULT_PASSWORD = "simulator-teams-secret"

GRAPH_PERMISSIONS = (
    "User.Read.All",
    "TeamsAppInstallation.ReadWriteSelfForUser.All",
    "AppCatalog.Read.All",
)


@dataclass(slots=True)
class App:
    """One app as Entra, the Bot Framework and the Teams catalogue know it."""

    app_id: str
    password: str
    app_type: AppType
    tenant: str
    """The home tenant's id."""
    messaging_endpoint: str
    catalog_app_id: str
    manifest_id: str
    graph_permissions: tuple[str, ...] = GRAPH_PERMISSIONS
    consented_tenants: tuple[str, ...] | None = None
    """Tenants whose admin consented to the Graph permissions; None = all (only the home tenant if single-tenant)."""
    name: str = "Notify"
    in_catalog: bool = True
    requires_consent: bool = False
    """The manifest asks for resource-specific permissions, so an install must consent to them."""
    teams_channel: bool = True
    """False: the Azure Bot has no Teams channel, so the connector does not know the bot."""
    disabled_in: frozenset[str] = frozenset()
    """Tenants whose admin disabled the bot."""

    @property
    def multi_tenant(self) -> bool:
        """Whether tenants other than the home tenant can use the app."""
        return self.app_type == "MultiTenant"

    def usable_in(self, tenant_id: str) -> bool:
        """Whether the app can be installed in this tenant."""
        return self.multi_tenant or tenant_id == self.tenant

    def consented_in(self, tenant_id: str) -> bool:
        """Whether Entra issues Graph tokens of this tenant to the app."""
        if not self.usable_in(tenant_id):
            return False
        return self.consented_tenants is None or tenant_id in self.consented_tenants

    def as_json(self) -> dict[str, Any]:
        """The app as the control API shows it."""
        shown = asdict(self)
        shown["disabled_in"] = sorted(self.disabled_in)
        return shown


class BadApp(ValueError):
    """The description of an app is not valid."""


_TEXTS = ("app_id", "password", "tenant", "messaging_endpoint", "catalog_app_id", "manifest_id", "name")
_FLAGS = ("in_catalog", "requires_consent", "teams_channel")
_LISTS = ("graph_permissions", "consented_tenants", "disabled_in")
_KNOWN = {*_TEXTS, *_FLAGS, *_LISTS, "app_type"}


class Apps:
    """All registered apps, by app id and by catalogue id."""

    def __init__(self, home_tenant: str) -> None:
        self._home = home_tenant
        self._apps: dict[str, App] = {}
        self.register({"app_id": DEFAULT_APP_ID, "password": DEFAULT_PASSWORD})
        self.register(
            {
                "app_id": DEFAULT_MULTI_TENANT_APP_ID,
                "password": DEFAULT_PASSWORD,
                "app_type": "MultiTenant",
                "name": "Notify (multi-tenant)",
            }
        )

    def get(self, app_id: str) -> App | None:
        """The app of this id."""
        return self._apps.get(app_id.lower())

    def all(self) -> list[App]:
        """Every app in order of registration."""
        return list(self._apps.values())

    def by_catalog_id(self, catalog_app_id: str) -> App | None:
        """The app of this catalogue id, if it is in the catalogue."""
        found = (app for app in self._apps.values() if app.catalog_app_id == catalog_app_id.lower())
        app = next(found, None)
        return app if app is not None and app.in_catalog else None

    def remove(self, app_id: str) -> bool:
        """Delete the registration; tokens that were issued stay valid until they expire."""
        return self._apps.pop(app_id.lower(), None) is not None

    def register(self, data: dict[str, Any]) -> App:
        """Add an app, or change the given fields of a known one."""
        _check(data)
        app_id = str(data["app_id"]).lower()
        known = self._apps.get(app_id)
        values = {**(_fields(known) if known else self._defaults(app_id)), **data, "app_id": app_id}
        for name in ("graph_permissions", "consented_tenants"):
            if values.get(name) is not None:
                values[name] = tuple(values[name])
        values["disabled_in"] = frozenset(values.get("disabled_in") or ())
        app = App(**values)
        self._apps[app_id] = app
        return app

    def _defaults(self, app_id: str) -> dict[str, Any]:
        return {
            "password": DEFAULT_PASSWORD,
            "app_type": "SingleTenant",
            "tenant": self._home,
            "messaging_endpoint": "",
            "catalog_app_id": f"ca7a{app_id[4:]}",
            "manifest_id": f"3a91{app_id[4:]}",
        }


def _fields(app: App) -> dict[str, Any]:
    return {name: getattr(app, name) for name in App.__dataclass_fields__}


def _check(data: dict[str, Any]) -> None:
    unknown = set(data) - _KNOWN
    if unknown:
        raise BadApp(f"unknown fields: {', '.join(sorted(unknown))}")
    if not data.get("app_id"):
        raise BadApp("app_id is required")
    if data.get("app_type", "SingleTenant") not in get_args(AppType):
        raise BadApp(f"app_type must be one of {', '.join(get_args(AppType))}")
    for names, kind in ((_TEXTS, str), (_FLAGS, bool)):
        for name in names:
            if name in data and not isinstance(data[name], kind):
                raise BadApp(f"{name} must be a {kind.__name__}")
    for name in _LISTS:
        value = data.get(name)
        if value is not None and not (isinstance(value, list) and all(isinstance(each, str) for each in value)):
            raise BadApp(f"{name} must be a list of strings")
