"""`herald demo`: everything at once on one machine, and the proof that the log tells the truth."""

from console.commands.demo.command import demo

__all__ = ["demo"]
