"""The simulated $batch."""

from typing import Any

import pytest

from simulator.clock import ManualClock


def _get(number: int, url: str, **rest: object) -> dict[str, Any]:
    return {"id": str(number), "method": "GET", "url": url, **rest}


async def _batch(teams: Any, requests: object) -> Any:
    return await teams.graph("POST", "$batch", {"requests": requests})


class TestBatch:
    async def test_each_part_has_its_own_answer(self, teams: Any) -> None:
        """The batch is answered with 200; each part has its own status, headers and body."""
        person = await teams.person(0)
        answer = await _batch(
            teams,
            [
                _get(1, f"/users/{person['upn']}?$select=id"),
                _get(2, "users/nobody@contoso.example"),
                _get(3, f"/users?$filter=mail eq '{person['email']}'&$select=id"),
                _get(4, "/users?$count=true&$top=1", headers={"ConsistencyLevel": "eventual"}),
            ],
        )
        parts = {part["id"]: part for part in answer.json["responses"]}

        assert answer.status == 200
        assert [parts[number]["status"] for number in "1234"] == [200, 404, 200, 200]
        assert person["id"] == parts["1"]["body"]["id"] == parts["3"]["body"]["value"][0]["id"]
        assert parts["2"]["body"]["error"]["code"] == "Request_ResourceNotFound"
        assert parts["4"]["body"]["@odata.count"] == 200

    async def test_order_is_not_kept(self, teams: Any) -> None:
        """Twenty parts are allowed, and come back in another order."""
        person = await teams.person(0)
        answer = await _batch(teams, [_get(number, f"/users/{person['id']}") for number in range(20)])
        order = [part["id"] for part in answer.json["responses"]]

        assert {str(number) for number in range(20)} == set(order)
        assert [str(number) for number in range(20)] != order

    @pytest.mark.parametrize(
        "requests",
        [
            pytest.param(None, id="no list"),
            pytest.param([], id="empty"),
            pytest.param([_get(number, "/users") for number in range(21)], id="21 parts"),
            pytest.param([_get(1, "/users"), _get(1, "/users")], id="same id twice"),
            pytest.param([{"id": 1, "method": "GET", "url": "/users"}], id="number as id"),
            pytest.param([{"id": "1", "url": "/users"}], id="no method"),
            pytest.param([{"id": "1", "method": "GET"}], id="no url"),
            pytest.param([_get(1, "https://graph.microsoft.com/v1.0/users")], id="absolute url"),
            pytest.param([_get(1, "/users", body={})], id="body without content type"),
            pytest.param([_get(1, "/users", dependsOn=["2"])], id="unknown dependency"),
            pytest.param(["x"], id="not an object"),
        ],
    )
    async def test_wrong_form(self, teams: Any, requests: object) -> None:
        """A batch of the wrong form is refused as a whole."""
        answer = await _batch(teams, requests)

        assert (answer.status, answer.json["error"]["code"]) == (400, "BadRequest")

    async def test_dependency(self, teams: Any) -> None:
        """A part whose dependency failed is not tried."""
        answer = await _batch(teams, [_get(1, "/users/nobody"), _get(2, "/users", dependsOn=["1"])])
        statuses = {part["id"]: part["status"] for part in answer.json["responses"]}

        assert statuses == {"1": 404, "2": 424}

    async def test_parts_are_throttled_one_by_one(self, limited: Any, clock: ManualClock) -> None:
        """Of forty installedApps reads in one second thirty pass, the others are 429 inside a 200."""
        person = await limited.person(0)
        url = f"/users/{person['id']}/teamwork/installedApps"
        parts = []
        for _ in range(2):
            answer = await _batch(limited, [_get(number, url) for number in range(20)])
            parts += answer.json["responses"]
        throttled = [part for part in parts if part["status"] == 429]

        assert sum(part["status"] == 200 for part in parts) == 30
        assert [part["headers"]["Retry-After"] for part in throttled] == ["1"] * 10

    async def test_fault_on_one_part(self, teams: Any) -> None:
        """A fault can hit one part of a batch."""
        first, second = await teams.person(0), await teams.person(1)
        fault = {"platform": "graph", "operation": "user", "person": first["email"], "status": 504}
        await teams.control("faults", fault)
        answer = await _batch(teams, [_get(1, f"/users/{first['id']}"), _get(2, f"/users/{second['id']}")])
        statuses = {part["id"]: part["status"] for part in answer.json["responses"]}

        assert statuses == {"1": 504, "2": 200}
