"""What `herald check` looks at: the setup on this machine, and the platforms over the network."""

from console.commands.checks.findings import Finding, fail, ok, warn

__all__ = ["Finding", "fail", "ok", "warn"]
