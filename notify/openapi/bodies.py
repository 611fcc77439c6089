"""PURE: the schemas of bodies: the wire models as pydantic describes them, and the rules that they cannot say.

Whatever a schema forbids is refused. What no schema can say (a payload's limits, whether the bot has the channel) is
refused too, in words.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any, Final

from notify import options, wire, wire_explain, wire_preview, wire_v2
from notify.body import MAX_IDENTITIES, Strict
from notify.openapi.shapes import Json, choice, closed, ref, text
from notify.values import MAX_CHARACTERS, MAX_PARAMETERS

_NO_NUL: Final = r"^[^\u0000]*$"  # no identity has it, and no database takes it
_CHANNEL: Final = "The platform; the bot must be set up for it."
_IDENTITY_TYPE: Final = "resolve: identities are e-mail addresses; donotresolve: the channel's own user ids."
_TENANT: Final = (
    "Send through this tenant or workspace only: with msteams the id of a tenant, with slack the id of a workspace. "
    "The app must be installed there."
)
_VALUE: Final = (
    "Text, with the type text. With template a native payload (Teams activity, fields of chat.postMessage, or a "
    "template of Kore's SDK) as an object, or text. With script JavaScript, or such a payload as an object or as its "
    "JSON text."
)


def schemas(most: int) -> dict[str, Json]:
    """The bodies of all calls by name, for a server that takes at most so many identities in one."""
    return {
        "SendV1": _send_v1(most),
        "MessageV1": _message_v1(),
        "SendV2": _send_v2(most),
        "MessageV2": _message_v2(),
        "IdentityV2": _identity_v2(),
        "Preview": _preview(),
        "PreviewV1": _without_channel(_send_v1(wire_preview.MOST)),
        "PreviewV2": _without_channel(_send_v2(wire_preview.MOST)),
        "Explain": _explain(),
        "OptionsV1": _options(_WORDS, parameters=_parameters_of_identities()),
        "OptionsV2": _options(_WORDS),
        "ExplainOptions": _options({}),
        "Values": _values(),
    }


def _send_v1(most: int) -> Json:
    return _form(
        wire.SendBody,
        "V1",
        channel={"description": _CHANNEL},
        userIdentityType={"description": _IDENTITY_TYPE},
        message={"description": "What everybody gets."},
        identities={
            "items": text(pattern=_NO_NUL),
            "maxItems": most,
            "description": "Whom it is for. Equal ones are delivered once, and each has its own entry.",
        },
        options=_replaced(ref("OptionsV1")),
    )


def _send_v2(most: int) -> Json:
    body = _form(
        wire_v2.SendBody,
        "V2",
        channel={"description": _CHANNEL},
        message={"description": "What everybody gets who has no customMessage; or call it content."},
        content={"description": "The same as message, under the name that Kore's samples use: not both."},
        userIdentityType={"description": "Identities are e-mail addresses."},
        webhookInstanceName={"description": "Of Kore's IVR channel: taken, and without meaning."},
        identities={
            "maxItems": most,
            "description": "Whom it is for. Two are equal, and delivered once, if address and message are equal.",
        },
        options=_replaced(ref("OptionsV2")),
    )
    return {**body, "oneOf": _either("message", "content", ref("MessageV2"))}


def _message_v1() -> Json:
    message = _form(wire.Message, "V1", val={"description": _VALUE})
    return {**message, "anyOf": [_kind(["text"], val={"type": "string"}), _kind(["script"])]}


def _message_v2() -> Json:
    message = _form(
        wire_v2.Message,
        "V2",
        value={"description": _VALUE},
        val={"description": "The same as value, under the name that it has in version 1: not both."},
    )
    words, anything = {"type": "string"}, {"type": ["string", "object"]}
    said_in_words = [{**one, **_kind(["text"], one["properties"])} for one in _either("value", "val", words)]
    said = [{**one, **_kind(["template", "script"], one["properties"])} for one in _either("value", "val", anything)]
    return {**message, "oneOf": [*said_in_words, *said]}


def _identity_v2() -> Json:
    return _form(
        wire_v2.Identity,
        "V2",
        email={"pattern": _NO_NUL, "description": "The person's address, on both channels."},
        customMessage={"description": "Text that this person gets instead of the message."},
        parameters=_replaced({"anyOf": [ref("Values"), {"type": "null"}]}),
    )


def _preview() -> Json:
    return {
        "description": "The body of either send call for a few people; without channel it is read for every channel.",
        "anyOf": [ref("PreviewV1"), ref("PreviewV2")],
    }


def _explain() -> Json:
    return _form(
        wire_explain.ExplainBody,
        "",
        channel={"description": _CHANNEL},
        identity={"pattern": _NO_NUL, "description": "One identity, as it would stand in a send call."},
        userIdentityType={"description": _IDENTITY_TYPE},
        lookUp={"description": "Ask the platform anew; the answer waits up to ten seconds. Only with resolve."},
        options=_replaced(ref("ExplainOptions")),
    )


_WORDS: Final[Mapping[str, str]] = {
    "onUncertain": "What happens to a delivery whose answer was unclear and that cannot be looked up: hold ends it as "
    "unconfirmed, resend sends again and may show the message twice.",
    "format": "plain: words are words; markup: text is in the platform's own markup.",
}


def _options(words: Mapping[str, str], **more: Json) -> Json:
    """The members of `options`: Herald's own, a client written for Kore never needs them."""
    members = {name: choice(options.VALUES[name], says) for name, says in words.items()}
    tenant = {"anyOf": [text(pattern=f"^{shape.pattern}$") for shape, _ in options.TENANT.values()]}
    return closed({}, {**members, "tenant": {**tenant, "description": _TENANT}, **more}, "What Kore's API has not.")


def _values() -> Json:
    return {
        "type": "object",
        "description": "The values of one person's placeholders {name}.",
        "maxProperties": MAX_PARAMETERS,
        "propertyNames": {"maxLength": MAX_CHARACTERS},
        "additionalProperties": {"type": "string", "maxLength": MAX_CHARACTERS},
    }


def _parameters_of_identities() -> Json:
    return {
        "type": "object",
        "description": "Values of placeholders by identity; each must be among the identities of the call.",
        "maxProperties": MAX_IDENTITIES,
        "additionalProperties": ref("Values"),
    }


def _form(model: type[Strict], version: str, /, **changes: Json) -> Json:
    """A model's own schema, with more said about its members; KeyError for a member that it does not have."""
    schema = model.model_json_schema(ref_template=f"#/components/schemas/{{model}}{version}")
    schema.pop("$defs", None)
    form: Json = _without_titles(schema)
    for name, change in changes.items():
        member = form["properties"][name]
        form["properties"][name] = change.get("replaced", {**member, **change})
    return form


def _replaced(schema: Json) -> Json:
    """What stands in the place of a member that pydantic only knows as an object."""
    return {"replaced": schema}


def _without_titles(schema: Any) -> Any:  # any JSON
    """Without the titles that pydantic makes of the members' names, and without `null` as a default."""
    if isinstance(schema, list):
        return [_without_titles(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {name: each for name, each in schema.items() if name != "title" and (name, each) != ("default", None)}
    return {name: _without_titles(each) for name, each in kept.items()}


def _either(one: str, other: str, schema: Json) -> list[Json]:
    """Exactly one of two names; `null` is as good as leaving a name out."""
    pairs = ((one, other), (other, one))
    return [{"properties": {name: schema, rest: {"type": "null"}}, "required": [name]} for name, rest in pairs]


def _kind(kinds: list[str], /, more: Mapping[str, Json] | None = None, **members: Json) -> Json:
    return {"properties": {"type": {"enum": kinds}, **(more or {}), **members}}


def _without_channel(body: Json) -> Json:
    shorter = deepcopy(body)
    shorter["required"].remove("channel")
    return shorter
