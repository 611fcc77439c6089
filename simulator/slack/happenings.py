"""What happens in Slack besides calls: people join and change, apps lose their tokens. Each is told to the apps."""

from typing import Any

from simulator.slack import events
from simulator.slack.apps import Install
from simulator.slack.call import Slack
from simulator.slack.directory import User, Workspace
from simulator.slack.events import HONEST, Delivery, EventSender, Tampering


class Happenings:
    """Changes the simulated Slack and sends the events that belong to the change."""

    def __init__(self, slack: Slack, sender: EventSender) -> None:
        self._slack = slack
        self._sender = sender

    def send(
        self,
        install: Install,
        event: dict[str, Any],
        workspace: Workspace | None = None,
        tampering: Tampering = HONEST,
        *,
        event_id: str | None = None,
        copies: int = 1,
    ) -> list[Delivery]:
        """Send one event to one installation; several copies carry the same event id."""
        now = int(self._slack.world.clock.now().timestamp())
        outer = events.envelope(install, event, event_id or self._sender.next_id(), now, workspace)
        sent = [self._sender.send(install.app, outer, tampering) for _ in range(copies)]
        return [each for each in sent if each is not None]

    def user(self, kind: str, workspace: Workspace, user: User) -> list[Delivery]:
        """Tell every app that may read users; each hears it once, however it is installed."""
        now = self._slack.world.clock.now().timestamp()
        sent: list[Delivery] = []
        for app in list(self._slack.registry.apps.values()):
            for install in self._slack.registry.of_app(app):
                if workspace.id in install.granted and "users:read" in install.scopes:
                    sent += self.send(install, events.user_event(kind, user, install, now), workspace)
                    break
        return sent

    async def uninstall(self, install: Install, order: list[str], *, in_turn: bool) -> list[Delivery]:
        """Remove the app: its token dies and two events go out, in no promised order."""
        install.state = "inactive"
        now = self._slack.world.clock.now().timestamp()
        shapes = {
            "tokens_revoked": events.tokens_revoked(install, now),
            "app_uninstalled": events.app_uninstalled(now),
        }
        sent: list[Delivery] = []
        for kind in order:
            new = self.send(install, shapes[kind])
            if in_turn:
                for delivery in new:
                    await delivery.finished.wait()
            sent += new
        return sent

    def revoke(self, install: Install) -> list[Delivery]:
        """Revoke the token; the app stays."""
        install.state = "revoked"
        return self.send(install, events.tokens_revoked(install, self._slack.world.clock.now().timestamp()))

    def team_access(self, install: Install, grant: list[str], revoke: list[str]) -> list[Delivery]:
        """Give an org-wide installation workspaces, or take them away."""
        install.granted = [each for each in dict.fromkeys(install.granted + grant) if each not in revoke]
        sent: list[Delivery] = []
        for kind, team_ids in (("team_access_granted", grant), ("team_access_revoked", revoke)):
            if team_ids:
                event = events.team_access(kind, team_ids, self._slack.world.clock.now().timestamp())
                sent += self.send(install, event, self._slack.directory.workspaces[team_ids[0]])
        return sent

    def channel(self, install: Install, workspace: Workspace, user: User) -> tuple[str, User]:
        """The direct message of the app with this person, opened if need be."""
        now = self._slack.world.clock.now()
        return self._slack.conversations.open(install, workspace, user, now)[0].id, user
