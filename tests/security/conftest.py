"""What attackers cause to be written is listened to as well."""

from tests.scenario.conftest import canary

__all__ = ["canary"]
