"""JSON batching: up to 20 requests in one, answered and throttled one by one, in no particular order.

Source: Microsoft Graph, "Combine multiple HTTP requests using JSON batching".
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from simulator.teams.errors import bad_request
from simulator.teams.graph_call import GraphAnswer, GraphCall, split_path
from simulator.teams.limits import BATCH_REQUESTS

_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE"})


@dataclass(frozen=True, slots=True)
class Step:
    """One request of a batch."""

    id: str
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: object
    depends_on: tuple[str, ...]


def read_batch(call: GraphCall) -> list[Step]:
    """The requests of a batch; 400 for the whole batch when its form is wrong."""
    requests = call.body.get("requests") if isinstance(call.body, dict) else None
    if not isinstance(requests, list) or not requests:
        raise bad_request("Invalid batch payload format.", "BadRequest")
    if len(requests) > BATCH_REQUESTS:
        raise bad_request(
            f"The number of batched requests ({len(requests)}) exceeds the maximum of {BATCH_REQUESTS}.", "BadRequest"
        )
    steps = [_step(each) for each in requests]
    seen: set[str] = set()
    for step in steps:
        if step.id.lower() in seen:
            raise bad_request(f"Duplicate request id '{step.id}' in the batch.", "BadRequest")
        if not seen.issuperset(each.lower() for each in step.depends_on):
            raise bad_request(f"Request '{step.id}' depends on one that does not come before it.", "BadRequest")
        seen.add(step.id.lower())
    return steps


def run_batch(steps: list[Step], outer: GraphCall, perform: Callable[[GraphCall], GraphAnswer]) -> list[dict[str, Any]]:
    """The answers of all requests, shuffled (always the same way for the same ids)."""
    answered: dict[str, dict[str, Any]] = {}
    for step in steps:
        failed = any(answered[each.lower()]["status"] >= 400 for each in step.depends_on)
        answer = _FAILED if failed else perform(_call(step, outer))
        answered[step.id.lower()] = _part(step, answer)
    parts = list(answered.values())
    random.Random("".join(answered)).shuffle(parts)
    return parts


_FAILED = GraphAnswer(424, {"error": {"code": "FailedDependency", "message": "A request it depends on failed."}})


def _step(data: object) -> Step:
    if not isinstance(data, dict):
        raise bad_request("Invalid batch payload format.", "BadRequest")
    step_id, method, url = data.get("id"), data.get("method"), data.get("url")
    if not isinstance(step_id, str) or not step_id or not isinstance(method, str) or not isinstance(url, str):
        raise bad_request("Each batched request needs the strings id, method and url.", "BadRequest")
    if method.upper() not in _METHODS or "://" in url:
        raise bad_request(f"The method or url of request '{step_id}' is invalid.", "BadRequest")
    headers = data.get("headers") or {}
    if not isinstance(headers, dict) or not all(isinstance(value, str) for value in headers.values()):
        raise bad_request(f"The headers of request '{step_id}' are invalid.", "BadRequest")
    lowered = {name.lower(): value for name, value in headers.items()}
    if "body" in data and not lowered.get("content-type", "").startswith("application/json"):
        raise bad_request(f"Request '{step_id}' has a body but no Content-Type header.", "BadRequest")
    depends_on = data.get("dependsOn") or []
    if not isinstance(depends_on, list) or not all(isinstance(each, str) for each in depends_on):
        raise bad_request(f"'dependsOn' of request '{step_id}' is invalid.", "BadRequest")
    path, _, query = url.partition("#")[0].partition("?")
    return Step(
        step_id,
        method.upper(),
        path.lstrip("/"),
        dict(parse_qsl(query, keep_blank_values=True)),
        lowered,
        data.get("body"),
        tuple(depends_on),
    )


def _call(step: Step, outer: GraphCall) -> GraphCall:
    return GraphCall(step.method, split_path(step.path), step.query, step.headers, step.body, outer.grant, outer.tenant)


def _part(step: Step, answer: GraphAnswer) -> dict[str, Any]:
    headers = {"Content-Type": "application/json", **answer.headers}
    part: dict[str, Any] = {"id": step.id, "status": answer.status, "headers": headers}
    return part if answer.body is None else {**part, "body": answer.body}
