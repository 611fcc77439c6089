"""One call of a Web API method: who calls, for which workspace, with which arguments."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from simulator.limits import Rate
from simulator.slack.answers import SlackError, missing_scope
from simulator.slack.apps import Install, Registry
from simulator.slack.arguments import Arguments
from simulator.slack.conversations import Conversation, Conversations
from simulator.slack.directory import SLACKBOT, Directory, User, Workspace
from simulator.world import World

Body = dict[str, Any]


@dataclass(slots=True)
class Slack:
    """Everything that the methods work on."""

    world: World
    directory: Directory
    registry: Registry = field(default_factory=Registry)
    conversations: Conversations = field(default_factory=Conversations)


@dataclass(frozen=True, slots=True)
class Method:
    """One Web API method. `scopes`: any one of them suffices. `rate`: None = limited in a way of its own."""

    name: str
    run: Callable[["Call"], Body]
    scopes: tuple[str, ...] = ()
    rate: Rate | None = None
    takes_json: bool = False
    needs_token: bool = True


@dataclass(slots=True)
class Call:
    """A call whose token was accepted."""

    slack: Slack
    arguments: Arguments
    caller: Install | None
    client: tuple[str, str] | None = None
    """Client id and secret of HTTP basic authentication."""
    warnings: list[str] = field(default_factory=list)

    @property
    def install(self) -> Install:
        """The installation that calls; only methods without a token have none."""
        if self.caller is None:
            raise SlackError("not_authed")
        return self.caller

    def require(self, scope: str) -> None:
        """Refuse the call when the token lacks a scope."""
        if scope not in self.install.scopes:
            raise missing_scope(scope, self.install.scopes)

    def workspace(self, argument: str = "team_id") -> Workspace:
        """The workspace that the call is about. Only org-wide tokens must say which; others are not asked."""
        install = self.install
        if install.team_id is not None:
            return self.slack.directory.workspaces[install.team_id]
        named = self.arguments.text(argument)
        if not named:
            raise SlackError("missing_argument", arg=argument)
        return self.granted(named)

    def granted(self, team_id: str) -> Workspace:
        """A workspace by id that an org-wide token reaches."""
        workspace = self.slack.directory.workspaces.get(team_id)
        if workspace is None:
            raise SlackError("team_not_found")
        if team_id not in self.install.granted:
            raise SlackError("team_access_not_granted")
        return workspace

    def teams(self) -> list[str]:
        """The workspaces in which ids are looked up."""
        install = self.install
        if install.team_id is not None:
            return [install.team_id]
        named = self.arguments.text("team_id")
        return [self.granted(named).id] if named else list(install.granted)

    def user(self, identifier: str) -> tuple[Workspace, User] | None:
        """Who has this id among the people that the token reaches."""
        return self.slack.directory.find(identifier, self.teams())

    def conversation(self, channel_id: str) -> Conversation:
        """The direct message of this id, in a workspace that the token reaches."""
        found = self.slack.conversations.of(self.install, channel_id)
        if found is None:
            raise SlackError("channel_not_found")
        if found.workspace.id not in self.install.granted:
            raise SlackError("team_access_not_granted")
        return found


def is_messageable(user: User) -> bool:
    """Whether an app may write to this person at all."""
    return not (user.deleted or user.is_stranger or user.is_bot or user.id == SLACKBOT)
