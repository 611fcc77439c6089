"""S12: the scan that every scenario is under notices each kind of canary, wherever it is written."""

from __future__ import annotations

import json
import logging
import sqlite3
from pathlib import Path

import pytest

from tests.harness import canaries
from tests.harness.canaries import EMAIL, NAME, ONE_TIME, SECRET, TEXT, TOKEN, Watch, watching

WORDS = "a sentence that nobody else may read"
WRITTEN = [
    (SECRET, "the shared secret of a backend"),
    (SECRET, 'a secret with a " in it'),
    (TOKEN, "xoxb-1-2-abcdef"),
    (TOKEN, "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln"),
    (TOKEN, "Bearer opaque-access-token"),
    (EMAIL, "ada.turing+x@mail.contoso.example"),
    (NAME, "Grace Hopper"),
    (TEXT, WORDS),
    (ONE_TIME, "0123456789abcdef"),
]


@pytest.fixture(name="watch")
def _watch() -> Watch:
    watch = Watch()
    watch.note(SECRET, "the shared secret of a backend", 'a secret with a " in it')
    watch.note(TEXT, WORDS)
    watch.note(ONE_TIME, "0123456789abcdef")
    return watch


class TestScan:
    @pytest.mark.parametrize(("kind", "said"), WRITTEN)
    def test_each_kind(self, watch: Watch, kind: str, said: str) -> None:
        """S12: each kind is noticed, bare and in JSON, and is named with the event and not with what it says."""
        for line in (f"before {said} after", json.dumps({"field": said})):
            watch.lines = [("harmless", "nothing"), ("some_event", line)]

            assert [f"{kind} in some_event"] == watch.leaks()

    def test_harmless(self, watch: Watch) -> None:
        """Ids, hosts and addresses of conversations are none."""
        for line in ("ds-0000-5000", "19:1_2@unq.gbl.spaces", "19:x@thread.v2", "contoso.example", "bearer", "Grace"):
            watch.lines = [("some_event", line)]

            assert [] == watch.leaks()

    @pytest.mark.parametrize(
        ("logger", "level", "kinds"),
        [
            ("notify.x", logging.DEBUG, ["e-mail in notify.x"]),
            ("herald", logging.INFO, ["e-mail in herald"]),
            ("some.library", logging.DEBUG, ["e-mail in some.library"]),
            ("aiosqlite", logging.WARNING, ["e-mail in aiosqlite"]),
            ("aiosqlite", logging.DEBUG, []),
            ("slack_sdk.web", logging.INFO, []),
        ],
    )
    def test_loggers(self, logger: str, level: int, kinds: list[str]) -> None:
        """S12: every logger is listened to at DEBUG, except for the libraries that `serve` keeps quiet."""
        with watching() as watch:
            logging.getLogger(logger).log(level, "to a@b.example")

        assert kinds == watch.leaks()

    def test_fields_and_exceptions(self) -> None:
        """S12: what stands in a field of an event is seen, and what an exception says if the log tells it."""
        with watching() as watch:
            logging.getLogger("notify.x").info("x", extra={"action": "in_a_field", "address": "a@b.example"})
            try:
                raise RuntimeError("a@b.example")
            except RuntimeError:
                logging.getLogger("notify.x").exception("x", extra={"action": "in_an_exception"})

        assert ["e-mail in in_a_field", "e-mail in in_an_exception"] == watch.leaks()

    def test_told(self) -> None:
        """S12: what the harness tells is known: secrets of settings, sentences of bodies, lines of child processes."""
        with watching() as watch:
            canaries.settings({"bots": [{"clients": [{"secret": "secret number one"}], "name": "a harmless name"}]})
            canaries.said({"channel": "slack", "message": {"val": {"text": "one sentence"}}, "x": "no sentence"})
            canaries.heard_line('{"action": "first", "x": "secret number one, a harmless name"}\n')
            canaries.heard_line("Traceback: one sentence, no sentence\n")

        assert ["secret in first", "text in output"] == watch.leaks()

    def test_outside(self) -> None:
        """Nothing is kept of what is told while nobody listens."""
        canaries.settings({"secret": "secret number one"})
        with watching() as watch:
            assert {} == watch.values
        canaries.heard("x", "a@b.example")

        assert [] == watch.lines


class TestDatabase:
    @pytest.fixture(name="url")
    def _url(self, tmp_path: Path, watch: Watch) -> str:
        path = tmp_path / "x.db"
        with sqlite3.connect(path) as connection:
            connection.execute("CREATE TABLE emails (email TEXT, sealed BLOB)")
            connection.execute("CREATE TABLE other (note TEXT, sealed BLOB)")
        connection.close()
        return f"sqlite:///{path}"

    def write(self, url: str, table: str, *row: object) -> None:
        with sqlite3.connect(url.removeprefix("sqlite:///")) as connection:
            connection.execute(f"INSERT INTO {table} VALUES (?, ?)", row)  # noqa: S608 - a name of this test
        connection.close()

    def test_meant(self, watch: Watch, url: str) -> None:
        """S12: an e-mail may stand in the column that is there for it, and in no other."""
        self.write(url, "emails", "a@b.example", b"sealed")
        assert [] == watch.stored(url)

        self.write(url, "other", "a@b.example", b"a@b.example")
        assert ["e-mail in other.note", "e-mail in other.sealed"] == watch.stored(url)

    def test_secrets(self, watch: Watch, url: str) -> None:
        """S12: a secret stands in no column and not in the bytes of the file."""
        self.write(url, "emails", "", b"\x00the shared secret of a backend\xff")

        assert ["secret in emails.sealed", "secret in the file"] == watch.stored(url)

    def test_deleted(self, watch: Watch, url: str) -> None:
        """S12: the file is searched too: a token that was deleted may still be there."""
        self.write(url, "other", "x" * 50, b"xoxb-1-2-abcdef")
        with sqlite3.connect(url.removeprefix("sqlite:///")) as connection:
            connection.execute("PRAGMA secure_delete = OFF")
            connection.execute("DELETE FROM other")
        connection.close()

        assert ["token in the file"] == watch.stored(url)
