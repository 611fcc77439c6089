"""In which of several tenants a delivery goes on, decided from nothing but the plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.base import TenantId
from notify.plan import NOT_HERE, Between, Go, Nowhere, Plan, Sighting, Stay, as_text, at_fault, found, missing, read

A, B, C = TenantId("A"), TenantId("B"), TenantId("C")
TENANTS = (A, B, C)


class TestFound:
    def test_sure(self) -> None:
        """Where the person talked to us last they are sent to, and nobody else is asked."""
        assert Stay() == found(Plan((B, C), sure=True), Sighting(A))

    def test_home(self) -> None:
        """The same in the home tenant of the e-mail's domain."""
        assert Stay() == found(Plan((B, C), home=A), Sighting(A))

    def test_a_guest_is_not_at_home(self) -> None:
        """A guest in the tenant of the domain is looked for in the others."""
        assert Go(B, Plan(found=(Sighting(A, guest=True),), home=A)) == found(
            Plan((B,), home=A), Sighting(A, guest=True)
        )

    def test_a_talk_goes_before_home(self) -> None:
        """Whoever talked to us elsewhere is not sent to at home before everybody was asked."""
        talked = Sighting(B, talked_at=5.0)

        assert Go(C, Plan(found=(talked, Sighting(A)), home=A)) == found(Plan((C,), (talked,), home=A), Sighting(A))

    def test_others_are_asked(self) -> None:
        """Without either the next tenant is asked, and takes along who was found."""
        assert Go(B, Plan((C,), (Sighting(A),))) == found(Plan((B, C)), Sighting(A))

    def test_the_last_one(self) -> None:
        """The last tenant to be asked keeps whom nobody else has."""
        assert Stay() == found(Plan(said="person_not_found"), Sighting(A))

    def test_the_same_organisation(self) -> None:
        """Workspaces with the same accounts are not asked as well."""
        assert Stay() == found(Plan((B, C)), Sighting(A), kin={A, B, C})


class TestDecided:
    @pytest.mark.parametrize(
        ("others", "here", "chosen"),
        [
            ((Sighting(A),), Sighting(C, talked_at=1.0), C),
            ((Sighting(A, talked_at=2.0),), Sighting(C, talked_at=1.0), A),
            ((Sighting(A), Sighting(B)), Sighting(C), B),
            ((Sighting(A, guest=True),), Sighting(C), C),
            ((Sighting(A, 9.0, guest=True),), Sighting(C), C),
            ((Sighting(A, guest=True),), Sighting(C, 1.0, guest=True), C),
        ],
        ids=["talked here", "talked there later", "at home", "guest there", "guest who talked", "two guests"],
    )
    def test_one(self, others: Sequence[Sighting], here: Sighting, chosen: TenantId) -> None:
        """Of several: the one where they talked to us last, else the home tenant; a guest is not found."""
        step = found(Plan(found=tuple(others), home=B), here)

        assert chosen == (here.tenant if step == Stay() else isinstance(step, Go) and step.to)

    def test_between(self) -> None:
        """With nothing to go by nobody guesses."""
        assert Between((A, C)) == found(Plan(found=(Sighting(A),)), Sighting(C))

    def test_gone_meanwhile(self) -> None:
        """When the chosen tenant has lost the person, another one that had them is next."""
        chosen = found(Plan(found=(Sighting(A, 2.0), Sighting(B))), Sighting(C))
        assert isinstance(chosen, Go)

        assert Between((B, C)) == missing(chosen.plan, "person_not_found")
        assert Go(B, Plan(sure=True, said="person_not_found")) == missing(
            Plan(found=(Sighting(B),)), "person_not_found"
        )


class TestMissing:
    def test_nowhere(self) -> None:
        """When nobody has the person, the most useful of the answers is told."""
        assert Nowhere("guest_not_supported") == missing(Plan(said="guest_not_supported"), "person_not_found")
        assert Nowhere("app_not_installed") == missing(Plan(said="person_disabled"), "app_not_installed")

    def test_at_fault(self) -> None:
        """A tenant that cannot be asked counts as not knowing the person whom another one has."""
        asked = at_fault(Plan((B,)), A)

        assert Go(B, Plan(unasked=(A,))) == asked
        assert Stay() == found(asked.plan, Sighting(B))

    def test_only_the_one_at_fault_may_have_them(self) -> None:
        """When nobody else has the person, the tenant at fault is waited for, and then those after it."""
        assert Go(A, Plan((C,), said="person_not_found"), later=True) == missing(
            Plan(unasked=(A, C)), "person_not_found"
        )
        assert Go(A, Plan(), later=True) == at_fault(Plan(), A)


class TestStored:
    @pytest.mark.parametrize(
        "plan",
        [
            Plan(),
            Plan((A, B), home=C),
            Plan((A,), (Sighting(B, 5.5), Sighting(C, guest=True)), A, True, (B,), "person_not_found"),
        ],
        ids=["nothing", "home", "everything"],
    )
    def test_back(self, plan: Plan) -> None:
        """What is stored is what is read."""
        assert plan == read(as_text(plan))

    def test_earlier_versions(self) -> None:
        """A list of the tenants still to be asked is read as well; without any a row belongs to its tenant."""
        assert Plan((A, B)) == read('["A", "B"]')
        assert read(None) is None


ANSWERS = st.sampled_from(["member", "guest", "talked", "at_fault", *NOT_HERE])


@given(answers=st.fixed_dictionaries(dict.fromkeys(TENANTS, ANSWERS)), home=st.sampled_from([None, *TENANTS]))
def test_whoever_is_there_is_found(answers: Mapping[TenantId, str], home: TenantId | None) -> None:
    """Whatever the tenants say, the search ends; nobody is sent to where they are not, nor as guest before member."""
    here, plan, moves = A, Plan((B, C), home=home), 0
    while True:
        answer = answers[here]
        if answer in ("member", "guest", "talked"):
            step = found(plan, Sighting(here, 7.0 if answer == "talked" else 0.0, answer == "guest"))
        elif answer == "at_fault":
            step = at_fault(plan, here)
        else:
            step = missing(plan, answer)
        if not isinstance(step, Go) or step.later:
            break
        here, plan, moves = step.to, step.plan, moves + 1
        assert moves < 3 * len(TENANTS)

    there = {tenant for tenant, answer in answers.items() if answer in ("member", "talked")}
    guests = {tenant for tenant, answer in answers.items() if answer == "guest"}
    match step:
        case Stay():
            assert here in (there or guests)
        case Between(tenants):
            assert set(tenants) == (there or guests)
        case Go(to):
            assert not there | guests
            assert answers[to] == "at_fault"
        case Nowhere(reason):
            assert not there | guests
            assert reason == min(answers.values(), key=NOT_HERE.index)
