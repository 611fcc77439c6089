"""The documented limits of the connector, in injected time."""

from typing import Any

import pytest
from aiohttp import ServerDisconnectedError

from simulator.clock import ManualClock

TEXT = {"type": "message", "text": "Hello"}


async def _sends(teams: Any, chat: dict[str, Any], count: int) -> list[int]:
    place = f"conversations/{chat['id']}/activities"
    return [(await teams.bot("POST", place, TEXT)).status for _ in range(count)]


class TestConversation:
    async def test_seven_in_a_second(self, limited: Any) -> None:
        """The eighth send to one conversation within a second is throttled, with a Retry-After in seconds."""
        chat = await limited.installed(0)
        statuses = await _sends(limited, chat, 7)
        eighth = await limited.bot("POST", f"conversations/{chat['id']}/activities", TEXT)

        assert statuses == [201] * 7
        assert (
            eighth.status,
            eighth.json["error"]["code"],
            eighth.headers["Retry-After"],
        ) == (429, "Throttled", "1")
        assert len(limited.mailbox(chat["aad_object_id"])) == 7

    async def test_eight_in_two_seconds(self, limited: Any, clock: ManualClock) -> None:
        """One second later only one more passes."""
        chat = await limited.installed(0)
        await _sends(limited, chat, 7)
        clock.advance(1)

        assert await _sends(limited, chat, 2) == [201, 429]

    async def test_sixty_in_half_a_minute(self, limited: Any, clock: ManualClock) -> None:
        """After sixty sends the window of thirty seconds is full until the first of them leaves it."""
        chat = await limited.installed(0)
        for _ in range(10):
            assert await _sends(limited, chat, 6) == [201] * 6
            clock.advance(2)
        refused = await limited.bot("POST", f"conversations/{chat['id']}/activities", TEXT)
        clock.advance(10)

        assert (refused.status, refused.headers["Retry-After"]) == (429, "10")
        assert await _sends(limited, chat, 1) == [201]

    async def test_replies_and_edits_count_as_sends(self, limited: Any) -> None:
        """Sends, replies, updates and deletions of one conversation share their windows."""
        chat = await limited.installed(0)
        place = f"conversations/{chat['id']}/activities"
        message_id = (await limited.bot("POST", place, TEXT)).json["id"]
        await limited.bot("POST", f"{place}/{message_id}", TEXT)
        for _ in range(4):
            await limited.bot("PUT", f"{place}/{message_id}", TEXT)
        deleted = await limited.bot("DELETE", f"{place}/{message_id}")

        assert deleted.status == 200
        assert await _sends(limited, chat, 1) == [429]

    async def test_creates_have_their_own(self, limited: Any) -> None:
        """Opening the same chat is limited to seven in a second, apart from sends."""
        chat = await limited.installed(0)
        body = limited.opening(chat["aad_object_id"])
        statuses = [(await limited.bot("POST", "conversations", body)).status for _ in range(8)]

        assert [*[201] * 7, 429] == statuses
        assert await _sends(limited, chat, 1) == [201]

    async def test_members_fourteen(self, limited: Any) -> None:
        """The fifteenth look at the members within a second is throttled."""
        chat = await limited.installed(0)
        place = f"conversations/{chat['id']}/members"
        statuses = [(await limited.bot("GET", place)).status for _ in range(15)]

        assert [*[200] * 14, 429] == statuses


class TestApp:
    async def test_fifty_in_a_second_over_everybody(self, limited: Any, clock: ManualClock) -> None:
        """One app gets fifty calls a second in one tenant, whoever they concern."""
        chats = [await limited.installed(index) for index in range(51)]
        statuses = [(await _sends(limited, chat, 1))[0] for chat in chats]
        read = await limited.bot("GET", f"conversations/{chats[0]['id']}/members")
        clock.advance(1)

        assert [*[201] * 50, 429] == statuses
        assert read.status == 429
        assert await _sends(limited, chats[50], 1) == [201]

    async def test_counters_know_what_was_throttled(self, limited: Any) -> None:
        """The rate oracle counts arrivals and 429s."""
        chat = await limited.installed(0)
        await _sends(limited, chat, 9)
        tally = limited.simulator.world.counters.of("connector", "send", limited.tenant)

        assert (tally.calls, tally.throttled) == (9, 2)

    async def test_can_be_switched_off(self, limited: Any) -> None:
        """Without limits nothing is throttled."""
        chat = await limited.installed(0)
        await limited.control("settings", {"limits": False})

        assert await _sends(limited, chat, 20) == [201] * 20

    async def test_reset_empties_the_windows(self, limited: Any) -> None:
        """A reset forgets what was counted; installs stay."""
        chat = await limited.installed(0)
        await _sends(limited, chat, 8)
        await limited.control("reset")

        assert await _sends(limited, chat, 1) == [201]


class TestFaults:
    @pytest.mark.parametrize(
        ("code", "status"),
        [
            ("PreconditionFailed", 412),
            ("InvalidBotApiHost", 403),
            ("NotEnoughPermissions", 403),
            ("MessageSizeTooBig", 413),
            ("ServiceError", 500),
        ],
    )
    async def test_code_has_its_status(self, teams: Any, code: str, status: int) -> None:
        """A fault that names a code is answered with the platform's status and shape."""
        chat = await teams.installed(0)
        await teams.control("faults", {"platform": "connector", "operation": "send", "code": code})
        answer = await teams.bot("POST", f"conversations/{chat['id']}/activities", TEXT)

        assert (status, code) == (answer.status, answer.json["error"]["code"])
        assert teams.mailbox(chat["aad_object_id"]) == []

    async def test_stored_but_failed(self, teams: Any) -> None:
        """A 502 after storing leaves the message in the mailbox."""
        chat = await teams.installed(0)
        fault = {"platform": "connector", "operation": "send", "status": 502, "stored": True, "times": 1}
        await teams.control("faults", fault)
        answer = await teams.bot("POST", f"conversations/{chat['id']}/activities", TEXT)

        assert (answer.status, answer.json["error"]["code"]) == (502, "ServiceError")
        assert teams.mailbox(chat["aad_object_id"]) == [TEXT]

    async def test_one_person_only(self, teams: Any) -> None:
        """A fault can concern one person, named by e-mail, in sends and creates alike."""
        unlucky, lucky = await teams.installed(0), await teams.installed(1)
        email = (await teams.person(0))["email"]
        await teams.control("faults", {"platform": "connector", "person": email, "status": 503})
        statuses = [
            (await teams.bot("POST", f"conversations/{unlucky['id']}/activities", TEXT)).status,
            (await teams.bot("POST", "conversations", teams.opening(unlucky["aad_object_id"]))).status,
            (await teams.bot("POST", f"conversations/{lucky['id']}/activities", TEXT)).status,
        ]

        assert statuses == [503, 503, 201]

    async def test_throttle_with_any_retry_after(self, teams: Any) -> None:
        """A 429 by fault carries Retry-After verbatim."""
        chat = await teams.installed(0)
        date = "Mon, 05 Jan 2026 09:00:05 GMT"
        await teams.control("faults", {"platform": "connector", "status": 429, "retry_after": date})
        answer = await teams.bot("POST", f"conversations/{chat['id']}/activities", TEXT)

        assert (429, "Throttled", date) == (
            answer.status,
            answer.json["error"]["code"],
            answer.headers["Retry-After"],
        )

    async def test_lost_answer(self, teams: Any) -> None:
        """A connection that is closed after storing leaves the message in the mailbox and the caller in doubt."""
        chat = await teams.installed(0)
        await teams.control("faults", {"platform": "connector", "operation": "send", "drop": "after", "times": 1})
        with pytest.raises(ServerDisconnectedError):
            await teams.bot("POST", f"conversations/{chat['id']}/activities", TEXT)

        assert teams.mailbox(chat["aad_object_id"]) == [TEXT]
