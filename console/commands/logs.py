"""Event logs: every record has a fixed `action` and ids, in JSON for machines or in text for people.

A record of ours is `logger.info("listening", extra={"address": …})`: the message is the action, the rest are
fields. Records of libraries become the action `library` with their text. No caller of a logger ever passes
a token, a whole e-mail or the text of a message, and the libraries that would are kept at WARNING.

Of an exception its kind and its way through the code are logged. What it says is logged only where that cannot be
made of what somebody sent: PostgreSQL quotes the row that it refuses, a parser the text that it cannot read.
"""

import json
import logging
import sys
import traceback
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Literal

from sqlalchemy.exc import IntegrityError

from storage.engine import UNAVAILABLE, describe

LogFormat = Literal["text", "json"]

# below WARNING these write request bodies, headers, addresses that were asked for, or the values of a statement
QUIET = (
    *("slack_bolt", "slack_sdk", "botbuilder", "botframework", "msrest", "msal", "requests_oauthlib", "urllib3"),
    *("sqlalchemy", "alembic", "aiosqlite", "psycopg", "aiohttp", "asyncio"),
)
OURS = ("app", "cli", "notify", "identity", "adapters", "storage", "console", "herald")
SPEAKING = (AttributeError, ImportError, NameError, RuntimeError, TypeError)  # they speak of the code
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def configure(log_format: LogFormat) -> None:
    """Send all events to standard error in one format; called once, by the process that serves."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonEvents() if log_format == "json" else TextEvents())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    hush()


def hush() -> None:
    """Keep the libraries that would tell too much at WARNING, whatever the level of everything else is."""
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
        event["text"] = record.getMessage().partition("\n")[0]  # asyncio shows the exception of a task below that
    if record.exc_info and record.exc_info[1] is not None:
        event["exception"] = "".join(_told(record.exc_info[1])).rstrip("\n")
    return event | extra


def _told(error: BaseException) -> Iterator[str]:
    """An exception as Python shows it, those that led to it first."""
    before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if before is not None:
        yield from _told(before)
        yield "which led to\n"
    yield from traceback.format_tb(error.__traceback__)
    yield f"{type(error).__name__}{_said(error)}\n"
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from _told(each)


def _said(error: BaseException) -> str:
    """What it says, unless that could be made of what somebody sent."""
    if isinstance(error, OSError):
        return f": {error.strerror}" if error.strerror else ""
    if isinstance(error, (IntegrityError, *UNAVAILABLE)):
        return f": {describe(error)}"
    return f": {error}" if isinstance(error, SPEAKING) and str(error) else ""


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
