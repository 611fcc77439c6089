"""Answers held against the description: what it says of an operation, a status and a body must be so."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any, Final

from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # ships no types

from notify.openapi import calls, doors
from notify.openapi.document import Server, document

Json = dict[str, Any]
API: Final = "/api/public/"
WHOLE: Final = document(Server("http://herald.test", 1000, 8 * 1024**2), [*calls.operations(), *doors.operations()])
"""The description of a server with every route."""


def resolved(part: Json) -> Json:
    """A part of the document, followed to where it stands."""
    if "$ref" not in part:
        return part
    kind, name = part["$ref"].removeprefix("#/components/").split("/")
    found: Json = WHOLE["components"][kind][name]
    return found


@cache
def validator(schema: str) -> Draft202012Validator:
    """What judges by one of the document's schemas, or by the one at such a place (`components/schemas/Sent`)."""
    return Draft202012Validator({"components": WHOLE["components"], "paths": WHOLE["paths"], "$ref": f"#/{schema}"})


def wrong(schema: str, value: object) -> list[str]:
    """What is wrong with a value by a schema of the document."""
    found = validator(schema).iter_errors(value)
    return [f"{'/'.join(map(str, error.absolute_path))}: {error.message}"[:500] for error in found]


def operation(method: str, path: str) -> tuple[str, Json] | None:
    """The described path that a path is, and its operation; None where nothing is described."""
    for template, methods in WHOLE["paths"].items():
        pattern = re.sub(r"\{[^}]*\}", "[^/]+", template)
        if re.fullmatch(pattern, path) and method.lower() in methods:
            return template, methods[method.lower()]
    return None


def problems(method: str, path: str, status: int, headers: Mapping[str, str], body: object) -> list[str]:
    """What is not as the description says in an answer in JSON, of any route of the API."""
    found = operation(method, path.partition("?")[0])
    if found is None:
        return wrong("components/schemas/Errors", body) if status in (404, 405) else [f"{status} of no operation"]
    template, described = found
    if str(status) not in described["responses"]:
        return [f"{method} {template} answers {status}, which is not described"]
    answer = resolved(described["responses"][str(status)])
    wanted = [name for name, header in answer.get("headers", {}).items() if header.get("required")]
    missing = [f"no header {name}" for name in wanted if name not in headers]
    schema = answer["content"]["application/json"]["schema"]
    if "$ref" in schema:
        return missing + wrong(schema["$ref"].removeprefix("#/"), body)
    place = f"paths/{template.replace('~', '~0').replace('/', '~1')}/{method.lower()}/responses/{status}"
    return missing + wrong(f"{place}/content/application~1json/schema", body)
