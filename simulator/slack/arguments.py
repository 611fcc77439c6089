"""The arguments of a call, read as Slack reads them: from the query, a form or, for some methods, JSON.

Sources: docs.slack.dev/apis/web-api (content types, charset warnings, which methods take JSON) and the common
errors on every method's page.
"""

import json
import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

import orjson
from aiohttp import web

from simulator.slack.answers import SlackError, bad_arguments
from simulator.slack.limits import ARGUMENT_NAME

Values = dict[str, Any]
_NAME = re.compile(r"[A-Za-z0-9_]+")
_CHARSETS = ("utf-8", "iso-8859-1")
_FORM = "application/x-www-form-urlencoded"


@dataclass(slots=True)
class Arguments:
    """What the caller passed, and the warnings that the way of passing it deserves."""

    values: Values
    token: str | None = None
    warnings: list[str] = field(default_factory=list)

    def text(self, name: str) -> str:
        """A string argument; "" when it is not there."""
        value = self.values.get(name)
        if value is None:
            return ""
        return value if isinstance(value, str) else json.dumps(value)

    def required(self, name: str) -> str:
        """A string argument that must be there."""
        value = self.text(name)
        if not value:
            raise bad_arguments(f"missing required field: {name}")
        return value

    def flag(self, name: str) -> bool:
        """A boolean: true, "true" and 1 count."""
        return self.values.get(name) in (True, "true", "True", "1", 1)

    def whole(self, name: str) -> int | None:
        """A whole number; None when it is not there."""
        value = self.values.get(name)
        if value is None or value == "":
            return None
        if isinstance(value, int) or (isinstance(value, str) and value.lstrip("-").isdecimal()):
            return int(value)
        raise bad_arguments(f"must be an integer [json-pointer:/{name}]")

    def structure(self, name: str, error: str) -> Any:  # any JSON value; the caller checks its form
        """A JSON argument, given as JSON or as a string that holds it; None when it is not there."""
        value = self.values.get(name)
        if not isinstance(value, str):
            return value
        if not value:
            return None
        try:
            return orjson.loads(value)
        except orjson.JSONDecodeError as failure:
            raise SlackError(error) from failure


async def read_arguments(request: web.Request, takes_json: bool) -> Arguments:
    """Read the arguments; what Slack would not understand is refused as Slack refuses it."""
    values: Values = dict(request.query) if request.query_string else {}
    in_query = values.pop("token", None)
    arguments = Arguments(values)
    header = request.headers.get("Authorization", "")
    if header[:7].lower() == "bearer ":
        arguments.token = header[7:].strip()
    if request.method == "POST":
        await _read_body(request, arguments, takes_json)
    if arguments.token is None and in_query:
        raise SlackError("invalid_auth")  # not accepted in query strings since February 2021
    for name in values:
        if len(name) > ARGUMENT_NAME or not _NAME.fullmatch(name):
            raise SlackError("invalid_arg_name")
    return arguments


async def _read_body(request: web.Request, arguments: Arguments, takes_json: bool) -> None:
    declared = request.headers.get("Content-Type")
    if declared is not None and declared.lower().startswith("multipart/form-data"):
        form = await request.post()
        _take(arguments, {name: value for name, value in form.items() if isinstance(value, str)})
        return
    raw = await request.read()
    if not raw:
        return
    if declared is None:
        raise SlackError("missing_post_type")
    kind, _, parameters = declared.partition(";")
    kind = kind.strip().lower()
    charset = _charset(parameters)
    if kind == _FORM:
        if charset:
            arguments.warnings.append("superfluous_charset")
        _read_form(raw, charset or "utf-8", arguments)
    elif kind == "application/json":
        if not charset:
            arguments.warnings.append("missing_charset")
        _read_json(raw, charset or "utf-8", arguments, takes_json)
    elif kind != "text/plain":
        raise SlackError("invalid_post_type")


def _charset(parameters: str) -> str:
    _, found, value = parameters.partition("charset=")
    charset = value.split(";")[0].strip().strip('"').lower()
    if found and charset not in _CHARSETS:
        raise SlackError("invalid_charset")
    return charset


def _read_form(raw: bytes, charset: str, arguments: Arguments) -> None:
    try:
        _take(arguments, dict(parse_qsl(raw.decode(charset), keep_blank_values=True)))
    except ValueError as failure:
        raise SlackError("invalid_form_data") from failure


def _read_json(raw: bytes, charset: str, arguments: Arguments, takes_json: bool) -> None:
    try:
        data = orjson.loads(raw if charset == "utf-8" else raw.decode(charset))
    except (orjson.JSONDecodeError, UnicodeDecodeError) as failure:
        raise SlackError("invalid_json") from failure
    if not isinstance(data, dict):
        raise SlackError("json_not_object")
    if takes_json:  # other methods ignore a JSON body, and a token in JSON counts nowhere
        data.pop("token", None)
        arguments.values.update(data)


def _take(arguments: Arguments, form: dict[str, str]) -> None:
    token = form.pop("token", None)
    if arguments.token is None and token:
        arguments.token = token
    arguments.values.update(form)
