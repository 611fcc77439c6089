"""K01 … K03 against the running API: bodies, identities and texts that try to break it or to reach further."""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from notify.errors import INVALID_ARGUMENTS
from notify.identities import identity_problem
from notify.render import TEAMS_MAX_BYTES, utf16_bytes
from notify.slack_limits import MAX_TEXT
from tests.contract.face import BOT, TEXT_SAMPLE, Answer, Face, body, native, running

GOOD = json.dumps(TEXT_SAMPLE)


@pytest.fixture(name="face")
async def _face() -> AsyncIterator[Face]:
    async with running() as opened:
        yield opened


def refused(answer: Answer, face: Face) -> bool:
    return answer.refusal == (412, 412, INVALID_ARGUMENTS) and not face.requests.submissions


class TestK01Json:
    @pytest.mark.parametrize(
        ("raw", "why"),
        [
            (GOOD[:-5].encode(), "is not valid JSON"),
            (b"\xef\xbb\xbf" + GOOD.encode(), "byte order mark"),
            (GOOD.encode("utf-16"), "is not valid JSON"),
            (GOOD.encode("utf-16-le"), "is not valid JSON"),
            (GOOD.encode("utf-32"), "is not valid JSON"),
            (GOOD.replace("john", "jöhn").encode("latin-1"), "is not valid JSON"),
            (GOOD.replace("john", "\\ud83d").encode(), "a lone surrogate \\ud83d"),
            (GOOD.replace("john", "\\udc00").encode(), "a lone surrogate \\udc00"),
            (GOOD.replace("john", "\x00").encode(), "is not valid JSON"),
            (GOOD[:-1].encode() + b',"channel":"slack"}', "twice"),
            (GOOD[:-1].encode() + b',"options":{"a":1,"\\u0061":2}}', "twice"),
            (GOOD[:-1].encode() + b',"options":NaN}', "is not valid JSON"),
            (GOOD[:-1].encode() + b',"options":-Infinity}', "is not valid JSON"),
            (GOOD[:-1].encode() + b',"options":{"a":1e400}}', "is not valid JSON"),
            (GOOD[:-1].encode() + b',"options":{"a":' + b"9" * 5000 + b"}}", "is not valid JSON"),
            (GOOD[:-1].encode() + b',"options":{"a":99999999999999999999}}', "64 bits"),
            (b"[" * 10_000 + b"]" * 10_000, "depth"),
            (b'{"a":' * 900 + b"1" + b"}" * 900, "deeper than 64"),
            (b"[" * 10_000, "is not valid JSON"),
            (GOOD[:-1].encode() + b',"options":[' + b"{}," * 200_000 + b"{}]}", "more than 200000 values"),
            (GOOD.encode() + b"{}", "is not valid JSON"),
            (b"// hello\n" + GOOD.encode(), "is not valid JSON"),
        ],
    )  # fmt: skip
    async def test_refused(self, face: Face, raw: bytes, why: str) -> None:
        """K01: what two readers could understand differently is refused as a whole, in Kore's shape."""
        answer = await face.send(raw=raw)

        assert refused(answer, face)
        assert why in answer.messages[1]

    async def test_fifty_megabytes(self, face: Face) -> None:
        """K01: 50 MB are refused without being kept, whole or in chunks."""

        async def chunks() -> AsyncIterator[bytes]:
            for _ in range(50):
                yield b" " * 1_000_000

        path = f"/api/public/bot/{BOT}/notify"
        headers = {"auth": face.auth, "Content-Type": "application/json"}
        whole = await face.call("POST", path, data=io.BytesIO(b" " * 50_000_000), headers=headers)
        dribbled = await face.call("POST", path, data=chunks(), headers=headers)

        assert [whole.refusal[:2], dribbled.refusal[:2]] == [(413, 413)] * 2

    async def test_chunked(self, face: Face) -> None:
        """K01: a chunked body is a body."""

        async def chunks() -> AsyncIterator[bytes]:
            for character in GOOD.encode():
                yield bytes([character])

        path = f"/api/public/bot/{BOT}/notify"
        answer = await face.call(
            "POST", path, data=chunks(), headers={"auth": face.auth, "Content-Type": "application/json"}
        )

        assert answer.status == 200

    async def test_many_wrong_fields(self, face: Face) -> None:
        """K01: an answer never grows with what is wrong."""
        crowd = await face.send(raw=json.dumps({f"key{number}": 1 for number in range(50_000)}).encode())
        list_ = await face.send(body(identities=[1] * 1000))

        assert refused(crowd, face)
        assert refused(list_, face)
        assert len(list_.messages) == 22
        assert list_.messages[-1] == "980 more fields are wrong"

    async def test_hostile_key(self, face: Face) -> None:
        """K01: a caller's own key is named short and printable."""
        answer = await face.send(body(**{"\x1b[31m\u202e" + "k" * 500: 1}))

        assert refused(answer, face)
        assert all(message.isprintable() and len(message) < 200 for message in answer.messages)


class TestK02Identities:
    @pytest.mark.parametrize(
        ("written", "compared"),
        [
            (" A@X.example ", "a@x.example"),
            ("a@x.example\t\n", "a@x.example"),
            ("a+tag@x.example", "a+tag@x.example"),
            ("a@bücher.Example", "a@xn--bcher-kva.example"),
            ("\u0410@x.example", "\u0410@x.example"),  # Cyrillic А, not folded, no Latin a
            ("ſ@x.example", "ſ@x.example"),
        ],
    )
    async def test_normal_forms(self, face: Face, written: str, compared: str) -> None:
        """K02: an identity is compared in its normal form and kept as it was written; look-alikes stay apart."""
        answer = await face.send(body(identities=[written]))

        assert answer.status == 200
        (entry,) = face.requests.submissions[0].entries
        assert (entry.original, entry.identity) == (written, compared)

    @pytest.mark.parametrize(
        "identity",
        ["", " ", "a", "@", "a@", "@b", "a b@c.example", "a@b@c.example", "\u202ea@x.example", "a\u200d@x.example",
         "a" * 64 + "@" + "b" * 256, "a@x.example\u2028b", "a\x1b@x.example"],
    )  # fmt: skip
    async def test_nobody(self, face: Face, identity: str) -> None:
        """K02: an identity that can belong to nobody is accepted with the rest and fails alone."""
        answer = await face.send(body(identities=[identity, "a@example.com"]))

        assert answer.status == 200
        submission = face.requests.submissions[0]
        problems = [identity_problem(submission.channel, "resolve", entry.identity) for entry in submission.entries]
        assert (problems[0] is None, problems[1]) == (False, None)

    async def test_longest(self, face: Face) -> None:
        """K02: 320 characters are an address."""
        longest = "a" * 64 + "@" + "b" * 251 + ".org"

        await face.send(body(identities=[longest]))

        submission = face.requests.submissions[0]
        assert len(longest) == 320
        assert identity_problem(submission.channel, "resolve", submission.entries[0].identity) is None

    async def test_nul(self, face: Face) -> None:
        """K02: NUL, which no database keeps, is refused by its place."""
        answer = await face.send(body(identities=["a@example.com", "b\x00@example.com"]))

        assert refused(answer, face)
        assert answer.messages[1].startswith("identities[1]: holds the character NUL")

    async def test_opaque_ids(self, face: Face) -> None:
        """K02: channel ids are trimmed and otherwise left alone: their case matters."""
        await face.send(body(channel="slack", userIdentityType="donotresolve", identities=[" U1A ", "u1a"]))

        assert [entry.identity for entry in face.requests.submissions[0].entries] == ["U1A", "u1a"]


class TestK03Text:
    async def test_slack_limit(self, face: Face) -> None:
        """K03: Slack takes 40 000 characters as they are sent; one more is refused, not cut."""
        accepted = await face.send(text("slack", "x" * MAX_TEXT))
        escaped = await face.send(text("slack", "&" * (MAX_TEXT // 5)))
        over = [
            await face.send(text("slack", "x" * (MAX_TEXT + 1))),
            await face.send(text("slack", "&" * (MAX_TEXT // 5 + 1))),
        ]

        assert (accepted.status, escaped.status) == (200, 200)
        assert [answer.refusal[0] for answer in over] == [412, 412]
        assert over[0].messages[1].startswith("message.val.text: is too long for Slack: at most 40000 characters")

    @pytest.mark.parametrize(("character", "bytes_each"), [("x", 2), ("ß", 2), ("漢", 2), ("😀", 4)])
    async def test_teams_limit(self, face: Face, character: str, bytes_each: int) -> None:
        """K03: Teams takes 80 KB of the serialised activity in UTF-16, to the character."""
        empty = utf16_bytes({"type": "message", "text": "", "textFormat": "plain"})
        most = (TEAMS_MAX_BYTES - empty) // bytes_each

        fits = await face.send(text("msteams", character * most))
        over = await face.send(text("msteams", character * (most + 1)))

        assert fits.status == 200
        assert over.refusal[0] == 412
        assert over.messages[1].startswith("message.val: is too large for Teams")

    @pytest.mark.parametrize(
        "said", ["<!channel>", "<!here|x>", "<@U123>", "<#C1>", "<https://evil.test|bank>", "a & b", "&lt;!channel&gt;"]
    )
    async def test_slack_mentions(self, face: Face, said: str) -> None:
        """K03: nothing in a text can mention anybody or disguise a link on Slack; it arrives literally."""
        await face.send(text("slack", said))

        payload = native(face.requests.submissions[0])
        assert "<" not in payload["text"]
        assert payload["text"].replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&") == said
        assert (payload["mrkdwn"], payload["parse"], payload["link_names"]) == (False, "none", False)

    @pytest.mark.parametrize("said", ["<at>John</at>", "**bold** [link](https://evil.test)", "<b>x</b>"])
    async def test_teams_mentions(self, face: Face, said: str) -> None:
        """K03: on Teams a text is plain text without entities, so it mentions nobody."""
        await face.send(text("msteams", said))

        assert native(face.requests.submissions[0]) == {"type": "message", "text": said, "textFormat": "plain"}

    @pytest.mark.parametrize("said", ["", " ", "\n\t", "\u00a0"])
    async def test_empty(self, face: Face, said: str) -> None:
        """K03: a text that shows nothing is refused."""
        assert refused(await face.send(text("slack", said)), face)


def text(channel: str, said: str) -> dict[str, Any]:
    return body(channel=channel, message={"type": "text", "val": said})
