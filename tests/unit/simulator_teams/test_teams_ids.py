"""Identifiers of the simulated Teams."""

import re

from hypothesis import given
from hypothesis import strategies as st

from simulator.teams import ids

NUMBERS = st.integers(min_value=0, max_value=60_000)


class TestUserIds:
    @given(NUMBERS, NUMBERS)
    def test_only_its_bot_can_read_it(self, tenant: int, person: int) -> None:
        """A 29: id tells its own bot who is meant, and no other bot anything."""
        user_id = ids.user_id("app-1", tenant, person)

        assert user_id.startswith("29:1")
        assert (tenant, person) == ids.read_user_id("app-1", user_id)
        assert ids.read_user_id("app-2", user_id) is None

    @given(st.text(max_size=80))
    def test_garbage(self, text: str) -> None:
        """Any other text is nobody."""
        assert ids.read_user_id("app-1", text) is None
        assert ids.read_user_id("app-1", f"29:1{text}") is None
        assert not ids.is_chat_id("app-1", f"a:1{text}")


class TestChatIds:
    def test_generations_differ(self) -> None:
        """A chat that is made anew has a new id, of the same form."""
        first, second = (ids.chat_id("app-1", 0, 5, generation) for generation in (0, 1))

        assert first != second
        assert first.startswith("a:1")
        assert ids.is_chat_id("app-1", second)
        assert not ids.is_chat_id("app-2", second)


class TestOthers:
    def test_guid(self) -> None:
        """A GUID is lower-case, of version 4, and depends on its parts."""
        pattern = r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-8[0-9a-f]{3}-[0-9a-f]{12}"

        assert re.fullmatch(pattern, ids.guid("a", 1))
        assert ids.guid("a", 1) == ids.guid("a", 1) != ids.guid("a", 2)

    def test_installation_id(self) -> None:
        """An installation id names person and app; garbage names nothing."""
        assert ids.read_installation_id(ids.installation_id("person", "app")) == ("person", "app")
        assert [ids.read_installation_id(text) for text in ("x", "YWI=", "ü")] == [None, None, None]
