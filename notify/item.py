"""A delivery in the hands of a drain: its row, its request, and the state machine's view of it."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from adapters.base import Address, Lane, TenantId, TraceStep
from notify import notes
from notify.delivery import Delivery, OnUncertain, State, Verdict
from notify.ids import new_id
from notify.message import Kind, Message
from notify.notes import NO_NOTES, Notes
from notify.script.run import ScriptRun
from notify.trace import Trace, stored
from storage.deliveries import QueuedRow


@dataclass(slots=True, eq=False)
class OpenRequest:
    """What a drain needs of a request: whose it is, how large, and its message.

    `prepared` is the payload, serialised once; None when the message is rendered for each person.
    """

    id: str
    client_id: str
    total: int
    identity_type: str
    deadline_at: float
    on_uncertain: OnUncertain
    message: Message
    prepared: object | None
    markup: bool = False  # what a script prints as text is the platform's markup
    script: ScriptRun | None = None  # the run of its script, once it has begun
    cursor: int = 0  # the last loaded row's seq
    exhausted: bool = False
    loaded: int = 0  # items in memory
    stuck: int = 0  # of these, the ones that do not wait for their turn
    remaining: int = 0  # open deliveries in this lane
    recent: deque[float] = field(default_factory=deque)  # when its last deliveries ended, monotonic


@dataclass(slots=True, eq=False)
class Item:
    """One open delivery in memory. `was` and `term` are the guard of its next write.

    `prepared` is None until its message has been rendered; `rendered` is what its next intent stores.
    """

    row: QueuedRow
    request: OpenRequest
    delivery: Delivery
    message: Message
    prepared: object | None
    values: Mapping[str, str] = field(default_factory=dict)  # for this person's placeholders
    notes: Notes = NO_NOTES
    rendered: bytes | None = None
    trace: Trace = field(default_factory=Trace)
    was: State = State.ACCEPTED
    term: int = 0
    probe: bool = False
    wire_started_at: float | None = None  # when its last intent was committed
    unwritten: bool = False  # a result or a move waits for a commit, or is in one
    stuck: bool = False  # waits for something else than its turn: a look-up, an opening, a later moment
    openings: int = 0  # times its conversation could not be opened
    store_id: str | None = None  # messagestoreId, once it is sent
    elsewhere: Verdict | None = None  # this tenant refused it on the wire; another one is asked next

    @property
    def id(self) -> str:
        return self.row.id

    def mark(self, *, stuck: bool) -> None:
        """Note whether it waits for something else than its turn, so that others are loaded beside it."""
        if self.stuck is not stuck:
            self.stuck = stuck
            self.request.stuck += 1 if stuck else -1


def item_from_row(
    row: QueuedRow, request: OpenRequest, lane: Lane, own: tuple[Message, object | None] | None, *, term: int
) -> Item:
    """Take a stored delivery up where it was left; `own` is its own message, prepared if it can be sent as it is."""
    state = State(row.state)
    address = None
    if row.user_id is not None and state is not State.ACCEPTED:
        address = Address(
            TenantId(lane.tenant), row.user_id, row.channel_id or row.user_id, row.conversation_id, row.service_url
        )
    delivery = Delivery(
        state=state,
        deadline_at=request.deadline_at,
        next_at=row.next_at,
        attempts=row.attempts,
        repairs=row.repairs,
        on_uncertain=request.on_uncertain,
        address=address,
        verdict=Verdict(row.reason, row.code or "", row.detail or "", row.remedy or "") if row.reason else None,
    )
    steps = [TraceStep(**step) for step in json.loads(row.trace)] if row.trace else []
    trace = Trace(steps, tenant="" if row.candidates is None else lane.tenant)
    message, prepared = own or (request.message, request.prepared)
    return Item(
        row,
        request,
        delivery,
        message,
        prepared,
        values=json.loads(row.parameters) if row.parameters else {},
        notes=notes.read(row.notes),
        trace=trace,
        was=state,
        term=term,
        wire_started_at=row.wire_started_at,
    )


def intent_columns(item: Item, *, term: int, now: float) -> dict[str, Any]:
    """The row's columns when its intent is committed."""
    address = item.delivery.address
    return {
        "row": item.id,
        "term": term,
        "attempts": item.delivery.attempts,
        "user_id": address.user_id if address else None,
        "channel_id": address.channel_id if address else None,
        "conversation_id": address.conversation_id if address else None,
        "service_url": address.service_url if address else None,
        "wire_started_at": now,
        "next_at": now,
        "trace": trace_text(item.trace),
    }


def rendered_columns(item: Item) -> dict[str, Any]:
    """What is stored beside the intent of a delivery whose message was rendered for it."""
    return {"kind": str(Kind.NATIVE), "payload": item.rendered, "notes": item.notes.stored()}


def result_columns(item: Item) -> dict[str, Any]:
    """The row's columns after a step of the machine."""
    delivery, address, verdict = item.delivery, item.delivery.address, item.delivery.verdict
    sent = delivery.state is State.SENT
    return {
        "row": item.id,
        "was": str(item.was),
        "its_term": item.term,
        "state": str(delivery.state),
        "next_at": delivery.next_at,
        "attempts": delivery.attempts,
        "repairs": delivery.repairs,
        "user_id": address.user_id if address else None,
        "channel_id": address.channel_id if address else None,
        "conversation_id": address.conversation_id if address else None,
        "service_url": address.service_url if address else None,
        "final_at": delivery.final_at,
        "reason": verdict.reason if verdict and not sent else None,
        "code": _storable(verdict.code)[:255] if verdict and not sent else None,
        "detail": _storable(verdict.detail) if verdict and not sent else None,
        "remedy": _storable(verdict.remedy) if verdict and not sent else None,
        "message_id": delivery.message_id,
        "store_id": _store_id(item) if sent else None,
        "trace": trace_text(item.trace),
        "notes": item.notes.stored(),
    }


def _storable(text: str) -> str:
    """What a platform said, without what no database stores as text: NUL and lone surrogates."""
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode("utf-8")


def _store_id(item: Item) -> str:
    """One id for a sent message, its duplicates and every repetition of the write."""
    item.store_id = item.store_id or new_id("ms")
    return item.store_id


def trace_text(trace: Trace) -> str:
    """A trace as it is stored."""
    return json.dumps([stored(step) for step in trace])
