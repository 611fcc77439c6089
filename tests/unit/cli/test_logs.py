"""Event logs: a fixed action and fields, in two formats."""

from __future__ import annotations

import json
import logging
import sys

import pytest
from sqlalchemy.exc import DataError, IntegrityError, OperationalError

from console.commands.logs import QUIET, JsonEvents, TextEvents, configure, fields


def record(name: str, message: str, **extra: object) -> logging.LogRecord:
    return logging.getLogger(name).makeRecord(name, logging.INFO, "f", 1, message, (), None, extra=extra)


class TestEvents:
    def test_json(self) -> None:
        """A record of ours is one JSON object: time, level, logger, action and its fields."""
        event = json.loads(JsonEvents().format(record("notify.drain", "sent", delivery_id="nl-1", number=3)))

        assert (event["level"], event["logger"], event["action"]) == ("info", "notify.drain", "sent")
        assert (event["delivery_id"], event["number"]) == ("nl-1", 3)
        assert event["time"].endswith("Z")

    def test_text(self) -> None:
        """The same record is one readable line."""
        line = TextEvents().format(record("notify.drain", "sent", delivery_id="nl-1"))

        assert line.endswith('Z info    sent logger="notify.drain" delivery_id="nl-1"')

    def test_action_field(self) -> None:
        """An `action` given as a field is the action."""
        assert fields(record("storage.engine", "anything", action="opened"))["action"] == "opened"

    def test_library(self) -> None:
        """A library's record keeps its text beside the fixed action `library`."""
        event = fields(record("aiohttp.server", "Error handling request"))

        assert (event["action"], event["text"]) == ("library", "Error handling request")

    def test_injection(self) -> None:
        """A line end in a value cannot forge a line."""
        assert "\n" not in TextEvents().format(record("notify", "x", value="a\nb"))
        assert "\n" not in JsonEvents().format(record("aiohttp", "a\nb"))

    @pytest.mark.parametrize(
        ("error", "said"),
        [
            (ValueError("a@b.example is no number"), "ValueError"),
            (KeyError("a@b.example"), "KeyError"),
            (RuntimeError("why"), "RuntimeError: why"),
            (OSError(28, "No space left on device", "/a@b.example"), "OSError: No space left on device"),
            (DataError("INSERT", {}, ValueError("invalid input: a@b.example")), "DataError"),
            (
                IntegrityError("INSERT", {}, ValueError("null value in column x\nDETAIL: a@b.example")),
                "IntegrityError: ValueError: null value in column x",
            ),
            (
                OperationalError("SELECT", {}, ValueError("the disk is full\nDETAIL: a@b.example")),
                "OperationalError: ValueError: the disk is full",
            ),
            (
                ExceptionGroup("a@b.example", [RuntimeError("why"), KeyError("a@b.example")]),
                "RuntimeError: why\nKeyError",
            ),
        ],
        ids=lambda given: type(given).__name__ if isinstance(given, Exception) else "said",
    )
    def test_exception(self, error: Exception, said: str) -> None:
        """S12: an exception stands in the event with its kind and where it was, and with nothing that was sent."""
        try:
            raise error
        except type(error):
            failed = logging.getLogger("notify").makeRecord("notify", 40, "f", 1, "failed", (), sys.exc_info())

        for text in (json.loads(JsonEvents().format(failed))["exception"], TextEvents().format(failed)):
            assert text.endswith(said)
            assert "test_logs.py" in text
            assert "a@b.example" not in text

    def test_causes(self) -> None:
        """What led to an exception stands before it."""
        try:
            try:
                raise KeyError("a@b.example")
            except KeyError as error:
                raise RuntimeError("why") from error
        except RuntimeError:
            failed = logging.getLogger("notify").makeRecord("notify", 40, "f", 1, "failed", (), sys.exc_info())

        lines = fields(failed)["exception"].splitlines()
        assert [line for line in lines if not line.startswith(" ")] == ["KeyError", "which led to", "RuntimeError: why"]

    def test_lost_task(self) -> None:
        """S12: what asyncio writes about a task that nobody looked at does not quote the task's exception."""
        said = "Task exception was never retrieved\nfuture: <Task exception=KeyError('a@b.example')>"

        assert fields(record("asyncio", said))["text"] == "Task exception was never retrieved"


class TestConfigure:
    @pytest.fixture(autouse=True)
    def _restore(self) -> object:
        root = logging.getLogger()
        before = (root.handlers[:], root.level, {name: logging.getLogger(name).level for name in QUIET})
        yield
        root.handlers[:], root.level = before[0], before[1]
        for name, level in before[2].items():
            logging.getLogger(name).setLevel(level)

    def test_talkative_libraries(self) -> None:
        """Libraries that log bodies, headers or tokens below WARNING are kept at WARNING."""
        configure("json")

        assert not logging.getLogger("slack_bolt.middleware.request_verification").isEnabledFor(logging.INFO)
        assert not logging.getLogger("slack_sdk.web.async_client").isEnabledFor(logging.DEBUG)
        assert logging.getLogger("notify.drain").isEnabledFor(logging.INFO)

    @pytest.mark.parametrize("name", ["aiosqlite", "psycopg", "aiohttp.access", "asyncio", "sqlalchemy.engine"])
    def test_more_wanted(self, name: str) -> None:
        """S12: they stay quiet when somebody asks for everything."""
        configure("json")
        logging.getLogger().setLevel(logging.DEBUG)

        assert not logging.getLogger(name).isEnabledFor(logging.INFO)
