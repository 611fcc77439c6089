"""Event logs: a fixed action and fields, in two formats."""

from __future__ import annotations

import json
import logging
import sys

import pytest

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

    def test_exception(self) -> None:
        """An exception stands in the event."""
        try:
            raise ValueError("why")
        except ValueError:
            failed = logging.getLogger("notify").makeRecord("notify", 40, "f", 1, "failed", (), sys.exc_info())

        assert "ValueError: why" in json.loads(JsonEvents().format(failed))["exception"]
        assert "ValueError: why" in TextEvents().format(failed)


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
