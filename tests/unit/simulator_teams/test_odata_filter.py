"""The filter language of the simulated Graph."""

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.teams.errors import GraphError
from simulator.teams.odata import And, Compare, In, Node, Not, Or, check_limits, fields, holds, is_advanced, parse

ADA = {
    "mail": "Ada@contoso.example",
    "accountEnabled": True,
    "proxyAddresses": ["SMTP:Ada@contoso.example", "smtp:countess@contoso.example"],
    "jobTitle": None,
}


def _holds(text: str, thing: dict[str, Any] = ADA) -> bool:
    return holds(parse(text), lambda name: thing[name])


class TestParse:
    @pytest.mark.parametrize(
        ("text", "node"),
        [
            ("mail eq 'a'", Compare("mail", "eq", "a")),
            ("mail eq 'o''neil'", Compare("mail", "eq", "o'neil")),
            ("mail eq null", Compare("mail", "eq", None)),
            ("accountEnabled eq true", Compare("accountEnabled", "eq", True)),
            ("p/any(x:x eq 'a')", Compare("p", "eq", "a", any_of=True)),
            ("p/any(x: startsWith(x, 'a'))", Compare("p", "startswith", "a", any_of=True)),
            ("startsWith(mail,'a')", Compare("mail", "startswith", "a")),
            ("mail in ('a', 'b')", In("mail", ("a", "b"))),
            ("not mail eq 'a'", Not(Compare("mail", "eq", "a"))),
        ],
    )
    def test_forms(self, text: str, node: Node) -> None:
        """Each form of a comparison is understood."""
        assert node == parse(text)

    def test_and_binds_closer_than_or(self) -> None:
        """`and` comes before `or`; brackets change that."""
        a, b, c = (Compare(name, "eq", "1") for name in "abc")

        assert Or((a, And((b, c)))) == parse("a eq '1' or b eq '1' and c eq '1'")
        assert And((Or((a, b)), c)) == parse("(a eq '1' or b eq '1') and c eq '1'")

    @pytest.mark.parametrize("text", ["", "a", "a eq", "a eq 'b", "a eq 'b' c", "a lt 'b'", "a in ()", "a in 'b'", "!"])
    def test_refuses(self, text: str) -> None:
        """Anything else is Graph's 400."""
        with pytest.raises(GraphError) as caught:
            parse(text)

        assert (caught.value.status, caught.value.code) == (400, "BadRequest")

    @given(st.text(max_size=40))
    def test_any_value_survives_quoting(self, value: str) -> None:
        """Whatever stands between quotes, with apostrophes doubled, is the value."""
        quoted = value.replace("'", "''")

        assert Compare("mail", "eq", value) == parse(f"mail eq '{quoted}'")

    @given(st.text(max_size=60))
    def test_never_breaks(self, text: str) -> None:
        """Any text is either a filter or Graph's 400."""
        with contextlib.suppress(GraphError):
            assert fields(parse(text))


class TestHolds:
    @pytest.mark.parametrize(
        "text",
        [
            "mail eq 'ADA@CONTOSO.EXAMPLE'",
            "mail ne 'bob'",
            "mail in ('bob', 'ada@contoso.example')",
            "startswith(mail,'ADA')",
            "endswith(mail,'.EXAMPLE')",
            "proxyAddresses/any(p:p eq 'smtp:COUNTESS@contoso.example')",
            "proxyAddresses/any(p:startswith(p,'smtp:count'))",
            "accountEnabled eq true",
            "jobTitle eq null",
            "not (mail eq 'bob')",
            "mail eq 'bob' or accountEnabled eq true",
        ],
    )
    def test_true(self, text: str) -> None:
        """Text is compared without case, collections by any of their members."""
        assert _holds(text)

    @pytest.mark.parametrize(
        "text",
        [
            "mail eq 'ada'",
            "mail eq null",
            "accountEnabled eq false",
            "proxyAddresses/any(p:p eq 'countess@contoso.example')",
            "mail eq 'bob' and accountEnabled eq true",
            "startswith(jobTitle,'x')",
        ],
    )
    def test_false(self, text: str) -> None:
        """What is not equal is not found."""
        assert not _holds(text)


class TestLimits:
    def test_fifteen(self) -> None:
        """Fifteen alternatives pass and sixteen do not, the values of an `in` counted each."""
        check_limits(parse(" or ".join(["a eq '1'"] * 15)))
        check_limits(parse("a eq '0' or a in (" + ",".join(["'1'"] * 14) + ")"))
        for text in (" or ".join(["a eq '1'"] * 16), "a eq '0' or a in (" + ",".join(["'1'"] * 15) + ")"):
            with pytest.raises(GraphError, match="UnsupportedQuery"):
                check_limits(parse(text))

    def test_two_groups_of_fifteen(self) -> None:
        """The limit is one of each OR, not of the whole filter."""
        group = "(" + " or ".join(["a eq '1'"] * 15) + ")"
        check_limits(parse(f"{group} and {group}"))

    def test_advanced(self) -> None:
        """ne, not and endsWith are advanced queries; the others are not."""
        assert [
            is_advanced(parse(text))
            for text in (
                "a ne '1'",
                "b eq '1' or not a eq '1'",
                "endsWith(a,'1')",
                "startsWith(a,'1')",
                "a in ('1') and b/any(x:x eq '2')",
            )
        ] == [True, True, True, False, False]
