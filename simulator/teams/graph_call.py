"""One call to Microsoft Graph, whether it came alone or inside a batch."""

import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from simulator.teams.errors import bad_request, denied
from simulator.teams.people import Tenant
from simulator.teams.tokens import Grant

_KEYED = re.compile(r"(\w+)\('((?:[^']|'')*)'\)(?=/|$)")


@dataclass(frozen=True, slots=True)
class GraphCall:
    """What is asked, by whom, in which tenant. Header names are lower-case."""

    method: str
    segments: tuple[str, ...]
    """The path below `/v1.0/`, decoded; `users('x')` is already split into `users`, `x`."""
    query: dict[str, str]
    headers: dict[str, str]
    body: object
    grant: Grant
    tenant: Tenant

    def needs(self, *roles: str) -> None:
        """Refuse the call unless the token carries one of these permissions."""
        if not self.grant.roles.intersection(roles):
            raise denied()

    def allow_options(self, *names: str) -> None:
        """Refuse OData options that this resource does not know."""
        for name in self.query:
            if name.startswith("$") and name not in names:
                raise bad_request(f"The query parameter '{name}' is not supported.", "BadRequest")

    @property
    def eventual(self) -> bool:
        """Whether the call may use advanced queries."""
        return self.headers.get("consistencylevel", "").lower() == "eventual"


@dataclass(frozen=True, slots=True)
class GraphAnswer:
    """What Graph answers; a body of None is an empty one."""

    status: int
    body: Any = None  # any JSON
    headers: dict[str, str] = field(default_factory=dict)


def split_path(raw: str) -> tuple[str, ...]:
    """The decoded segments of a raw path; `users('o''x')` becomes `users`, `o'x`."""
    keyed = _KEYED.search(unquote(raw))
    if keyed is None:
        return tuple(unquote(segment) for segment in raw.split("/") if segment)
    text = unquote(raw)
    before, after = text[: keyed.start()], text[keyed.end() :]
    name, key = keyed.group(1), keyed.group(2).replace("''", "'")
    return (*(each for each in before.split("/") if each), name, key, *(each for each in after.split("/") if each))
