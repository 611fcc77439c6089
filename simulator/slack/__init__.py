"""The simulated Slack."""

from simulator.slack.platform import SlackPlatform

__all__ = ["SlackPlatform"]
