"""What the four faces of the Teams half share."""

from dataclasses import dataclass

from simulator.limits import Limiter
from simulator.teams.apps import App, Apps
from simulator.teams.conversations import Conversation, Conversations
from simulator.teams.keys import ENDORSEMENTS, KeyRing
from simulator.teams.people import Directory, TeamsPerson, Tenant
from simulator.teams.tokens import Tokens
from simulator.world import World

TOKEN_LIFETIME = "teams_token_lifetime"
SPLIT_MESSAGES = "teams_split_messages"
MESSAGE_BYTES = "teams_message_bytes"


@dataclass(slots=True, eq=False)
class TeamsState:
    """Directory, apps, conversations, tokens, keys and limits of one simulator."""

    world: World
    directory: Directory
    apps: Apps
    conversations: Conversations
    tokens: Tokens
    bot_keys: KeyRing
    limiter: Limiter
    last_message_id: int = 0

    def service_url(self, tenant: Tenant) -> str:
        """The regional connector address that activities of this tenant name."""
        return f"{self.world.base_url}/teams/{tenant.id}/"

    def conversation_of(self, app: App, person: TeamsPerson) -> Conversation:
        """The personal chat of an app and a person."""
        return self.conversations.personal(app, self.directory.tenant_of(person), person)

    def next_message_id(self) -> str:
        """A unique id in the form of a millisecond timestamp."""
        now = int(self.world.clock.now().timestamp() * 1000)
        self.last_message_id = max(now, self.last_message_id + 1)
        return str(self.last_message_id)


def build_state(world: World, directory: Directory) -> TeamsState:
    """A fresh state with the default apps, whose home is the first tenant."""
    return TeamsState(
        world=world,
        directory=directory,
        apps=Apps(directory.tenants[0].id),
        conversations=Conversations(),
        tokens=Tokens(world.clock),
        bot_keys=KeyRing("bot", ENDORSEMENTS),
        limiter=Limiter(),
    )
