"""Installing the app for a person by Microsoft Graph, and asking which chat an install opened.

    POST /users/{id}/teamwork/installedApps            201 installed, 409 it was installed already
    GET  /users/{id}/teamwork/installedApps/{id}/chat  the conversation, where no event and no create call told it

Both are paced together in one bucket: 30 a second per app and tenant (graph-docs `concepts/throttling-limits.md`).
Sources: msteams-docs `graph-api/proactive-bots-and-messages/graph-proactive-bots-and-messages.md`, graph-docs
`userteamwork-post-installedapps.md`, `userscopeteamsappinstallation-get-chat.md`, `appcatalogs-list-teamsapps.md`.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import Enum
from typing import Any, Final
from urllib.parse import quote

import aiohttp

from adapters.base import Address, BotId, Fault, FaultClass, Gate, NotSent, Refused, TenantId
from adapters.http import Answer, CallFailed, parse_retry_after
from adapters.ids import MAX_CONVERSATION, readable
from adapters.teams import graph
from adapters.teams import install_faults as faults
from adapters.teams.bots import TeamsBots
from adapters.teams.connector import TIMEOUT
from adapters.teams.tokens import TokenUnavailable
from storage import failpoints

INSTALL_BUCKET: Final = "installed_apps"
CONFIGURATION_WAIT: Final = 60.0  # what is set up wrongly for one is so for everybody: nobody else asks meanwhile
_OBJECT_ID: Final = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")

_Place = tuple[BotId, TenantId]


class Installed(Enum):
    """The app is installed for the person."""

    NOW = "installed"
    BEFORE = "installed already"


@dataclass(frozen=True, slots=True, eq=False)
class _App:
    """The app as one look into the catalog showed it: the next look's is another one, even with the same id."""

    id: str


class TeamsInstalls:
    """The installs of all bots. Each call goes through the gate; nothing raises for a platform's answer."""

    def __init__(
        self,
        bots: TeamsBots,
        *,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
        timeout: aiohttp.ClientTimeout = TIMEOUT,
    ) -> None:
        self._bots = bots
        self._clock = clock
        self._now = now
        self._timeout = timeout
        self._catalog: dict[_Place, _App] = {}
        self._asking: defaultdict[_Place, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._found_nothing: dict[_Place, str] = {}  # the person for whom the app was not found, with no success since
        self._at_fault: dict[_Place, tuple[float, Fault]] = {}

    def wanted(self, bot: BotId, address: Address) -> bool:
        """Whether the app may be installed for this person: where the settings say so, by the Entra object id."""
        return self._bots.get(bot).app.installs and _OBJECT_ID.fullmatch(address.user_id) is not None

    async def install(self, bot: BotId, address: Address, gate: Gate) -> Installed | NotSent | Refused:
        """Install the app for one person. Repeatable: a second time Graph says that it is there."""
        place = (bot, address.tenant)
        app = await self._app(place, gate)
        if not isinstance(app, _App):
            return app
        put = await self._put(place, address, app, gate)
        if not isinstance(put, Fault):
            return put
        if self._bots.get(bot).app.catalog_app_id is not None:
            return await self._not_found(place, address, app, put, gate)
        return await self._put_anew(place, address, app, put, gate)

    async def _put(
        self, place: _Place, address: Address, app: _App, gate: Gate
    ) -> Installed | NotSent | Refused | Fault:
        """One install; a fault by itself: Graph finds the app, or the person, or the one for the other, not."""
        bound = f"{self._bots.endpoints.graph_audience}/v1.0/appCatalogs/teamsApps/{app.id}"
        answer = await self._ask(place, gate, "POST", _installed(address), {"teamsApp@odata.bind": bound})
        if not isinstance(answer, Answer):
            return answer
        if answer.status == 409 or 200 <= answer.status < 300:
            gate.went_well(INSTALL_BUCKET)
            self._found_nothing.pop(place, None)
            failpoints.reach("teams.installed")
            return Installed.BEFORE if answer.status == 409 else Installed.NOW
        fault = faults.classify(answer)
        return fault if fault.reason == faults.NOT_IN_CATALOG.reason else self._failed(place, gate, fault, answer)

    async def _put_anew(
        self, place: _Place, address: Address, old: _App, fault: Fault, gate: Gate
    ) -> Installed | NotSent | Refused:
        """The app may have been uploaded anew: the catalog is asked again, once for all whose install began before."""
        if self._catalog.get(place) is old:
            del self._catalog[place]
        app = await self._app(place, gate)
        if not isinstance(app, _App):
            return app
        put = fault if app.id == old.id else await self._put(place, address, app, gate)
        return _not_for_them(put, gate) if isinstance(put, Fault) else put

    async def _not_found(
        self, place: _Place, address: Address, app: _App, fault: Fault, gate: Gate
    ) -> NotSent | Refused:
        """Whether the app that the settings name is missing, or one person: the catalog says which.

        Where it may not be read, the same answer for a second person says that it is the app.
        """
        question = quote(f"id eq '{app.id}'", safe="")
        answer = await self._ask(place, gate, "GET", f"appCatalogs/teamsApps?$filter={question}")
        listed = graph.found(answer) if isinstance(answer, Answer) else None
        if listed is not None and _catalog_app(listed.get("value")) is not None:
            return _not_for_them(fault, gate)
        before = self._found_nothing.setdefault(place, address.user_id)
        if listed is not None or before != address.user_id:
            return self._configuration(place, fault)
        return NotSent(replace(fault, klass=FaultClass.NOT_SENT, costs_attempt=True), None, INSTALL_BUCKET)

    async def chat(self, bot: BotId, address: Address, gate: Gate) -> str | NotSent | Refused:
        """The conversation id of the chat between the app and a person who has it."""
        place = (bot, address.tenant)
        app = await self._app(place, gate)
        if not isinstance(app, _App):
            return app
        query = "?$expand=teamsApp&$filter=" + quote(f"teamsApp/id eq '{app.id}'", safe="")
        listed = await self._read(place, gate, _installed(address) + query)
        if not isinstance(listed, dict):
            return listed
        shown = listed.get("value")
        first = shown[0] if isinstance(shown, list) and shown and isinstance(shown[0], dict) else {}
        installation = readable(first.get("id"))
        if installation is None:
            return NotSent(_NO_CHAT, None, INSTALL_BUCKET)
        chat = await self._read(place, gate, f"{_installed(address)}/{quote(installation, safe='')}/chat")
        if not isinstance(chat, dict):
            return chat
        return readable(chat.get("id"), MAX_CONVERSATION) or NotSent(_NO_CHAT, None, INSTALL_BUCKET)

    async def _app(self, place: _Place, gate: Gate) -> _App | NotSent | Refused:
        """The app in the tenant's catalog: from the settings, from memory, or asked for by the manifest's id."""
        bot, _ = place
        configured = self._bots.get(bot).app.catalog_app_id
        if configured is not None:
            return _App(configured)
        async with self._asking[place]:
            known = self._catalog.get(place)
            if known is not None:
                return known
            found = await self._look_into_catalog(place, gate)
            if isinstance(found, _App):
                self._catalog[place] = found
            return found

    async def _look_into_catalog(self, place: _Place, gate: Gate) -> _App | NotSent | Refused:
        bot, _ = place
        manifest = quote(f"externalId eq '{self._bots.get(bot).app.app_id.lower()}'", safe="")
        answer = await self._ask(place, gate, "GET", f"appCatalogs/teamsApps?$filter={manifest}")
        if not isinstance(answer, Answer):
            return answer
        if answer.status == 403:
            fault = faults.classify(answer)
            return self._failed(place, gate, faults.CATALOG_DENIED.fault(fault.code, fault.detail), answer)
        listed = graph.found(answer)
        if listed is None:
            return self._failed(place, gate, _about_nobody(faults.classify(answer), faults.UNREACHABLE), answer)
        found = _catalog_app(listed.get("value"))
        return found or self._failed(place, gate, faults.NOT_IN_CATALOG.fault("not_listed"), answer)

    async def _read(self, place: _Place, gate: Gate, path: str) -> dict[str, Any] | NotSent | Refused:  # any JSON
        answer = await self._ask(place, gate, "GET", path)
        if not isinstance(answer, Answer):
            return answer
        if answer.status == 404:
            return NotSent(_NO_CHAT, None, INSTALL_BUCKET)  # the install is not seen everywhere at once
        found = graph.found(answer)
        if found is None:
            return self._failed(place, gate, _about_nobody(faults.classify(answer), _NO_CHAT), answer)
        return found

    async def _ask(
        self, place: _Place, gate: Gate, method: str, path: str, body: object = None, *, again: bool = True
    ) -> Answer | NotSent:
        """One call; what failed on the way to an answer is not done and may be repeated."""
        until, fault = self._at_fault.get(place, (0.0, None))
        if fault is not None and (wait := until - self._clock()) > 0:
            return NotSent(fault, wait, INSTALL_BUCKET)
        await gate.enter(INSTALL_BUCKET)
        try:
            answer = await graph.ask(self._bots, *place, method, path, body, timeout=self._timeout)
        except TokenUnavailable as error:
            return self._configuration(place, error.fault)
        except CallFailed as error:
            return NotSent(replace(faults.UNREACHABLE, code=error.code), None, INSTALL_BUCKET)
        if answer.status == 401 and again:
            return await self._ask(place, gate, method, path, body, again=False)
        if answer.status == 429:
            gate.throttled(INSTALL_BUCKET, self._pause(answer))
        return answer

    def _failed(self, place: _Place, gate: Gate, fault: Fault, answer: Answer) -> NotSent | Refused:
        if fault.klass is FaultClass.REFUSED:
            gate.went_well(INSTALL_BUCKET)
            return Refused(fault)
        if fault.klass is FaultClass.CONFIGURATION:
            return self._configuration(place, fault)
        return NotSent(fault, self._pause(answer), INSTALL_BUCKET)

    def _configuration(self, place: _Place, fault: Fault) -> NotSent:
        self._at_fault[place] = (self._clock() + CONFIGURATION_WAIT, fault)
        return NotSent(fault, CONFIGURATION_WAIT, INSTALL_BUCKET)

    def _pause(self, answer: Answer) -> float | None:
        return parse_retry_after(answer.headers.get("Retry-After"), datetime.fromtimestamp(self._now(), UTC))


_NO_CHAT: Final = Fault(
    FaultClass.NOT_SENT,
    "app_not_installed",
    "Teams says that the app is installed and shows no chat with it: remove the app for this person, then send again.",
    "no_chat",
)


def _about_nobody(fault: Fault, instead: Fault) -> Fault:
    """A refused question about the catalog or a chat is no refusal of a person."""
    if fault.klass is not FaultClass.REFUSED:
        return fault
    return replace(instead, code=fault.code, detail=fault.detail)


def _installed(address: Address) -> str:
    return f"users/{address.user_id}/teamwork/installedApps"


def _not_for_them(fault: Fault, gate: Gate) -> Refused:
    gate.went_well(INSTALL_BUCKET)
    return Refused(faults.NOT_FOR_THEM.fault(fault.code, fault.detail))


def _catalog_app(listed: object) -> _App | None:
    """The organisation's own app before one of the store with the same manifest id."""
    apps = [app for app in listed if isinstance(app, dict)] if isinstance(listed, list) else []
    apps.sort(key=lambda app: app.get("distributionMethod") != "organization")
    return next((_App(found) for app in apps if (found := readable(app.get("id"))) is not None), None)
