"""The description itself: whole, valid, the same every time, and as strict about bodies as the server is."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # ships no types
from schemathesis.specs.openapi.definitions import OPENAPI_31

from adapters.base import BotId, ChannelName
from notify import wire, wire_explain, wire_preview, wire_v2
from notify.body import Bot
from notify.openapi import calls, doors, examples
from notify.openapi.document import VERSION, Server, Undescribed, document
from tests.harness.described import WHOLE, wrong

ROOT = Path(__file__).parents[3]
SERVER = Server("https://herald.example.com", 1000, 8 * 1024**2)
BOT = Bot(BotId("st-00000000-0000-5000-8000-000000000001"), frozenset(ChannelName))
ANN = "ann@example.com"
TENANT = "11111111-2222-3333-4444-555555555555"
Parse = Callable[[bytes, Bot], Any]


def v1(**changes: Any) -> dict[str, Any]:
    """A body of version 1 with some members replaced; `...` takes a member out."""
    return _changed(
        {
            "channel": "slack",
            "userIdentityType": "resolve",
            "message": {"type": "text", "val": "Hello"},
            "identities": [ANN],
        },
        changes,
    )


def v2(**changes: Any) -> dict[str, Any]:
    """A body of version 2 with some members replaced."""
    return _changed(
        {"channel": "slack", "content": {"type": "text", "value": "Hello"}, "identities": [{"email": ANN}]}, changes
    )


def explain(**changes: Any) -> dict[str, Any]:
    """A body that explains one person, with some members replaced."""
    return _changed({"channel": "slack", "identity": ANN}, changes)


def _changed(body: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in {**body, **changes}.items() if value is not ...}


def own(**members: Any) -> dict[str, Any]:
    """A body of version 2 for one person with these members."""
    return v2(identities=[{"email": ANN, **members}])


def said(kind: str, **members: Any) -> dict[str, Any]:
    """A body of version 2 with this message."""
    return v2(content={"type": kind, **members})


BLOCKS: dict[str, Any] = {"text": "Hello"}
WELL: dict[str, list[Any]] = {
    "SendV1": [
        *examples.V1.values(),
        v1(userIdentityType="donotresolve", identities=["U0123456"]),
        v1(message={"type": "script", "val": BLOCKS}),
        v1(message={"type": "script", "val": "print(1)"}),
        v1(options={}),
        v1(options={"format": "markup", "onUncertain": "resend", "tenant": "T0123"}),
        v1(channel="msteams", options={"tenant": TENANT}),
        v1(options={"parameters": {ANN: {"x" * 200: "y" * 200}}}),
        v1(options={"parameters": {ANN: {f"p{place}": "" for place in range(20)}}}),
        v1(identities=[f"p{place}@example.com" for place in range(1000)]),
    ],
    "SendV2": [
        *examples.V2.values(),
        v2(userIdentityType="resolve", webhookInstanceName="Webhook"),
        v2(message=None, webhookInstanceName=None),
        v2(content=None, message={"type": "text", "val": "Hello", "value": None}),
        own(customMessage=None, parameters=None),
        own(customMessage="Hi", parameters={}),
        said("template", value=BLOCKS),
        said("template", val="Hello"),
        said("script", val=BLOCKS),
        v2(options={"onUncertain": "hold"}),
    ],
    "Preview": [
        *examples.PREVIEW.values(),
        v1(channel=...),
        v2(channel=...),
        v1(identities=[ANN] * 10),
        v2(content=..., message={"type": "text", "val": "Hello"}),
    ],
    "Explain": [
        *examples.EXPLAIN.values(),
        explain(userIdentityType="donotresolve", identity="U0123456"),
        explain(options={"tenant": "T0123"}, lookUp=True),
    ],
}
ILL: dict[str, list[Any]] = {
    "SendV1": [
        [],
        "text",
        None,
        *(v1(**{name: ...}) for name in ("channel", "userIdentityType", "message", "identities")),
        *(v1(**{name: None}) for name in ("channel", "userIdentityType", "message", "identities", "options")),
        v1(channel="fax"),
        v1(userIdentityType="perhaps"),
        v1(more=1),
        v1(message={"type": "text"}),
        v1(message={"val": "Hello"}),
        v1(message={"type": "template", "val": "Hello"}),
        v1(message={"type": "text", "val": BLOCKS}),
        v1(message={"type": "text", "val": 1}),
        v1(message={"type": "text", "val": "Hello", "value": "Hello"}),
        v1(identities=[]),
        v1(identities=[1]),
        v1(identities=[{"email": ANN}]),
        v1(identities=["a\x00b@example.com"]),
        v1(identities=["a@example.com"] * 1001),
        v1(options={"more": 1}),
        v1(options={"format": "html"}),
        v1(options={"onUncertain": None}),
        v1(options={"tenant": "here"}),
        v1(options={"parameters": []}),
        v1(options={"parameters": {ANN: {"x": 1}}}),
        v1(options={"parameters": {ANN: {"x": "y" * 201}}}),
        v1(options={"parameters": {ANN: {"x" * 201: "y"}}}),
        v1(options={"parameters": {ANN: {f"p{place}": "" for place in range(21)}}}),
    ],
    "SendV2": [
        {},
        v2(message={"type": "text", "val": "Hello"}),
        v2(content=...),
        v2(content=None),
        v2(userIdentityType="donotresolve"),
        v2(userIdentityType=None),
        v2(webhookInstanceName=1),
        v2(identities=[ANN]),
        v2(identities=[{}]),
        v2(options={"parameters": {}}),
        said("text"),
        said("text", value=None),
        said("text", value="Hello", val="Hello"),
        said("text", value=BLOCKS),
        said("template", value=[]),
        said("other", value="Hello"),
        own(phoneNumber="1"),
        own(customMessage=1),
        own(parameters={"x": None}),
        own(parameters={f"p{place}": "" for place in range(21)}),
    ],
    "Preview": [
        [],
        v1(channel="fax"),
        v1(identities=[ANN] * 11),
        v2(content=...),
        v1(identities=[ANN, {"email": ANN}]),
    ],
    "Explain": [
        {},
        explain(identity=...),
        explain(identity=1),
        explain(lookUp="yes"),
        explain(lookUp=None),
        explain(userIdentityType="perhaps"),
        explain(options={"format": "markup"}),
        explain(more=1),
    ],
}
PARSERS: dict[str, Parse] = {
    "SendV1": wire.parse,
    "SendV2": wire_v2.parse,
    "Preview": wire_preview.parse,
    "Explain": wire_explain.parse,
}


def is_taken(form: str, body: Any) -> bool:
    """Whether the server would take this body."""
    return not isinstance(PARSERS[form](json.dumps(body).encode(), BOT), tuple)


class TestBodies:
    @pytest.mark.parametrize("form", WELL)
    def test_permitted(self, form: str) -> None:
        """What the schema permits, the examples among it, the server takes."""
        assert [] == [body for body in WELL[form] if wrong(f"components/schemas/{form}", body)]
        assert [] == [body for body in WELL[form] if not is_taken(form, body)]

    @pytest.mark.parametrize("form", ILL)
    def test_forbidden(self, form: str) -> None:
        """What the schema forbids, the server refuses."""
        assert [] == [body for body in ILL[form] if not wrong(f"components/schemas/{form}", body)]
        assert [] == [body for body in ILL[form] if is_taken(form, body)]

    def test_examples(self) -> None:
        """Both of Kore's names of a message and both of its value stand among the examples of version 2."""
        names = {
            (outer, inner)
            for body in examples.V2.values()
            for outer in ("message", "content")
            for inner in body.get(outer, ())
            if inner != "type"
        }

        assert {(outer, inner) for outer in ("message", "content") for inner in ("value", "val")} == names

    def test_limits(self) -> None:
        """The limits are those of the server's settings."""
        found = document(Server("https://h.example", 7, 1234), [("POST", f"{calls.BASE}/notify")])["components"]

        assert [7, 7] == [
            found["schemas"][name]["properties"]["identities"]["maxItems"] for name in ("SendV1", "SendV2")
        ]
        assert "takes 1234 bytes" in found["responses"]["BodyTooLarge"]["description"]


class TestDocument:
    def test_valid(self) -> None:
        """The document is OpenAPI 3.1 by its own schema, and every schema in it is one."""
        found = Draft202012Validator(OPENAPI_31).iter_errors(WHOLE)

        assert [] == [f"{list(error.absolute_path)}: {error.message[:200]}" for error in found]
        for schema in WHOLE["components"]["schemas"].values():
            Draft202012Validator.check_schema(schema)

    def test_references(self) -> None:
        """Every reference leads to a part, and every part is referred to."""
        written = json.dumps(WHOLE)
        parts = {
            f"{kind}/{name}" for kind in ("schemas", "parameters", "responses") for name in WHOLE["components"][kind]
        }
        used = {each.split('"')[0] for each in written.split('"#/components/')[1:]}

        assert parts == used

    def test_examples_of_answers(self) -> None:
        """Every example of a refusal is one by its own schema."""
        answers = WHOLE["components"]["responses"].values()
        shown = [
            each["value"] for answer in answers for each in answer["content"]["application/json"]["examples"].values()
        ]

        assert shown
        assert [] == [each for each in shown if wrong("components/schemas/Errors", each)]

    def test_deterministic(self) -> None:
        """The same server is described in the same bytes, in whatever order its routes come."""
        routes = [*calls.operations(), *doors.operations()]

        assert json.dumps(document(SERVER, routes)) == json.dumps(document(SERVER, reversed(routes)))

    def test_undescribed(self) -> None:
        """A route that nobody has described keeps the server from starting."""
        with pytest.raises(Undescribed, match="/secret/door"):
            document(SERVER, [("GET", "/secret/door")])

    def test_only_what_is_served(self) -> None:
        """What a server does not have is not described; the path of one bot is described without naming the bot."""
        found = document(SERVER, [("POST", f"/teams/{BOT.id}/messages")])

        assert ["/teams/{BotID}/messages"] == list(found["paths"])
        assert BOT.id not in json.dumps(found)

    def test_version(self) -> None:
        """The document has the version of the product."""
        project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

        assert project["version"] == VERSION
