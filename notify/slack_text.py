"""PURE: text for Slack."""

from __future__ import annotations


def escape(said: str) -> str:
    """Slack's three control characters, escaped once, so that text can mention nobody.

    https://docs.slack.dev/messaging/formatting-message-text#escaping
    """
    return said.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
