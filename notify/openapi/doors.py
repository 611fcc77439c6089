"""PURE: the operations that are not for callers: of Teams and Slack, of browsers, and of machines that watch."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from notify.ids import UUID_SHAPE
from notify.openapi.refusals import NO_STORE
from notify.openapi.shapes import Json, always, closed, open_object, ref, text

PLATFORMS: Final = "Platforms"
MACHINES: Final = "Machines"
BOT_ID: Final[Json] = {
    "name": "BotID",
    "in": "path",
    "required": True,
    "description": "The bot.",
    "schema": text(pattern=f"^st-{UUID_SHAPE}$"),
}
SECURITY: Final[Mapping[str, Json]] = {
    "teams": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "The token that the Bot Framework signs for the bot's app.",
    },
    "slack": {
        "type": "apiKey",
        "in": "header",
        "name": "X-Slack-Signature",
        "description": "Slack's signature of the raw body, beside X-Slack-Request-Timestamp.",
    },
}
_PAGE: Final[Json] = {"text/html": {"schema": text()}}
_WORDS: Final[Json] = {"text/plain": {"schema": text()}}


def operations() -> dict[tuple[str, str], Json]:
    """The operations by method and path. Paths of one bot stand here for all of them, and name none."""
    return {
        ("POST", "/teams/{BotID}/messages"): _teams("teamsMessages", [BOT_ID], "What Teams tells the bot."),
        ("POST", "/api/messages"): _teams("teamsMessagesShort", [], "The same, where one bot alone is in Teams."),
        ("POST", "/slack/{BotID}/events"): _slack_events(),
        ("POST", "/slack/{BotID}/interactivity"): _slack_interactivity(),
        ("GET", "/slack/{BotID}/install"): _slack_install(),
        ("GET", "/slack/{BotID}/oauth_redirect"): _slack_redirect(),
        ("GET", "/health/live"): _live(),
        ("GET", "/health/ready"): _ready(),
        ("GET", "/metrics"): _metrics(),
        ("GET", "/openapi.json"): _description(),
    }


def _teams(name: str, parameters: list[Json], says: str) -> Json:
    responses = {
        "200": _answer("Stored, or nothing to store.", {"application/json": {"schema": open_object("For an invoke.")}}),
        "400": _answer("It is no activity that Herald takes."),
        "401": _answer("It is not signed for this bot."),
        "503": _answer("It could not be stored, or not in time: Teams tells it again."),
        **_problems(408, 413, 415, 500),
    }
    activity = {"application/json": {"schema": open_object("An activity of the Bot Framework.")}}
    return _operation(name, PLATFORMS, says, parameters, responses, security="teams", body=activity)


def _slack_events() -> Json:
    challenge = closed({"challenge": text()}, says="For url_verification.")
    empty = {"schema": text(maxLength=0)}
    responses = {
        "200": _answer(
            "Stored, or nothing to store.", {"application/json": {"schema": challenge}, "text/plain": empty}
        ),
        **_slack_refusals(),
    }
    event = {"application/json": {"schema": open_object("An event of Slack.")}}
    says = "What Slack tells the bot."
    return _operation("slackEvents", PLATFORMS, says, [BOT_ID], responses, security="slack", body=event)


def _slack_interactivity() -> Json:
    responses = {"200": _answer("Stored, or nothing to store."), **_slack_refusals()}
    form = closed({"payload": text("JSON of the interaction.")})
    pressed = {"application/x-www-form-urlencoded": {"schema": {**form, "additionalProperties": True}}}
    says = "What somebody pressed in a message on Slack."
    return _operation("slackInteractivity", PLATFORMS, says, [BOT_ID], responses, security="slack", body=pressed)


def _slack_refusals() -> dict[str, Json]:
    too_late = _answer("It could not be stored in time: Slack tells it again.")
    return {**_problems(400, 401, 408, 413), "500": _answer("It could not be stored."), "503": too_late}


def _slack_install() -> Json:
    team = _query("team", "The workspace to begin with.")
    responses = {"302": _answer("To Slack's own page."), **_pages(503), **_problems(404, 500)}
    responses["302"]["headers"] = {"Location": {"required": True, "schema": text()}}
    says = "Where a browser begins to install the app in a workspace."
    return _operation("slackInstall", PLATFORMS, says, [BOT_ID, team], responses)


def _slack_redirect() -> Json:
    names = {"code": "Slack's, for one exchange.", "state": "Ours, for one return.", "error": "Why Slack did not."}
    parameters = [BOT_ID, *(_query(name, says) for name, says in names.items())]
    responses = {**_pages(200, 400, 401, 502, 503), **_problems(404), "500": _answer("A defect.", _PAGE | _PROBLEM)}
    says = "Where Slack sends the browser back to."
    return _operation("slackOauthRedirect", PLATFORMS, says, parameters, responses)


def _live() -> Json:
    alive = _answer("It answers.", {"application/json": {"schema": closed({"status": always("live")})}}, NO_STORE)
    return _operation("live", MACHINES, "Whether the process answers.", [], {"200": alive, **_problems(500)})


def _ready() -> Json:
    found = {"application/json": {"schema": ref("Health")}}
    responses = {
        "200": _answer("It can.", found, NO_STORE),
        "503": _answer("It cannot.", found, NO_STORE),
        **_problems(500),
    }
    return _operation("ready", MACHINES, "Whether it can accept calls.", [], responses)


def _metrics() -> Json:
    responses = {"200": _answer("Prometheus' text format.", _WORDS), **_problems(500)}
    return _operation("metrics", MACHINES, "Numbers for Prometheus.", [], responses)


def _description() -> Json:
    content = {"application/json": {"schema": open_object("An OpenAPI document.")}}
    responses = {"200": _answer("This document.", content, NO_STORE), **_problems(500)}
    return _operation("description", MACHINES, "This description of all routes.", [], responses)


def _operation(
    name: str,
    tag: str,
    says: str,
    parameters: list[Json],
    responses: Mapping[str, Json],
    *,
    security: str | None = None,
    body: Mapping[str, Any] | None = None,
) -> Json:
    operation: Json = {"operationId": name, "tags": [tag], "summary": says}
    operation["security"] = [] if security is None else [{security: []}]
    if parameters:
        operation["parameters"] = parameters
    if body is not None:
        operation["requestBody"] = {"required": True, "content": dict(body)}
    return {**operation, "responses": dict(sorted(responses.items()))}


def _query(name: str, says: str) -> Json:
    return {"name": name, "in": "query", "description": says, "schema": text()}


def _answer(says: str, content: Json | None = None, cache: Json | None = None) -> Json:
    found: Json = {"description": says}
    if cache is not None:
        found["headers"] = {"Cache-Control": cache}
    return found if content is None else {**found, "content": content}


_PROBLEM: Final[Json] = {"application/problem+json": {"schema": ref("Problem")}}


def _problems(*statuses: int) -> dict[str, Json]:
    return {str(status): _answer(HTTPStatus(status).phrase, _PROBLEM) for status in statuses}


def _pages(*statuses: int) -> dict[str, Json]:
    return {str(status): _answer("A page that says what happened.", _PAGE) for status in statuses}
