"""Access tokens as Entra issues them. A token that was issued here is recognised by its exact text, which is both the
proof of its signature and the reason why checking one costs nothing."""

from dataclasses import dataclass
from typing import Any, Literal

from simulator.clock import Clock
from simulator.teams.apps import App
from simulator.teams.ids import guid
from simulator.teams.keys import KeyRing, sign

BOT_AUDIENCE = "https://api.botframework.com"
GRAPH_AUDIENCE = "https://graph.microsoft.com"
Refusal = Literal["missing", "unknown", "expired"]

_PRUNE_ABOVE = 10_000


@dataclass(frozen=True, slots=True)
class Grant:
    """What an access token allows."""

    app_id: str
    audience: str
    tenant: str
    roles: frozenset[str]
    expires: float


class Tokens:
    """Issues access tokens and recognises them."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._issued: dict[str, Grant] = {}
        self._revoked: set[str] = set()
        self._count = 0
        self.keys = KeyRing("entra")

    def issue(self, app: App, audience: str, tenant: str, issuer: str, lifetime: int) -> str:
        """A signed token for an app; Graph tokens carry its permissions as roles."""
        self._count += 1
        now = int(self._clock.now().timestamp())
        roles = app.graph_permissions if audience == GRAPH_AUDIENCE else ()
        claims: dict[str, Any] = {
            "aud": audience,
            "iss": issuer,
            "iat": now,
            "nbf": now,
            "exp": now + lifetime,
            "appid": app.app_id,
            "appidacr": "1",
            "idtyp": "app",
            "tid": tenant,
            "uti": guid("token", self._count),
            "ver": "1.0",
        }
        if roles:
            claims["roles"] = list(roles)
        key = self.keys.current
        token = sign(key, {"alg": "RS256", "typ": "JWT", "kid": key.kid, "x5t": key.kid}, claims)
        self._prune()
        self._issued[token] = Grant(app.app_id, audience, tenant, frozenset(roles), now + lifetime)
        return token

    def check(self, authorization: str | None) -> Grant | Refusal:
        """The grant of an Authorization header, or why there is none."""
        if not authorization:
            return "missing"
        scheme, _, token = authorization.partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token:
            return "missing"
        grant = self._issued.get(token)
        if grant is None:
            return "unknown"
        if token in self._revoked or self._clock.now().timestamp() >= grant.expires:
            return "expired"
        return grant

    def revoke_all(self) -> int:
        """Refuse every token issued so far, as if it had expired."""
        self._revoked.update(self._issued)
        return len(self._revoked)

    def _prune(self) -> None:
        if len(self._issued) < _PRUNE_ABOVE:
            return
        now = self._clock.now().timestamp()
        self._issued = {token: grant for token, grant in self._issued.items() if grant.expires > now}
        self._revoked &= set(self._issued)
