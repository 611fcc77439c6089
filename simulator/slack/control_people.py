"""Control of people: who joins, changes, leaves; and of the conversations with them."""

from collections.abc import Mapping
from dataclasses import replace

from aiohttp import web

from simulator.control import json_answer, json_object, refuse
from simulator.slack.call import Slack
from simulator.slack.control_base import About, Json, check_fields, finished, guarded
from simulator.slack.directory import User, Workspace
from simulator.slack.happenings import Happenings

_USER_FIELDS: Mapping[str, type | tuple[type, ...]] = {
    "name": str,
    "real_name": str,
    "email": (str, type(None)),
    "deleted": bool,
    "is_bot": bool,
    "is_restricted": bool,
    "is_ultra_restricted": bool,
    "is_stranger": bool,
}


class PeopleControl:
    """Routes about people."""

    def __init__(self, slack: Slack, happen: Happenings) -> None:
        self._slack = slack
        self._happen = happen
        self._about = About(slack)

    def routes(self) -> list[web.RouteDef]:
        """The routes below `/_sim/slack/`."""
        return [
            web.get("/_sim/slack/people", guarded(self.list_people)),
            web.post("/_sim/slack/people", guarded(self.add_person)),
            web.patch("/_sim/slack/people/{id}", guarded(self.change_person)),
            web.post("/_sim/slack/forget_conversation", guarded(self.forget_conversation)),
        ]

    async def list_people(self, request: web.Request) -> web.Response:
        workspace = self._about.workspace(dict(request.query))
        users = list(workspace.users.values())
        wanted = request.query.get("email")
        if wanted is not None:
            users = [each for each in users if (each.email or "").lower() == wanted.lower()]
        limit = int(request.query.get("limit", "1000"))
        return json_answer({"total": len(users), "people": [user_json(each) for each in users[:limit]]})

    async def add_person(self, request: web.Request) -> web.Response:
        data = await json_object(request)
        fields = check_fields(data, _USER_FIELDS, frozenset({"team", "silent", "wait"}))
        workspace = self._about.workspace(data)
        number = workspace.next_user_id()
        defaults: Json = {"name": f"person{number[-4:].lower()}", "real_name": "Some Person", "email": None}
        user = User(number, workspace.id, **{**defaults, **fields})
        workspace.put(user)
        return await self._person_answer("team_join", workspace, user, data, 201)

    async def change_person(self, request: web.Request) -> web.Response:
        found = self._slack.directory.find(request.match_info["id"])
        if found is None:
            return refuse("no such person", 404)
        workspace, user = found
        data = await json_object(request)
        fields = check_fields(data, _USER_FIELDS, frozenset({"silent", "wait"}))
        changed = replace(user, **fields, updated=int(self._slack.world.clock.now().timestamp()))
        workspace.put(changed)
        return await self._person_answer("user_change", workspace, changed, data, 200)

    async def _person_answer(
        self, kind: str, workspace: Workspace, user: User, data: Json, status: int
    ) -> web.Response:
        sent = [] if data.get("silent") else self._happen.user(kind, workspace, user)
        if data.get("wait"):
            await finished(sent)
        return json_answer({**user_json(user), "deliveries": [each.as_json() for each in sent]}, status)

    async def forget_conversation(self, request: web.Request) -> web.Response:
        data = await json_object(request)
        if not self._slack.conversations.forget(str(data.get("channel"))):
            return refuse("no such conversation", 404)
        return json_answer({"ok": True})


def user_json(user: User) -> Json:
    """A person as the control API shows them."""
    return {
        "id": user.id,
        "team_id": user.team_id,
        "name": user.name,
        "real_name": user.real_name,
        "email": user.email,
        "deleted": user.deleted,
        "is_bot": user.is_bot,
        "is_restricted": user.is_restricted,
        "is_ultra_restricted": user.is_ultra_restricted,
        "is_stranger": user.is_stranger,
    }
