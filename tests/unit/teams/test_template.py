"""One payload for many people."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.teams.template import activities_url, activity_for, prepare

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


class TestActivity:
    @given(st.dictionaries(st.text(), JSON), st.text(), st.text(min_size=1))
    def test_is_json_with_the_persons_parts(self, payload: dict[str, Any], conversation: str, teams_id: str) -> None:
        """Whatever the payload and the ids are, the result is the payload with from, conversation and recipient."""
        activity = json.loads(activity_for(prepare(payload), "28:bot", conversation, f"29:{teams_id}"))

        own = ("conversation", "recipient", "from", "id", "replyToId", "serviceUrl", "channelId")
        kept = {"type": "message"} | {name: value for name, value in payload.items() if name not in own}
        assert activity == kept | {
            "from": {"id": "28:bot"},
            "conversation": {"id": conversation},
            "recipient": {"id": f"29:{teams_id}"},
        }

    def test_an_object_id_is_no_recipient(self) -> None:
        """Only a Teams id names the recipient."""
        assert "recipient" not in json.loads(activity_for(prepare({}), "28:bot", "a:1", "0a00-oid"))


class TestUrl:
    @pytest.mark.parametrize("service_url", ["https://host/emea", "https://host/emea/"])
    def test_quotes_the_conversation(self, service_url: str) -> None:
        """An id cannot leave its path segment."""
        url = activities_url(service_url, "a:1/../x?y#z")

        assert url == "https://host/emea/v3/conversations/a%3A1%2F..%2Fx%3Fy%23z/activities"
