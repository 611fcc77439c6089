"""`/users`: by id or user principal name, and by `$filter`.

Sources: Microsoft Graph, "List users", "Get a user", "user resource type" and "Advanced query capabilities on directory
objects".
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from collections.abc import Callable, Iterable, Iterator
from itertools import islice

from yarl import URL

from simulator.teams import odata
from simulator.teams.errors import bad_request, denied, not_found, unsupported_query
from simulator.teams.graph_call import GraphAnswer, GraphCall
from simulator.teams.limits import PAGE_DEFAULT, PAGE_MAXIMUM
from simulator.teams.people import TeamsPerson, Tenant

READ = ("User.Read.All", "User.ReadWrite.All", "Directory.Read.All", "Directory.ReadWrite.All")
READ_BASIC = "User.ReadBasic.All"

_PLANS = (
    ("exchange", "efb87545-963c-4e0d-99df-69c6916d9eb0"),
    ("TeamspaceAPI", "57ff2da0-773e-42df-b2af-ffb7a2317929"),
)


def _plans(person: TeamsPerson) -> list[dict[str, str]]:
    """`assignedPlan` resources: a guest has none, everybody else a mailbox and the plan of Teams that they have."""
    statuses = (None, None) if person.guest else ("Enabled", person.teams_plan)
    return [
        {
            "assignedDateTime": "2024-03-01T09:00:00Z",
            "capabilityStatus": status,
            "service": service,
            "servicePlanId": plan,
        }
        for (service, plan), status in zip(_PLANS, statuses, strict=True)
        if status is not None
    ]


_PROPERTIES: dict[str, Callable[[TeamsPerson], object]] = {
    "id": lambda person: person.id,
    "displayName": lambda person: person.name,
    "givenName": lambda person: person.first,
    "surname": lambda person: person.last,
    "mail": lambda person: person.mail or None,
    "userPrincipalName": lambda person: person.upn,
    "businessPhones": lambda person: [],
    "jobTitle": lambda person: None,
    "mobilePhone": lambda person: None,
    "officeLocation": lambda person: None,
    "preferredLanguage": lambda person: None,
    "accountEnabled": lambda person: person.enabled,
    "userType": lambda person: "Guest" if person.guest else "Member",
    "proxyAddresses": lambda person: list(person.proxy_addresses),
    "otherMails": lambda person: list(person.other_mails),
    "assignedPlans": _plans,
}
_DEFAULT = tuple(_PROPERTIES)[:11]
_BASIC = frozenset({"id", "displayName", "givenName", "surname", "mail", "userPrincipalName"})
_COLLECTIONS = frozenset({"proxyAddresses", "otherMails"})
_FILTERABLE = _BASIC | _COLLECTIONS | {"accountEnabled", "userType"}


def list_users(call: GraphCall, base_url: str) -> GraphAnswer:
    """`GET /users`."""
    call.needs(*READ, READ_BASIC)
    call.allow_options("$filter", "$select", "$top", "$count", "$skiptoken")
    names = _selected(call)
    node = _filter(call)
    top, start = _top(call), _start(call)
    counted = _count_wanted(call)
    found = list(_matching(call.tenant, node)) if counted else _matching(call.tenant, node)
    page = list(islice(found, start, start + top + 1))
    body: dict[str, object] = {"@odata.context": f"{base_url}/v1.0/$metadata#users"}
    if counted:
        body["@odata.count"] = sum(1 for _ in found)
    if len(page) > top:
        body["@odata.nextLink"] = _next_link(call, base_url, start + top)
    body["value"] = [_shown(person, names, call) for person in page[:top]]
    return GraphAnswer(200, body)


def get_user(call: GraphCall, id_or_upn: str, base_url: str) -> GraphAnswer:
    """`GET /users/{id | userPrincipalName}`."""
    call.needs(*READ, READ_BASIC)
    call.allow_options("$select")
    names = _selected(call)
    person = account(call.tenant, id_or_upn)
    body = {"@odata.context": f"{base_url}/v1.0/$metadata#users/$entity", **_shown(person, names, call)}
    return GraphAnswer(200, body)


def account(tenant: Tenant, id_or_upn: str) -> TeamsPerson:
    """The person, or Graph's 404."""
    person = tenant.account(id_or_upn)
    if person is None:
        raise not_found(id_or_upn)
    return person


def is_basic(call: GraphCall) -> bool:
    """Whether the token sees basic profiles only."""
    return not call.grant.roles.intersection(READ)


def _filter(call: GraphCall) -> odata.Node | None:
    text = call.query.get("$filter")
    if text is None:
        return None
    node = odata.parse(text)
    odata.check_limits(node)
    _check_fields(node)
    if is_basic(call) and odata.fields(node) - _BASIC:
        raise denied()
    if odata.is_advanced(node) and not (call.eventual and call.query.get("$count", "").lower() == "true"):
        raise unsupported_query(
            "Operator is not supported because the required parameters might be missing. Try adding $count=true query "
            "parameter and ConsistencyLevel:eventual header. Refer to https://aka.ms/graph-docs/advanced-queries for "
            "more information"
        )
    return node


def _check_fields(node: odata.Node) -> None:
    for leaf in _leaves(node):
        if leaf.field not in _FILTERABLE:
            raise unsupported_query(
                f"Unsupported or invalid query filter clause specified for property '{leaf.field}' of resource 'User'."
            )
        any_of = isinstance(leaf, odata.Compare) and leaf.any_of
        if any_of != (leaf.field in _COLLECTIONS):
            raise bad_request(f"Invalid filter clause: '{leaf.field}' is compared in the wrong way.", "BadRequest")


def _leaves(node: odata.Node) -> Iterator[odata.Compare | odata.In]:
    if isinstance(node, odata.Compare | odata.In):
        yield node
    elif isinstance(node, odata.Not):
        yield from _leaves(node.clause)
    else:
        for clause in node.clauses:
            yield from _leaves(clause)


def _matching(tenant: Tenant, node: odata.Node | None) -> Iterable[TeamsPerson]:
    """The people of a filter in the order of the directory, from the indexes where they can tell."""
    if node is None:
        return tenant.present()
    found = _candidates(tenant, node)
    people = tenant.present() if found is None else sorted(found.values(), key=lambda person: person.index)
    return (person for person in people if odata.holds(node, _reader(person)))


def _reader(person: TeamsPerson) -> odata.Read:
    return lambda name: _PROPERTIES[name](person)


def _candidates(tenant: Tenant, node: odata.Node) -> dict[str, TeamsPerson] | None:
    """People among whom all matches are; None when only looking at everybody tells."""
    if isinstance(node, odata.Compare):
        values: tuple[odata.Value, ...] = (node.value,) if node.op == "eq" else ()
    elif isinstance(node, odata.In):
        values = node.values
    elif isinstance(node, odata.Or):
        found = [_candidates(tenant, clause) for clause in node.clauses]
        known = [each for each in found if each is not None]
        return {key: person for each in known for key, person in each.items()} if len(known) == len(found) else None
    elif isinstance(node, odata.And):
        return next((each for clause in node.clauses if (each := _candidates(tenant, clause)) is not None), None)
    else:
        return None
    if not values or not tenant.indexed(node.field) or not all(isinstance(value, str) and value for value in values):
        return None
    return {person.id: person for value in values for person in tenant.find(node.field, str(value))}


def _selected(call: GraphCall) -> tuple[str, ...]:
    text = call.query.get("$select")
    if text is None:
        return _DEFAULT
    names = tuple(name.strip() for name in text.split(","))
    for name in names:
        if name not in _PROPERTIES:
            raise bad_request(
                f"Parsing OData Select and Expand failed: Could not find a property named '{name}' on type "
                "'microsoft.graph.user'.",
                "BadRequest",
            )
    return names


def _shown(person: TeamsPerson, names: tuple[str, ...], call: GraphCall) -> dict[str, object]:
    """The selected properties; with basic permission the others are null, as the directory shows them."""
    if is_basic(call):
        return {name: _PROPERTIES[name](person) if name in _BASIC else None for name in names}
    return {name: _PROPERTIES[name](person) for name in names}


def _count_wanted(call: GraphCall) -> bool:
    if call.query.get("$count", "false").lower() != "true":
        return False
    if not call.eventual:
        raise unsupported_query("$count is not currently supported.")
    return True


def _top(call: GraphCall) -> int:
    text = call.query.get("$top", str(PAGE_DEFAULT))
    if not text.isdecimal() or not 1 <= int(text) <= PAGE_MAXIMUM:
        raise bad_request(f"Invalid page size specified: '{text}'. Must be between 1 and {PAGE_MAXIMUM} inclusive.")
    return int(text)


def _start(call: GraphCall) -> int:
    token = call.query.get("$skiptoken")
    if token is None:
        return 0
    try:
        return int(urlsafe_b64decode(token).decode())
    except (Base64Error, ValueError) as error:
        raise bad_request("The skip token is invalid.", "Directory_ExpiredPageToken") from error


def _next_link(call: GraphCall, base_url: str, start: int) -> str:
    token = urlsafe_b64encode(str(start).encode()).decode()
    query = {**call.query, "$skiptoken": token}
    return str(URL(f"{base_url}/v1.0/users").with_query(query))
