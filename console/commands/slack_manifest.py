"""PURE: the Slack app manifest of a bot, to paste at api.slack.com/apps → Create New App → From a manifest.

Keys and lengths: https://docs.slack.dev/reference/app-manifest. Slack's own schema checks the form but no scope
or event name, so both are checked against the lists here.
"""

from collections.abc import Iterable
from typing import Any, Final

from settings import Bot, SlackApp

# event → scope it needs (https://docs.slack.dev/reference/events); none of them holds message text
EVENTS: Final[dict[str, str | None]] = {
    "app_home_opened": None,  # the person and their conversation: the best reference there is
    "team_join": "users:read",
    "user_change": "users:read",
    "app_uninstalled": None,
    "tokens_revoked": None,
    "team_access_granted": None,  # organisations: which workspaces the app may see
    "team_access_revoked": None,
}

# https://docs.slack.dev/reference/scopes: what a notifier can have a use for
KNOWN_SCOPES: Final = frozenset(
    {
        "channels:join",
        "channels:read",
        "chat:write",
        "chat:write.customize",
        "chat:write.public",
        "files:write",
        "groups:read",
        "im:history",
        "im:read",
        "im:write",
        "links:write",
        "metadata.message:read",
        "mpim:read",
        "mpim:write",
        "team:read",
        "usergroups:read",
        "users.profile:read",
        "users:read",
        "users:read.email",
    }
)


def unknown_scopes(scopes: Iterable[str]) -> list[str]:
    """The scopes that Slack would refuse, or that no notifier should ask for."""
    return sorted(set(scopes) - KNOWN_SCOPES)


def slack_manifest(bot: Bot, app: SlackApp, *, public_url: str) -> dict[str, Any]:
    """The manifest with this server's addresses filled in."""
    root = f"{public_url}/slack/{bot.id}"
    scopes: dict[str, list[str]] = {"bot": list(app.scopes)}
    if optional := [scope for scope in app.optional_scopes if scope not in app.scopes]:
        scopes["bot_optional"] = optional
    oauth: dict[str, Any] = {"scopes": scopes}
    if app.uses_oauth:
        oauth["redirect_urls"] = [f"{root}/oauth_redirect"]
    return {
        "display_information": {"name": bot.name[:35], "description": f"Notifications from {bot.name}"[:140]},
        "features": {
            # a chat that people can read but not write into
            "app_home": {
                "home_tab_enabled": False,
                "messages_tab_enabled": True,
                "messages_tab_read_only_enabled": True,
            },
            "bot_user": {"display_name": bot.name[:80], "always_online": True},
        },
        "oauth_config": oauth,
        "settings": {
            "event_subscriptions": {
                "request_url": f"{root}/events",
                "bot_events": [event for event, scope in EVENTS.items() if scope is None or scope in app.scopes],
            },
            "interactivity": {"is_enabled": True, "request_url": f"{root}/interactivity"},
            "org_deploy_enabled": app.uses_oauth,
            "socket_mode_enabled": False,
            "token_rotation_enabled": False,
        },
    }
