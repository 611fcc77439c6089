"""Workspaces, the Enterprise org and their people.

User objects follow docs.slack.dev/reference/objects/user-object: guests carry `is_restricted` (`is_ultra_restricted`
for one channel only), people of other organisations `is_stranger`, and the e-mail stands in `profile.email` alone.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from simulator.people import Person
from simulator.world import World

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
SLACKBOT = "USLACKBOT"
STRANGER_TEAM = "T0STRANGE"


def base36(number: int, width: int) -> str:
    """The number in the alphabet of Slack's ids."""
    digits = ""
    while number:
        number, rest = divmod(number, 36)
        digits = _DIGITS[rest] + digits
    return digits.rjust(width, "0")


_AVATAR = "0123456789ab"
_PICTURES: dict[str, Any] = {"avatar_hash": _AVATAR, "fields": {}} | {
    f"image_{size}": f"https://avatars.slack-edge.example/2023-11-14/6189012345678_{_AVATAR * 2}_{size}.png"
    for size in (24, 32, 48, 72, 192, 512)
}
"""What makes up half of a profile's weight: a page of a thousand people weighs more than a megabyte."""


@dataclass(slots=True)
class User:
    """One member of a workspace as Slack sees it."""

    id: str
    team_id: str
    name: str
    real_name: str
    email: str | None
    deleted: bool = False
    is_bot: bool = False
    is_restricted: bool = False
    is_ultra_restricted: bool = False
    is_stranger: bool = False
    updated: int = 1_700_000_000

    def as_json(self, with_email: bool) -> dict[str, Any]:
        """The user object; the e-mail only for who may read it."""
        profile: dict[str, Any] = {
            **_PICTURES,
            "title": "",
            "phone": "",
            "skype": "",
            "first_name": self.real_name.partition(" ")[0],
            "last_name": self.real_name.partition(" ")[2],
            "status_expiration": 0,
            "real_name": self.real_name,
            "real_name_normalized": self.real_name,
            "display_name": self.name,
            "display_name_normalized": self.name,
            "status_text": "",
            "status_emoji": "",
            "team": self.team_id,
        }
        if with_email and self.email is not None:
            profile["email"] = self.email
        user: dict[str, Any] = {
            "id": self.id,
            "team_id": self.team_id,
            "name": self.name,
            "deleted": self.deleted,
            "profile": profile,
            "is_bot": self.is_bot,
            "is_app_user": False,
            "updated": self.updated,
        }
        if self.is_stranger:
            user["is_stranger"] = True
        if not self.deleted:  # Slack leaves these out for deactivated people
            user |= {
                "real_name": self.real_name,
                "color": "9f69e7",
                "tz": "Europe/London",
                "tz_label": "Greenwich Mean Time",
                "tz_offset": 0,
                "is_admin": False,
                "is_owner": False,
                "is_primary_owner": False,
                "is_restricted": self.is_restricted,
                "is_ultra_restricted": self.is_ultra_restricted,
                "is_email_confirmed": not self.is_bot,
            }
        return user


@dataclass(slots=True)
class Enterprise:
    """An Enterprise org."""

    id: str
    name: str


@dataclass(slots=True)
class Workspace:
    """One workspace. Its people are made when they are first needed."""

    world: World
    index: int
    id: str
    name: str
    domain: str
    enterprise: Enterprise | None
    _users: dict[str, User] = field(default_factory=dict)
    _by_email: dict[str, User] = field(default_factory=dict)
    _made: bool = False

    @property
    def users(self) -> dict[str, User]:
        """Everybody that users.list would show, by id."""
        if not self._made:
            self._make()
        return self._users

    def by_email(self, email: str) -> User | None:
        """The active human with this address, compared without case."""
        if not self._made:
            self._make()
        return self._by_email.get(email.lower())

    def put(self, user: User) -> None:
        """Add or replace somebody."""
        old = self.users.get(user.id)
        if old is not None and old.email is not None and self._by_email.get(old.email.lower()) is old:
            del self._by_email[old.email.lower()]
        self._users[user.id] = user
        self._index(user)

    def next_user_id(self) -> str:
        """An id that nobody has."""
        return user_id(self, len(self.users) + 1_000_000)

    def _make(self) -> None:
        self._made = True
        for person in self.world.people_of(self.index):
            self._add(_user(self, person))
        self._add(User(f"U{base36(self.index, 1)}ROBOT000", self.id, "calendar", "Calendar", None, is_bot=True))
        self._add(User(SLACKBOT, self.id, "slackbot", "Slackbot", None))
        stranger = User(f"U{base36(self.index, 1)}STRANGER", STRANGER_TEAM, "visitor", "Vis Itor", None)
        stranger.is_stranger = True
        self._add(stranger)

    def _add(self, user: User) -> None:
        self._users[user.id] = user
        self._index(user)

    def _index(self, user: User) -> None:
        if user.email is not None and not user.deleted and not user.is_bot and not user.is_stranger:
            self._by_email[user.email.lower()] = user


def user_id(workspace: Workspace, number: int) -> str:
    """User ids begin with U in a workspace and with W in an Enterprise org."""
    return f"{'W' if workspace.enterprise else 'U'}{base36(workspace.index, 2)}{base36(number, 6)}"


def _user(workspace: Workspace, person: Person) -> User:
    guest = person.user_type == "guest"
    is_bot = person.user_type == "bot"
    return User(
        id=user_id(workspace, person.index),
        team_id=workspace.id,
        name=person.email.partition("@")[0],
        real_name=person.name,
        email=None if is_bot else person.email,
        deleted=person.disabled,
        is_bot=is_bot,
        is_restricted=guest,
        is_ultra_restricted=guest and person.index % 200 >= 100,
    )


class Directory:
    """All workspaces of the simulated Slack."""

    def __init__(self, world: World) -> None:
        count = world.config.workspaces
        self.enterprise = Enterprise("E0SIMORG0", "Simulated Org") if world.config.enterprise else None
        self.workspaces: dict[str, Workspace] = {}
        for index in range(count):
            domain = world.domain_of(index)
            name = domain.partition(".")[0]
            workspace = Workspace(world, index, f"T0SIM{base36(index, 4)}", name.title(), name, self.enterprise)
            self.workspaces[workspace.id] = workspace

    def find(self, identifier: str, among: Iterable[str] | None = None) -> tuple[Workspace, User] | None:
        """Who has this id, in any of the given workspaces (all by default)."""
        for team_id in self.workspaces if among is None else among:
            workspace = self.workspaces.get(team_id)
            user = workspace.users.get(identifier) if workspace is not None else None
            if workspace is not None and user is not None:
                return workspace, user
        return None
