"""Activities for security tests: every part of token, body and headers can be made wrong."""

from typing import Any

import orjson

from simulator.teams.activity_templates import Activity
from simulator.teams.apps import App
from simulator.teams.control_requests import BadControl, conversation_of
from simulator.teams.events import Events, Posted
from simulator.teams.keys import SigningKey, sign
from simulator.teams.state import TeamsState


async def post_activity(state: TeamsState, events: Events, app: App, data: dict[str, Any]) -> tuple[Posted, str]:
    """Post what `data` describes; returns the bot's answer and the Authorization header that was sent.

    activity: merged over a plain message (a null removes the member). raw: text sent instead. content_type, headers:
    of the request (a null header removes it). url: instead of the messaging endpoint. authorization: the header
    verbatim, or null for none. claims, header: merged over those of a valid token (null removes). key: current,
    old, unendorsed or unpublished. expires_in: seconds. signature: "empty", "flipped" or "trailing".
    """
    activity = _activity(state, events, app, data)
    authorization = _authorization(state, events, app, data, activity)
    headers = {"Content-Type": str(data.get("content_type", "application/json; charset=utf-8"))}
    if authorization is not None:
        headers["Authorization"] = authorization
    headers = _merged(headers, data.get("headers"))
    raw = data.get("raw")
    body = raw.encode() if isinstance(raw, str) else orjson.dumps(activity)
    url = str(data.get("url") or app.messaging_endpoint)
    if not url:
        raise BadControl("the app has no messaging_endpoint and no url was given")
    return await events.post(url, body, headers), authorization or ""


def _activity(state: TeamsState, events: Events, app: App, data: dict[str, Any]) -> Activity:
    person = data.get("person") or state.directory.tenants[0].people[0].id
    conversation = conversation_of(state, app, {**data, "person": person})
    plain = {**events.templates.base(app, conversation), "type": "message", "text": "Hello"}
    return _merged(plain, data.get("activity"))


def _authorization(state: TeamsState, events: Events, app: App, data: dict[str, Any], activity: Activity) -> str | None:
    if "authorization" in data:
        given = data["authorization"]
        return None if given is None else str(given)
    key = _key(state, str(data.get("key", "current")))
    service_url = activity.get("serviceUrl") or state.service_url(state.directory.tenants[0])
    claims = events.claims(app.app_id, str(service_url))
    if "expires_in" in data:
        claims["exp"] = int(state.world.clock.now().timestamp()) + int(data["expires_in"])
    claims = _merged(claims, data.get("claims"))
    header = _merged({"alg": "RS256", "typ": "JWT", "kid": key.kid}, data.get("header"))
    return f"Bearer {_spoiled(sign(key, header, claims), data.get('signature'))}"


def _key(state: TeamsState, name: str) -> SigningKey:
    key = state.bot_keys.named(name)
    if key is None:
        raise BadControl(f"there is no key '{name}'")
    return key


def _spoiled(token: str, how: object) -> str:
    message, _, signature = token.rpartition(".")
    match how:
        case None:
            return token
        case "empty":
            return f"{message}."
        case "flipped":
            return f"{message}.{'B' if signature[0] == 'A' else 'A'}{signature[1:]}"
        case "trailing":
            return f"{token}.{signature}"
    raise BadControl("signature must be empty, flipped or trailing")


def _merged(base: dict[str, Any], changes: object) -> dict[str, Any]:
    if changes is None:
        return base
    if not isinstance(changes, dict):
        raise BadControl("activity, claims, header and headers are objects")
    merged = {**base, **changes}
    return {name: value for name, value in merged.items() if value is not None}
