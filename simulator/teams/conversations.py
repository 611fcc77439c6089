"""Conversations of bots: personal chats, team channels and group chats, and who is in them."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from simulator.teams import ids
from simulator.teams.apps import App
from simulator.teams.people import TeamsPerson, Tenant

Kind = Literal["personal", "channel", "groupChat"]


@dataclass(slots=True, eq=False)
class Conversation:
    """One conversation of one bot."""

    id: str
    app_id: str
    tenant: Tenant
    kind: Kind
    members: list[TeamsPerson]
    user_ids: list[str]
    """The `29:` id of each member, in the same order."""
    graph_id: str
    name: str = ""
    installed: bool = False
    exists: bool = False
    generation: int = 0
    bot_messages: set[str] = field(default_factory=set)
    """Ids of what the bot sent and has not deleted."""

    @property
    def person(self) -> TeamsPerson:
        """The person of a personal chat; the first member of any other."""
        return self.members[0]

    @property
    def mailbox(self) -> str:
        """Whose mailbox a message lands in: the person's, or the thread's own."""
        return self.person.id if self.kind == "personal" else self.id

    @property
    def names(self) -> tuple[str, ...]:
        """Everything by which a fault may name who is written to."""
        return (*self.person.names, self.user_ids[0]) if self.kind == "personal" else (self.id,)

    def member(self, name: str) -> tuple[TeamsPerson, str] | None:
        """A member by `29:` id, object id or user principal name, with the `29:` id."""
        lowered = name.lower()
        for person, user_id in zip(self.members, self.user_ids, strict=True):
            if name == user_id or lowered in (person.id, person.upn.lower()):
                return person, user_id
        return None


class Conversations:
    """Every conversation of every bot."""

    def __init__(self) -> None:
        self._by_id: dict[tuple[str, str], Conversation] = {}
        self._personal: dict[tuple[str, str], Conversation] = {}

    def get(self, app_id: str, conversation_id: str) -> Conversation | None:
        """The conversation that this bot knows by this id (Graph's form of a personal chat's id works too)."""
        return self._by_id.get((app_id, conversation_id))

    def known_of(self, app: App, person: TeamsPerson) -> Conversation | None:
        """The personal chat, if it was ever thought of."""
        return self._personal.get((app.app_id, person.id))

    def personal(self, app: App, tenant: Tenant, person: TeamsPerson) -> Conversation:
        """The personal chat of a bot and a person; it need not exist yet."""
        key = (app.app_id, person.id)
        known = self._personal.get(key)
        if known is not None:
            return known
        conversation = Conversation(
            id=ids.chat_id(app.app_id, tenant.index, person.index, 0),
            app_id=app.app_id,
            tenant=tenant,
            kind="personal",
            members=[person],
            user_ids=[ids.user_id(app.app_id, tenant.index, person.index)],
            graph_id=ids.graph_chat_id(app.app_id, person.id),
        )
        self._personal[key] = conversation
        self._enter(conversation)
        return conversation

    def thread(self, app: App, tenant: Tenant, kind: Kind, name: str, members: list[TeamsPerson]) -> Conversation:
        """The team channel or group chat of this name, seen by this bot."""
        thread_id = ids.thread_id(kind, tenant.id, name)
        known = self._by_id.get((app.app_id, thread_id))
        if known is not None:
            return known
        conversation = Conversation(
            id=thread_id,
            app_id=app.app_id,
            tenant=tenant,
            kind=kind,
            members=members,
            user_ids=[ids.user_id(app.app_id, tenant.index, person.index) for person in members],
            graph_id=thread_id,
            name=name,
        )
        self._enter(conversation)
        return conversation

    def forget(self, conversation: Conversation) -> None:
        """Delete a personal chat; the next one of the same pair has another id."""
        for conversation_id in (conversation.id, conversation.graph_id):
            self._by_id.pop((conversation.app_id, conversation_id), None)
        conversation.generation += 1
        conversation.id = ids.chat_id(
            conversation.app_id, conversation.tenant.index, conversation.person.index, conversation.generation
        )
        conversation.exists = False
        conversation.bot_messages.clear()
        self._enter(conversation)

    def all(self) -> Iterator[Conversation]:
        """Every conversation once."""
        return (each for (_, key), each in self._by_id.items() if key == each.id)

    def _enter(self, conversation: Conversation) -> None:
        self._by_id[(conversation.app_id, conversation.id)] = conversation
        self._by_id[(conversation.app_id, conversation.graph_id)] = conversation
