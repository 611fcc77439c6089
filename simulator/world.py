"""The world that the platforms share: its configuration, time, people, faults, mailboxes and counters."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from aiohttp import ClientSession, web

from simulator.clock import Clock, RealClock
from simulator.counters import Counters
from simulator.faults import FaultBook
from simulator.mailbox import Mailboxes
from simulator.people import Person, Shares, generate

_DOMAINS = ("contoso.example", "fabrikam.example", "northwind.example", "tailspin.example")


@dataclass(frozen=True, slots=True)
class SimulatorConfig:
    """What a simulator is made of; the same values always make the same world."""

    seed: int = 7
    people: int = 200
    tenants: int = 1
    workspaces: int = 1
    enterprise: bool = False
    """All Slack workspaces belong to one Enterprise org."""
    limits: bool = True
    latency: float = 0.0
    host: str = "127.0.0.1"
    port: int = 0
    shares: Shares = field(default_factory=Shares)


class BadSetting(ValueError):
    """A setting is unknown or its value has the wrong type."""


class Settings:
    """What can be changed while the simulator runs. Platforms declare their own; unknown names are refused."""

    def __init__(self) -> None:
        self._values: dict[str, Any] = {}
        self._defaults: dict[str, Any] = {}

    def declare(self, name: str, default: bool | float | list[float]) -> None:
        """Add a setting; the type of the default decides what is accepted (a number may be a whole one)."""
        self._defaults[name] = default
        self._values[name] = default

    def __getitem__(self, name: str) -> Any:  # the declared default fixes the type of each value
        return self._values[name]

    def update(self, changes: dict[str, Any]) -> None:
        """Change several settings, or none if one of them is wrong."""
        for name, value in changes.items():
            if name not in self._defaults:
                raise BadSetting(f"unknown setting {name}")
            if not _fits(value, self._defaults[name]):
                raise BadSetting(f"{name} must be like {self._defaults[name]!r}")
        self._values.update(changes)

    def as_json(self) -> dict[str, Any]:
        """All settings and their values."""
        return dict(self._values)


def _fits(value: object, default: object) -> bool:
    if isinstance(default, bool):
        return isinstance(value, bool)
    if isinstance(default, list):
        return isinstance(value, list) and all(_fits(each, 0.0) for each in value)
    return isinstance(value, int | float) and not isinstance(value, bool) and value >= 0


class Platform(Protocol):
    """One simulated platform; the application mounts its routes."""

    name: str

    def routes(self) -> Sequence[web.RouteDef]:
        """The platform's own routes."""
        ...

    def control_routes(self) -> Sequence[web.RouteDef]:
        """Routes below `/_sim/` that change this platform."""
        ...

    def state(self) -> dict[str, Any]:
        """What `/_sim/state` shows of this platform."""
        ...

    def reset(self) -> None:
        """Forget what was counted by limits; people, apps and installs stay."""
        ...

    async def close(self) -> None:
        """End what runs in the background."""
        ...


class World:
    """Everything that the platforms share."""

    def __init__(self, config: SimulatorConfig, clock: Clock | None = None) -> None:
        self.config = config
        self.clock: Clock = clock or RealClock()
        self.faults = FaultBook()
        self.mailboxes = Mailboxes()
        self.counters = Counters()
        self.settings = Settings()
        self.settings.declare("limits", config.limits)
        self.settings.declare("latency", config.latency)
        self.platforms: list[Platform] = []
        self.base_url = ""
        """Where the simulator listens, without a trailing slash; known once it does."""
        self._session: ClientSession | None = None
        self._people: dict[int, list[Person]] = {}

    @property
    def limits_on(self) -> bool:
        """Whether documented limits are enforced."""
        return bool(self.settings["limits"])

    @property
    def session(self) -> ClientSession:
        """The HTTP session for events to the app; open while the application runs."""
        if self._session is None:
            raise RuntimeError("the simulator is not running")
        return self._session

    def use_session(self, session: ClientSession | None) -> None:
        """Set by the application when it starts and stops."""
        self._session = session

    def domain_of(self, index: int) -> str:
        """The mail domain of tenant or workspace number `index`; equal numbers share domain and people."""
        return _DOMAINS[index] if index < len(_DOMAINS) else f"tenant{index + 1}.example"

    def people_of(self, index: int) -> list[Person]:
        """The people of tenant or workspace number `index`, made once."""
        people = self._people.get(index)
        if people is None:
            config = self.config
            people = generate(config.seed + index, config.people, self.domain_of(index), config.shares)
            self._people[index] = people
        return people

    async def answer_latency(self) -> None:
        """Wait as long as the network would: after the operation took effect, before it is answered."""
        latency: float = self.settings["latency"]
        if latency:
            await self.clock.sleep(latency)

    def reset(self) -> None:
        """Empty mailboxes, counters, faults and limit windows."""
        self.mailboxes.clear()
        self.counters.clear()
        self.faults.clear()
        for platform in self.platforms:
            platform.reset()

    async def close(self) -> None:
        """End what the platforms run in the background."""
        await asyncio.gather(*(platform.close() for platform in self.platforms))


WORLD = web.AppKey("WORLD", World)
