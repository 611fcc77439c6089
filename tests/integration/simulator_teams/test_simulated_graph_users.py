"""The simulated directory: users by id, by user principal name and by filter."""

from typing import Any
from urllib.parse import quote

import pytest

from simulator.teams.apps import DEFAULT_APP_ID

SELECT = "$select=id,mail"


def _filter(text: str, rest: str = "") -> str:
    return f"users?$filter={quote(text)}{rest}"


def _error(answer: Any) -> tuple[int, str]:
    return answer.status, answer.json["error"]["code"]


async def _allow(teams: Any, *permissions: str) -> None:
    await teams.control("teams/apps", {"app_id": DEFAULT_APP_ID, "graph_permissions": list(permissions)})
    teams.tokens.clear()


async def _found(teams: Any, text: str) -> list[int]:
    """The numbers of the people whom a filter finds."""
    answer = await teams.graph("GET", _filter(text, f"&{SELECT}&$top=999"))
    assert answer.status == 200, answer.json
    people = (await teams.control("teams/people?limit=999", method="GET"))["people"]
    numbers = {person["id"]: person["index"] for person in people}
    return [numbers[each["id"]] for each in answer.json["value"]]


class TestOne:
    async def test_by_id_and_upn(self, teams: Any) -> None:
        """A user is found by object id and by user principal name, whatever the case."""
        person = await teams.person(5)
        names = [person["id"], person["upn"], person["upn"].upper()]
        found = [(await teams.graph("GET", f"users/{name}")).json for name in names]

        assert [person["id"]] * 3 == [each["id"] for each in found]
        assert (person["email"], person["upn"]) == (found[0]["mail"], found[0]["userPrincipalName"])
        assert "accountEnabled" not in found[0]

    async def test_select(self, teams: Any) -> None:
        """$select decides what is shown."""
        person = await teams.person(97)
        select = "id,mail,userType,accountEnabled,otherMails,proxyAddresses"
        found = (await teams.graph("GET", f"users/{person['id']}?$select={select}")).json

        assert {
            "id": person["id"],
            "mail": person["email"],
            "userType": "Guest",
            "accountEnabled": True,
            "otherMails": [person["email"]],
            "proxyAddresses": [f"SMTP:{person['email']}"],
        } == {name: value for name, value in found.items() if not name.startswith("@")}

    async def test_plans(self, teams: Any) -> None:
        """Selected, the plans of an account are shown: Teams for every member unless changed, none for guests."""
        member, other, guest = [await teams.person(number) for number in (0, 1, 97)]
        await teams.control("teams/people", {"person": other["id"], "teams_plan": "Suspended"}, "PATCH")
        plans = {}
        for person in (member, other, guest):
            found = (await teams.graph("GET", f"users/{person['id']}?$select=assignedPlans")).json["assignedPlans"]
            plans[person["id"]] = [(each["service"], each["capabilityStatus"]) for each in found]

        assert plans == {
            member["id"]: [("exchange", "Enabled"), ("TeamspaceAPI", "Enabled")],
            other["id"]: [("exchange", "Enabled"), ("TeamspaceAPI", "Suspended")],
            guest["id"]: [],
        }
        assert "assignedPlans" not in (await teams.graph("GET", f"users/{member['id']}")).json

    async def test_plans_need_the_permission(self, teams: Any) -> None:
        """Who may read basic profiles only sees no plans."""
        person = await teams.person(0)
        await _allow(teams, "User.ReadBasic.All")

        assert (await teams.graph("GET", f"users/{person['id']}?$select=assignedPlans")).json["assignedPlans"] is None

    async def test_guest_and_quoted_forms(self, teams: Any) -> None:
        """A guest's #EXT# name works when escaped, in a path and in the bracket form."""
        guest = await teams.person(97)
        escaped = quote(guest["upn"], safe="@")
        plain = await teams.graph("GET", f"users/{escaped}")
        bracketed = await teams.graph("GET", f"users('{escaped}')")

        assert "#EXT#" in guest["upn"]
        assert guest["id"] == plain.json["id"] == bracketed.json["id"]

    async def test_mail_is_no_key(self, teams: Any) -> None:
        """An e-mail that is not the user principal name finds nobody; the error has Graph's shape."""
        person = await teams.person(5)
        answer = await teams.graph("GET", f"users/{person['email']}")

        assert _error(answer) == (404, "Request_ResourceNotFound")
        assert {"date", "request-id", "client-request-id"} == set(answer.json["error"]["innerError"])

    async def test_unknown_property(self, teams: Any) -> None:
        """A property that users do not have is a bad request."""
        answer = await teams.graph("GET", f"users/{(await teams.person(0))['id']}?$select=email")

        assert _error(answer) == (400, "BadRequest")


class TestFilter:
    async def test_by_mail(self, teams: Any) -> None:
        """mail eq finds one person, whatever the case."""
        email = (await teams.person(3))["email"]

        assert await _found(teams, f"mail eq '{email.upper()}'") == [3]

    async def test_by_each_address(self, teams: Any) -> None:
        """An alias stands in proxyAddresses only, a second e-mail in otherMails only."""
        alias = (await teams.person(7))["proxy_addresses"][1].removeprefix("smtp:")
        other = (await teams.person(9))["other_mails"][0]

        for address, number in ((alias, 7), (other, 9)):
            text = (
                f"mail eq '{address}' or proxyAddresses/any(p:p eq 'smtp:{address}') "
                f"or otherMails/any(o:o eq '{address}')"
            )
            assert [number] == await _found(teams, text)
            assert await _found(teams, f"mail eq '{address}'") == []

    async def test_shared_second_mail_is_ambiguous(self, teams: Any) -> None:
        """Two people share one otherMails entry."""
        assert await _found(teams, "otherMails/any(o:o eq 'shared.desk@contoso.example')") == [11, 12]

    async def test_in(self, teams: Any) -> None:
        """`in` takes several values."""
        emails = [(await teams.person(index))["email"] for index in (2, 4)]

        assert await _found(teams, f"mail in ('{emails[0]}','{emails[1]}')") == [2, 4]

    async def test_and_with_flags(self, teams: Any) -> None:
        """accountEnabled and userType can be filtered, alone and with others."""
        email = (await teams.person(98))["email"]

        assert await _found(teams, "accountEnabled eq false") == [98, 198]
        assert await _found(teams, f"mail eq '{email}' and accountEnabled eq false") == [98]
        assert await _found(teams, f"mail eq '{email}' and accountEnabled eq true") == []
        assert await _found(teams, "userType eq 'Guest'") == [97, 197]

    async def test_quotes_are_doubled(self, teams: Any) -> None:
        """An apostrophe is found when doubled, and a syntax error when not."""
        await teams.control("teams/people", {"email": "o'neil@contoso.example"})
        undoubled = await teams.graph("GET", _filter("mail eq 'o'neil@contoso.example'"))

        assert await _found(teams, "mail eq 'o''neil@contoso.example'") == [200]
        assert _error(undoubled) == (400, "BadRequest")

    async def test_plus_must_be_escaped(self, teams: Any) -> None:
        """A plus sign in a query is a blank unless it is escaped."""
        await teams.control("teams/people", {"email": "ada+news@contoso.example"})
        text = "mail eq 'ada+news@contoso.example'"
        bare = await teams.graph("GET", f"users?$filter={quote(text, safe='+')}")

        assert await _found(teams, text) == [200]
        assert bare.status == 200

    async def test_fifteen_clauses(self, teams: Any) -> None:
        """Fifteen clauses pass, sixteen are refused with Graph's own words, however they are bracketed."""
        clauses = [f"mail eq 'x{number}@contoso.example'" for number in range(16)]
        fifteen = await teams.graph("GET", _filter(" or ".join(clauses[:15])))
        refused = [
            await teams.graph("GET", _filter(text))
            for text in (
                " or ".join(clauses),
                f"({' or '.join(clauses[:8])}) or ({' or '.join(clauses[8:])})",
                "mail in (" + ",".join(f"'x{number}@contoso.example'" for number in range(16)) + ")",
            )
        ]

        assert fifteen.status == 200
        assert [_error(answer) for answer in refused] == [(400, "Request_UnsupportedQuery")] * 3
        assert refused[0].json["error"]["message"] == (
            "Too many child clauses specified in search filter expression containing 'OR' operators: 16. "
            "Max allowed: 15."
        )

    async def test_advanced_queries(self, teams: Any) -> None:
        """endsWith and ne need ConsistencyLevel: eventual and $count=true."""
        text = "endsWith(mail,'@partner.example')"
        bare = await teams.graph("GET", _filter(text))
        header = {"headers": {"ConsistencyLevel": "eventual"}}
        half = await teams.graph("GET", _filter(text), **header)
        full = await teams.graph("GET", _filter(text, "&$count=true"), **header)

        assert (400, "Request_UnsupportedQuery") == _error(bare) == _error(half)
        assert (full.status, full.json["@odata.count"], len(full.json["value"])) == (200, 2, 2)

    async def test_count_needs_the_header(self, teams: Any) -> None:
        """$count without the header is refused."""
        assert _error(await teams.graph("GET", "users?$count=true")) == (400, "Request_UnsupportedQuery")

    @pytest.mark.parametrize(
        "text",
        [
            "mail",
            "mail eq",
            "mail eq ada",
            "mail gt 'a'",
            "(mail eq 'a'",
            "mail eq 'a')",
            "proxyAddresses eq 'smtp:a'",
            "mail/any(m:m eq 'a')",
            "proxyAddresses/any(p:q eq 'a')",
            "city eq 'Rome'",
            "mail eq 'a' or",
            "mail eq '" + "x" * 121 + "'",
        ],
    )
    async def test_refuses_what_it_does_not_know(self, teams: Any, text: str) -> None:
        """A filter with an error is a bad request, never an empty result."""
        assert (await teams.graph("GET", _filter(text))).status == 400

    async def test_unknown_option(self, teams: Any) -> None:
        """An option that the directory does not know is refused."""
        assert _error(await teams.graph("GET", "users?$skip=5")) == (400, "BadRequest")


class TestPages:
    async def test_follows_next_links(self, teams: Any) -> None:
        """@odata.nextLink leads through everybody once, keeping the options."""
        url: str | None = f"users?{SELECT}&$top=90"
        seen: list[str] = []
        pages = 0
        while url:
            page = (await teams.graph("GET", url)).json
            seen += [each["id"] for each in page["value"]]
            pages += 1
            assert {"id", "mail"} == set(page["value"][0])
            url = page.get("@odata.nextLink", "").removeprefix(f"{teams.url}/v1.0/") or None

        assert (pages, len(seen), len(set(seen))) == (3, 200, 200)

    async def test_default_page(self, teams: Any) -> None:
        """A page holds one hundred users unless told otherwise."""
        assert len((await teams.graph("GET", "users")).json["value"]) == 100

    @pytest.mark.parametrize("top", ["0", "1000", "x"])
    async def test_page_size(self, teams: Any, top: str) -> None:
        """A page holds 1 to 999 users."""
        assert _error(await teams.graph("GET", f"users?$top={top}")) == (400, "Request_BadRequest")


class TestPermissions:
    async def test_none(self, teams: Any) -> None:
        """Without a permission for users nothing is shown."""
        await _allow(teams, "AppCatalog.Read.All")
        answers = [await teams.graph("GET", path) for path in ("users", f"users/{(await teams.person(0))['id']}")]

        assert [_error(answer) for answer in answers] == [(403, "Authorization_RequestDenied")] * 2

    async def test_basic_profiles(self, teams: Any) -> None:
        """User.ReadBasic.All finds by mail and user principal name, but neither by alias nor by flags."""
        await _allow(teams, "User.ReadBasic.All")
        email = (await teams.person(3))["email"]
        denied = [
            await teams.graph("GET", _filter(text))
            for text in ("proxyAddresses/any(p:p eq 'smtp:a')", "otherMails/any(p:p eq 'a')", "accountEnabled eq true")
        ]
        shown = (await teams.graph("GET", f"users/{(await teams.person(3))['id']}?$select=mail,accountEnabled")).json

        assert await _found(teams, f"mail eq '{email}'") == [3]
        assert [_error(answer) for answer in denied] == [(403, "Authorization_RequestDenied")] * 3
        assert (email, None) == (shown["mail"], shown["accountEnabled"])

    async def test_no_token(self, teams: Any) -> None:
        """Neither no token nor a bot token is accepted."""
        bot = {"Authorization": f"Bearer {await teams.token()}"}
        answers = [await teams.call("GET", f"{teams.url}/v1.0/users", headers=headers) for headers in ({}, bot)]

        assert [_error(answer) for answer in answers] == [(401, "InvalidAuthenticationToken")] * 2

    async def test_tenants_are_apart(self, teams: Any) -> None:
        """A token shows the people of its own tenant only."""
        foreign = await teams.call("GET", f"{teams.url}/_sim/teams/people?tenant=fabrikam.example&limit=1")
        answer = await teams.graph("GET", f"users/{foreign.json['people'][0]['id']}")

        assert _error(answer) == (404, "Request_ResourceNotFound")

    async def test_unknown_resource(self, teams: Any) -> None:
        """What the simulator does not have is refused as an unknown segment."""
        assert _error(await teams.graph("GET", "groups")) == (400, "BadRequest")


class TestThrottling:
    async def test_resource_units(self, limited: Any, clock: Any) -> None:
        """A tenant of 200 people grants one app 5000 units in ten seconds, and a list of users costs two."""
        parts = [{"id": str(number), "method": "GET", "url": "/users?$top=1"} for number in range(20)]
        for _ in range(125):
            batch = await limited.graph("POST", "$batch", {"requests": parts})
            assert {200} == {part["status"] for part in batch.json["responses"]}
        clock.advance(4)
        refused = await limited.graph("GET", f"users/{(await limited.person(0))['id']}")
        clock.advance(6)
        one = await limited.graph("GET", f"users/{(await limited.person(0))['id']}")
        several = await limited.graph("GET", "users")

        assert [refused.status, one.status, several.status] == [429, 200, 200]
        assert (refused.json["error"]["code"], refused.headers["Retry-After"]) == ("TooManyRequests", "6")
        assert (one.headers["x-ms-resource-unit"], several.headers["x-ms-resource-unit"]) == ("1", "2")

    async def test_fault_in_graphs_shape(self, teams: Any) -> None:
        """A fault on users is answered as Graph would."""
        await teams.control("faults", {"platform": "graph", "operation": "users", "status": 503, "times": 1})
        refused, allowed = await teams.graph("GET", "users"), await teams.graph("GET", "users")

        assert _error(refused) == (503, "ServiceUnavailable")
        assert allowed.status == 200
