"""What every drain of a channel works with."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from adapters.base import Channel, Lane, Looker
from identity.resolver import Resolver
from notify.chores import ChoreBook
from notify.delivery import Policy
from notify.ledger import CLAIM_SECONDS
from notify.metrics import Metrics
from notify.renderer import Renderer
from storage.engine import Database


@dataclass(frozen=True, slots=True)
class Clocks:
    """Wall time for what is stored, monotonic time for what is waited for, and a source of jitter in [-1, 1]."""

    wall: Callable[[], float]
    monotonic: Callable[[], float]
    jitter: Callable[[], float] = field(default=lambda: random.uniform(-1, 1))  # noqa: S311 - spreads retries


@dataclass(frozen=True, slots=True)
class Workshop:
    """The parts that the drains of one channel share."""

    database: Database
    channel: Channel
    resolver: Resolver
    looker: Looker | None
    chores: ChoreBook
    renderer: Renderer
    policy: Policy
    clocks: Clocks
    wake: Callable[[Lane, bool], None]  # the lane, and whether rows were moved into it
    claim_seconds: float = CLAIM_SECONDS
    rendered_bytes: int = 32 * 1024**2  # of personal messages that one lane holds; the others are rendered later
    metrics: Metrics = field(default_factory=Metrics)
