"""Event logs: every record has a fixed `action` and ids, in JSON for machines or in text for people.

A record of ours is `logger.info("listening", extra={"address": …})`: the message is the action, the rest are
fields. Records of libraries become the action `library` with their text. No caller of a logger ever passes
a token, a whole e-mail or the text of a message, and the libraries that would are kept at WARNING.
"""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any, Literal

LogFormat = Literal["text", "json"]

# below WARNING these write request bodies, headers or parameters
QUIET = ("slack_bolt", "slack_sdk", "botbuilder", "botframework", "msrest", "msal", "urllib3", "sqlalchemy", "alembic")
OURS = ("app", "cli", "notify", "identity", "adapters", "storage", "console", "herald")
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def configure(log_format: LogFormat) -> None:
    """Send all events to standard error in one format; called once, by the process that serves."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonEvents() if log_format == "json" else TextEvents())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)


def fields(record: logging.LogRecord) -> dict[str, Any]:
    """The event: when, how bad, who, what, and the fields it was logged with."""
    own = record.name.partition(".")[0] in OURS
    extra = {key: value for key, value in vars(record).items() if key not in _STANDARD}
    action = extra.pop("action", record.getMessage() if own else "library")
    event = {
        "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "level": record.levelname.lower(),
        "logger": record.name,
        "action": action,
    }
    if not own:
        event["text"] = record.getMessage()
    if record.exc_info:
        event["exception"] = logging.Formatter().formatException(record.exc_info)
    return event | extra


class JsonEvents(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        return json.dumps(fields(record), default=str, ensure_ascii=False)


class TextEvents(logging.Formatter):
    """One line a person can read; an exception follows on lines of its own."""

    def format(self, record: logging.LogRecord) -> str:
        event = fields(record)
        exception = event.pop("exception", None)
        head = f"{event.pop('time')} {event.pop('level'):<7} {event.pop('action')}"
        rest = " ".join(f"{key}={json.dumps(value, default=str, ensure_ascii=False)}" for key, value in event.items())
        return f"{head} {rest}" + (f"\n{exception}" if exception else "")
