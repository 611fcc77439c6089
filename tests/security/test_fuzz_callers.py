"""K01, S14: whatever a caller, an author, a script or a file holds ends in a value or in the parser's own error."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given

from adapters.base import ChannelName
from console.commands.parameters import UnreadableError, read_parameters
from identity.email import MAX_LENGTH, email_problem, normal_form
from notify import idempotency, intake, strict_json, templates, wire, wire_explain, wire_preview, wire_v2
from notify.auth import PROACTIVE_SCOPE, Client, Door, Refused
from notify.body import MAX_PROBLEMS, Bot, Problems, unknown_names
from notify.findings import LONGEST, MOST, findings
from notify.identities import comparable, identity_problem
from notify.message import Message
from notify.personal import Ready, Unready, Writer, printed
from notify.placeholders import fill_payload, fill_text
from notify.render import Rendered, Unfit
from notify.render import native as native_form
from notify.script.answers import GarbageError, result
from notify.script.limits import Limits
from notify.script.results import ERROR_CHARACTERS, Failed, Printed
from settings import Settings, SettingsError, load
from tests.contract import samples
from tests.contract.face import BOT, BOTS, CLIENT, SeenInMemory, token
from tests.security.fuzzing import (
    TAPES,
    TEXTS,
    Tape,
    at_once,
    bent,
    bent_bytes,
    bent_json,
    bent_text,
    fuzz,
    in_time,
    is_storable,
)
from tests.unit.notify import test_findings as forms
from tests.unit.notify import test_templates as kore

ROOT: Final = Path(__file__).parents[2]
BOTH: Final[Bot] = BOTS[BOT]
CHANNELS: Final = tuple(ChannelName)
PROMISED: Final = 4096  # characters of one problem: its place and its sentence

V1: Final = [
    *map(json.loads, (samples.TEXT, samples.THREE, samples.CARD)),
    {**json.loads(samples.TEXT), "message": json.loads(samples.SCRIPT)},
    {
        "channel": "slack",
        "userIdentityType": "donotresolve",
        "message": {"type": "text", "val": "Hello {name}"},
        "identities": ["U1", "U2"],
        "options": {"parameters": {"U1": {"name": "A"}}, "format": "markup", "tenant": "T0WORK", "onUncertain": "hold"},
    },
]
V2: Final = [{**json.loads(each), "channel": "msteams", "webhookInstanceName": None} for each in samples.V2]
EXPLAIN: Final = [
    {"channel": "slack", "identity": "a@b.example", "lookUp": True, "options": {"tenant": "T0WORK"}},
    {"channel": "msteams", "identity": "29:1", "userIdentityType": "donotresolve"},
]
KORE: Final = [kore.BUTTON, kore.QUICK, kore.LIST, kore.TABLE, kore.IMAGE, kore.TEXT]
CARDS: Final = [forms.message(each) for each in forms.RIGHT]
BLOCKS: Final = [{"text": "x", "blocks": [each]} for each in forms.RIGHT_BLOCKS]
PAYLOADS: Final = [*KORE, *CARDS, *BLOCKS]


def is_bounded(found: Problems) -> bool:
    """Few problems, and short ones."""
    return len(found) <= MAX_PROBLEMS + 1 and all(len(str(each)) < PROMISED for each in found)


def is_read(value: object) -> bool:
    """Whether a value can have come in as JSON."""
    try:
        strict_json.read(json.dumps(value))
    except strict_json.NotJson:
        return False
    return True


class TestJson:
    @fuzz()
    @given(TAPES)
    def test_bodies(self, raw: bytes) -> None:
        """K01: bytes are JSON that can be stored and written again, or NotJson."""
        tape = Tape(raw)
        body = bent_json([*V1, *V2, *PAYLOADS], tape)
        with in_time():
            try:
                value = strict_json.read(body)
            except strict_json.NotJson:
                return
        assert strict_json.read(json.dumps(value)) == value

    @fuzz()
    @given(TAPES)
    def test_texts(self, raw: bytes) -> None:
        """A text that a script prints is an object, none, or NotJson."""
        tape = Tape(raw)
        said = bent_text(bent_json(PAYLOADS, tape).decode("utf-8", "replace"), tape)
        with in_time():
            try:
                found = strict_json.object_in(said)
            except strict_json.NotJson:
                found = None
            assert found is None or isinstance(found, dict)
            assert strict_json.is_broken_object(said) in (True, False)


class TestBodies:
    @fuzz()
    @given(TAPES)
    def test_v1(self, raw: bytes) -> None:
        """K01: a v1 body is a call or its problems, few and short."""
        body = bent_json(V1, Tape(raw))
        with in_time():
            found = wire.parse(body, BOTH)
        if isinstance(found, wire.Call):
            assert 1 <= len(found.entries) <= 1000
            assert all(is_storable(entry.identity) for entry in found.entries)
        else:
            assert found
            assert is_bounded(found)

    @fuzz()
    @given(TAPES)
    def test_v2(self, raw: bytes) -> None:
        """K01: the same for v2."""
        body = bent_json(V2, Tape(raw))
        with in_time():
            found = wire_v2.parse(body, BOTH)
        assert isinstance(found, wire.Call) or (found and is_bounded(found))

    @fuzz()
    @given(TAPES)
    def test_preview(self, raw: bytes) -> None:
        """K01: the same for a preview, on every channel that it asks for."""
        tape = Tape(raw)
        sample = dict(tape.one_of([*V1, *V2]))
        if tape.below(2):
            del sample["channel"]
        body = bent_json([sample], tape)
        with in_time():
            found = wire_preview.parse(body, BOTH)
        each = [found] if isinstance(found, tuple) else list(found.values())
        assert each
        assert all(isinstance(call, wire.Call) or (call and is_bounded(call)) for call in each)

    @fuzz()
    @given(TAPES)
    def test_explain(self, raw: bytes) -> None:
        """K01: the same for the question about one person."""
        body = bent_json(EXPLAIN, Tape(raw))
        with in_time():
            found = wire_explain.parse(body, BOTH)
        assert isinstance(found, wire_explain.Explanation) or (found and is_bounded(found))

    @fuzz()
    @given(TAPES)
    def test_queries(self, raw: bytes) -> None:
        """Names of a query that no call knows are problems, few and short."""
        tape = Tape(raw)
        names = [bent_text("dryRun", tape) for _ in range(tape.below(40))]
        found = unknown_names(names, ("dryRun",))
        assert is_bounded(found)
        assert bool(found) == bool({*names} - {"dryRun"})


class TestCredentials:
    DOOR: Final = Door(
        [CLIENT, Client("cs-jti", "HS256", CLIENT.keys, CLIENT.scopes, None)], BOTS, SeenInMemory(), clock=lambda: 1.7e9
    )
    CLAIMS: Final[dict[str, Any]] = {"appId": "cs-payroll", "exp": 1700000100, "nbf": 1.7e9, "iat": 1, "jti": "j"}

    @fuzz()
    @given(TAPES)
    def test_bent_tokens(self, raw: bytes) -> None:
        """S01: bytes in place of a token are refused in Kore's words, never let in, never a crash."""
        tape = Tape(raw)
        good = token({"appId": "cs-payroll"})
        given_ = bent_text(good, tape)
        tokens = [given_] if tape.below(8) else [given_] * tape.below(3)
        with in_time():
            try:
                client = at_once(self.DOOR.admit(tokens, bent_text(BOT, tape) if tape.below(4) == 0 else BOT))
            except Refused:
                return
        assert [good] == [each.strip() for each in tokens]
        assert client is CLIENT

    @fuzz(0.5)
    @given(TAPES)
    def test_bent_claims(self, raw: bytes) -> None:
        """S01: claims of any type and value, signed with the right secret, are judged and never a crash."""
        tape = Tape(raw)
        claims = bent(self.CLAIMS, tape)
        if not isinstance(claims, dict) or not is_read(claims):
            return
        try:
            signed = token(claims)
        except (TypeError, ValueError):  # PyJWT signs no `iss` that is no text
            return
        with in_time():
            try:
                client = at_once(self.DOOR.admit([signed], BOT, PROACTIVE_SCOPE))
            except Refused:
                return
        assert client.client_id == claims.get("appId", claims.get("iss"))

    @fuzz()
    @given(TAPES)
    def test_keys(self, raw: bytes) -> None:
        """An idempotency key is printable ASCII of bounded length, or MalformedKey."""
        tape = Tape(raw)
        values = [bent_text("key-1", tape) for _ in range(tape.below(3))]
        try:
            key = idempotency.read(values)
        except idempotency.MalformedKey:
            return
        assert key is None or (1 <= len(key) <= idempotency.LONGEST and key.isascii() and key.isprintable())


class TestIdentities:
    @fuzz()
    @given(TAPES)
    def test_emails(self, raw: bytes) -> None:
        """K02: every text has a normal form, which is its own normal form; a long one is nobody's."""
        tape = Tape(raw)
        said = bent_text(tape.one_of(("ada@contoso.example", "A.B+c@bücher.example", '"a b"@x.example', "U1")), tape)
        with in_time():
            normal = normal_form(said)
            problem = email_problem(normal)
        assert normal_form(normal) == normal
        assert len(normal) <= MAX_LENGTH or problem is not None
        assert problem is None or len(problem) < 200

    @fuzz()
    @given(TAPES)
    def test_identities(self, raw: bytes) -> None:
        """K02: every identity is compared by something and is judged, whatever it is called."""
        tape = Tape(raw)
        kind = tape.one_of(("resolve", "donotresolve"))
        said = bent_text(tape.one_of(("29:1abc", "7E000000-0000-4000-8000-00000000000A", "U1AB", "a@b.example")), tape)
        with in_time():
            form = comparable(kind, said)
            problem = identity_problem(tape.one_of(CHANNELS), kind, form)
        assert comparable(kind, form) == form
        assert problem is None or len(problem) < 200


class TestMessages:
    @fuzz()
    @given(TAPES)
    def test_payloads(self, raw: bytes) -> None:
        """A payload of any shape is rendered for a channel, or unfit with few problems."""
        tape = Tape(raw)
        payload = bent(tape.one_of(PAYLOADS), tape)
        if not isinstance(payload, dict) or not is_read(payload):
            return
        for channel in CHANNELS:
            with in_time():
                found = native_form(channel, payload, "message.val")
            assert isinstance(found, Rendered | Unfit)
            if isinstance(found, Rendered):
                json.dumps(found.payload)

    @fuzz()
    @given(TAPES)
    def test_findings(self, raw: bytes) -> None:
        """What is said about a card or blocks of any shape is at most twenty short sentences."""
        tape = Tape(raw)
        payload = bent(tape.one_of(PAYLOADS), tape)
        if not isinstance(payload, dict) or not is_read(payload):
            return
        for channel in CHANNELS:
            with in_time():
                found = findings(channel, payload)
            assert len(found) <= MOST
            assert all(len(each) <= LONGEST for each in found)

    @fuzz()
    @given(TAPES)
    def test_templates(self, raw: bytes) -> None:
        """A template of Kore's is rendered whole or has a slip that says where; never half of it."""
        tape = Tape(raw)
        payload = bent(tape.one_of(KORE), tape)
        if not isinstance(payload, dict) or not is_read(payload) or not templates.is_template(payload):
            return
        with in_time():
            slip = templates.slip(payload)
            shown = [templates.render(channel, payload) for channel in CHANNELS]
        assert slip is None or shown == [None, None]

    @fuzz(0.5)
    @given(TAPES)
    def test_messages(self, raw: bytes) -> None:
        """A message is read or unfit; read, it is written for anybody's values, or unready with a sentence."""
        tape = Tape(raw)
        channel, kind = tape.one_of(CHANNELS), tape.one_of(("text", "template", "script"))
        style = intake.Style(markup=bool(tape.below(2)), placeholders=bool(tape.below(2)))
        value = bent(tape.one_of([*PAYLOADS, "Hello {name}", "*b* <https://x.example|{name}>"]), tape)
        if not isinstance(value, str | dict) or not is_read(value):
            return
        with in_time():
            message = intake.read(channel, kind, value, style, "message.val")
            assert isinstance(message, Message | Unfit)
            if isinstance(message, Message) and message.kind in ("text", "markup", "template"):
                written = Writer(channel, message).write({"name": bent_text("Ada", tape), "a": ""})
                assert isinstance(written, Ready | Unready)

    @fuzz()
    @given(TAPES)
    def test_placeholders(self, raw: bytes) -> None:
        """S11: any value in any place of any payload: one pass, and the size grows with the values alone."""
        tape = Tape(raw)
        channel = tape.one_of(CHANNELS)
        payload = bent(
            {
                "text": "{name} <{name}> {x",
                "blocks": [{"type": "section", "text": {"type": "mrkdwn", "text": "*{name}*"}}],
            },
            tape,
        )
        values = {"name": bent_text("Ada", tape)[:200], "a": "{name}"}
        if not isinstance(payload, dict) or not is_read(payload):
            return
        said = bent_text("{name} [{name}](https://x.example/{a}) <{name}", tape)
        with in_time():
            filled = fill_payload(channel, payload, values)
            text = fill_text(channel, said, values, markup=bool(tape.below(2)))
        assert filled.value.keys() == payload.keys()
        assert len(text.value) <= len(said) + 6 * 210 * max(1, said.count("{"))


class TestScripts:
    LIMITS: Final = Limits()
    TOLD: Final = [
        ["done", "hi", ["a"], 0, False, "", ""],
        ["failed", "", [], 2, False, "TypeError: not a function", "    at f (<input>:1:2)\n    at eval (native)\n"],
        [
            "failed",
            "",
            [],
            0,
            False,
            "SyntaxError: x",
            "    at <input>:1:2\n    at eval (native)\n    at (run) (<input>:",
        ],
        ["idle", "", [], 0, True, "", ""],
    ]

    @fuzz()
    @given(TAPES)
    def test_frames(self, raw: bytes) -> None:
        """S10: what a child writes is the result of a turn, or garbage; a result's error is one short line."""
        tape = Tape(raw)
        words = bent_bytes(b"InternalError: interrupted\n    at f (<input>:3:7)\n", tape)
        frame = tape.one_of((b"=", b"T", b"M", b"X", b"?", b"")) + words + b"\0" + bent_json(self.TOLD, tape)
        with in_time():
            try:
                found = result(bent_bytes(frame, tape), "f();\ng.h();\n", self.LIMITS)
            except GarbageError:
                return
        "".join(found.log).encode()
        if isinstance(found, Failed):
            assert len(found.error.encode()) <= 4 * ERROR_CHARACTERS
        else:
            assert isinstance(found, Printed)
            assert len(found.output.encode()) <= self.LIMITS.output_bytes

    @fuzz(0.5)
    @given(TAPES)
    def test_printed(self, raw: bytes) -> None:
        """S10: whatever a script prints is a message or the reason why it is none."""
        tape = Tape(raw)
        said = bent_json(PAYLOADS, tape).decode("utf-8", "replace")
        with in_time():
            found = printed(tape.one_of(CHANNELS), Printed(said), markup=bool(tape.below(2)))
        assert isinstance(found, Ready | Unready)


class TestFiles:
    CSV: Final = (
        b'email,name,city\na@b.example,Ada,Rome\nc@d.example,"Bo ""x""",Oslo\n',
        b"\xef\xbb\xbfemail;name\r\na@b.example;Ada\r\n",
        b'{"a@b.example":{"name":"Ada"},"c@d.example":{}}',
    )
    TOML: Final = (
        (ROOT / "herald.example.toml").read_bytes(),
        b'[storage]\nurl = "sqlite:///x.db"\nencryption_key = "0123456789abcdef0123456789abcdef"\n',
    )
    VARIABLES: Final = (
        "HERALD_SERVER__PORT",
        "HERALD_BOTS",
        "HERALD_BOTS__0__NAME",
        "HERALD_PACE__SLACK_BURST",
        "HERALD_LIMITS",
    )

    @fuzz()
    @given(TAPES)
    def test_parameters(self, raw: bytes) -> None:
        """A file of values is a mapping, or UnreadableError with a sentence."""
        tape = Tape(raw)
        content = bent_bytes(tape.one_of(self.CSV), tape)
        with in_time():
            try:
                found = read_parameters(content, tape.one_of(("resolve", "donotresolve")))
            except UnreadableError:
                return
        assert all(isinstance(name, str) for name in found)

    @pytest.mark.parametrize(
        "content", [b'{"a":' * 20_000, b'{"a":' + b"[" * 20_000, b'{"a":{"b":' + b"9" * 5000 + b"}}"]
    )
    def test_deep_parameters(self, content: bytes) -> None:
        """A file without a bottom is unreadable like any other."""
        with pytest.raises(UnreadableError):
            read_parameters(content, "resolve")

    @fuzz(0.1)
    @given(TAPES)
    def test_settings(self, tmp_path: Path, raw: bytes) -> None:
        """A settings file and variables of any content are settings, or SettingsError, and nothing else."""
        tape = Tape(raw)
        environ = {
            bent_text(tape.one_of(self.VARIABLES), tape): bent_text(tape.one_of(("1", "[]", "{}", *TEXTS)), tape)
            for _ in range(tape.below(3))
        }
        path = tmp_path / "herald.toml"
        path.write_bytes(bent_bytes(tape.one_of(self.TOML), tape))
        with in_time():
            try:
                found = load(path, environ)
            except SettingsError:
                return
        assert isinstance(found, Settings)

    @pytest.mark.parametrize(
        ("content", "environ"),
        [
            ("a = " + "[" * 20_000, {}),
            ("", {"HERALD_BOTS": "[" * 20_000}),
            ("", {f"HERALD_BOTS__{'9' * 5000}__ID": "x"}),
            ("", {"HERALD_BOTS__²__ID": "x"}),
            ('[storage]\nurl = "file:a\\u0000b"', {}),
        ],
        ids=["deep-file", "deep-variable", "long-index", "odd-index", "nul-in-path"],
    )
    def test_settings_without_a_bottom(self, tmp_path: Path, content: str, environ: dict[str, str]) -> None:
        """What no reader of TOML, JSON or paths takes is said as a problem of the settings."""
        path = tmp_path / "herald.toml"
        path.write_text(content, encoding="utf-8")

        with pytest.raises(SettingsError):
            load(path, environ)
