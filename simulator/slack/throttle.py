"""Slack's rate limits: method × workspace × app, plus the two limits of posting.

Source: docs.slack.dev/apis/web-api/rate-limits. The ceiling of a workspace is hidden; two settings move it.
"""

from math import ceil

from simulator.limits import Bucket, Limiter
from simulator.slack import limits
from simulator.slack.apps import Install
from simulator.slack.call import Method
from simulator.slack.methods import HISTORY, POST_MESSAGE
from simulator.world import Settings

CEILING = "slack_ceiling_per_minute"
BURST = "slack_burst"
CHANNEL_BURST = "slack_channel_burst"


class Throttle:
    """Decides whether a call passes; what is refused counts nowhere."""

    def __init__(self, settings: Settings) -> None:
        settings.declare(CEILING, limits.WORKSPACE_PER_MINUTE)
        settings.declare(BURST, limits.WORKSPACE_BURST)
        settings.declare(CHANNEL_BURST, limits.CHANNEL_BURST)
        self._settings = settings
        self._limiter = Limiter()
        self._workspaces: dict[tuple[str, str], Bucket] = {}
        self._channels: dict[tuple[str, str], Bucket] = {}

    def take(self, method: Method, install: Install | None, tenant: str, channel: str, now: float) -> int | None:
        """None when the call passes, else `Retry-After` in whole seconds."""
        if not self._settings["limits"]:
            return None
        app = install.app.id if install is not None else ""
        if method.name == POST_MESSAGE:
            wait = self._post(app, tenant, channel, now)
        elif method.rate is not None:
            outside = method.name == HISTORY and install is not None and install.app.outside_marketplace
            rate = limits.HISTORY_OUTSIDE_MARKETPLACE if outside else method.rate
            wait = self._limiter.take((app, tenant, method.name), (rate,), now)
        else:
            return None
        return None if wait is None else max(1, ceil(wait))

    def _post(self, app: str, tenant: str, channel: str, now: float) -> float | None:
        """One a second in a conversation, and the ceiling of the workspace (0 switches the ceiling off)."""
        workspace = self._workspace(app, tenant)
        if workspace is not None and (wait := workspace.take(now)) is not None:
            return wait
        bucket = self._channels.get((app, channel))
        if bucket is None:
            bucket = Bucket(limits.CHANNEL_PER_SECOND, self._settings[CHANNEL_BURST])
            self._channels[(app, channel)] = bucket
        wait = bucket.take(now)
        if wait is not None and workspace is not None:
            workspace.give_back()
        return wait

    def _workspace(self, app: str, tenant: str) -> Bucket | None:
        rate, burst = self._settings[CEILING] / 60, self._settings[BURST]
        if rate <= 0:
            return None
        bucket = self._workspaces.get((app, tenant))
        if bucket is None or (bucket.rate, bucket.burst) != (rate, burst):
            bucket = self._workspaces[(app, tenant)] = Bucket(rate, burst)
        return bucket

    def clear(self) -> None:
        """Forget what was counted."""
        self._limiter.clear()
        self._workspaces.clear()
        self._channels.clear()
