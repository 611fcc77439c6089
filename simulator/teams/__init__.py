"""Microsoft Teams as a bot and its server see it: the Bot Connector, Entra's tokens and Microsoft Graph."""

from simulator.teams.platform import TeamsPlatform

__all__ = ["TeamsPlatform"]
