"""What the Slack side is told by its owner: the app, the endpoints, the pace. Values only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from adapters.base import BotId, Lane
from adapters.slack import limits

Clock = Callable[[], float]
"""Epoch seconds (or, where named `monotonic`, seconds that never go back)."""

Wake = Callable[[Lane], None]
"""Tells the runner that a lane may have become able to work."""

NormalForm = Callable[[str], str]
"""The one spelling of an e-mail address under which people are stored."""


@dataclass(frozen=True, slots=True)
class SlackApp:
    """One bot's Slack app. With `bot_token` it serves one workspace and nobody installs it by OAuth."""

    bot: BotId
    signing_secret: str = field(repr=False)
    client_id: str | None = None
    client_secret: str | None = field(default=None, repr=False)
    bot_token: str | None = field(default=None, repr=False)
    scopes: tuple[str, ...] = ("chat:write", "users:read", "users:read.email")
    redirect_uri: str | None = None  # the public https URL of /slack/{BotID}/oauth_redirect


@dataclass(frozen=True, slots=True)
class SlackEndpoints:
    """Where Slack is: slack.com, slack-gov.com, or another host that speaks like it."""

    api: str = "https://slack.com/api/"
    authorize: str = "https://slack.com/oauth/v2/authorize"
    proxy: str | None = None  # see client.proxy_for


@dataclass(frozen=True, slots=True)
class SlackPace:
    """How fast a lane may start; the post rate is learnt from there."""

    posts_per_second: float = limits.POSTS_PER_SECOND
    burst: float = limits.POST_BURST
    in_flight: int = limits.IN_FLIGHT
    lookups_per_minute: float = limits.TIER_3
    lists_per_minute: float = limits.TIER_2
