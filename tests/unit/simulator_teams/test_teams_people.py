"""The directory of a simulated tenant."""

from time import perf_counter

import pytest

from simulator.people import Shares, generate
from simulator.teams.people import Directory, TeamsPerson, Tenant


@pytest.fixture(name="tenant")
def _tenant() -> Tenant:
    return Tenant(0, "t", "contoso.example", generate(7, 200, "contoso.example"))


class TestFind:
    def test_every_address_finds_its_person(self, tenant: Tenant) -> None:
        """Mail, user principal name, each alias and each second e-mail lead to their person, whatever the case."""
        for person in tenant.people:
            assert person is tenant.account(person.id.upper())
            assert person is tenant.account(person.upn.upper())
            assert person is tenant.anyone(person.mail.upper())
            for field, values in (("proxyAddresses", person.proxy_addresses), ("otherMails", person.other_mails)):
                assert all(person in tenant.find(field, value.upper()) for value in values)

    def test_oddities_are_there(self, tenant: Tenant) -> None:
        """There are e-mails unlike the user principal name, aliases, second e-mails, and an ambiguous one."""
        members = [person for person in tenant.people if not person.guest]

        assert any(person.mail != person.upn for person in members)
        assert any(len(person.proxy_addresses) == 2 for person in members)
        assert any("private" in mail for person in members for mail in person.other_mails)
        assert len(tenant.find("otherMails", "shared.desk@contoso.example")) == 2

    def test_guests_disabled_appless(self, tenant: Tenant) -> None:
        """Guests have an #EXT# name; guests, disabled and app-less people are not plain."""
        guests = [person for person in tenant.people if person.guest]
        special = [person.index for person in tenant.people if not person.plain]

        assert guests
        assert all("#EXT#" in person.upn for person in guests)
        assert special == [97, 98, 99, 197, 198, 199]

    def test_bots_of_other_platforms_are_no_accounts(self) -> None:
        """Bots of a workspace do not stand in the tenant's directory."""
        people = generate(7, 20, "contoso.example", Shares(bots=0.1))
        tenant = Tenant(0, "t", "contoso.example", people)

        assert len(tenant.people) == 18
        assert list(range(18)) == [person.index for person in tenant.people]


class TestChange:
    def test_indexes_follow(self, tenant: Tenant) -> None:
        """After a change a person is found by what is true now only."""
        person = tenant.people[0]
        old = person.mail
        assert [person] == tenant.find("mail", old)

        def rename(target: TeamsPerson) -> None:
            target.mail = "new@contoso.example"

        tenant.change(person, rename)

        assert tenant.find("mail", old) == []
        assert [person] == tenant.find("mail", "new@contoso.example")

    def test_who_left_is_gone(self, tenant: Tenant) -> None:
        """Whoever left is in no index and no list."""
        person = tenant.people[0]

        def leave(target: TeamsPerson) -> None:
            target.left = True

        tenant.change(person, leave)

        assert tenant.anyone(person.mail) is None
        assert tenant.account(person.id) is None
        assert person not in list(tenant.present())
        assert Directory([tenant]).person(0, 0) is None

    def test_new_account(self, tenant: Tenant) -> None:
        """A new account is found at once."""
        assert tenant.find("mail", "x@contoso.example") == []
        person = tenant.add("New", "Person", "x@contoso.example", "x@contoso.example", guest=False)

        assert [person] == tenant.find("mail", "x@contoso.example")
        assert person is Directory([tenant]).person(0, 200)


class TestSize:
    def test_many_people(self) -> None:
        """A tenant of 10 000 people and its indexes are made in less than two seconds."""
        people = generate(7, 10_000, "contoso.example")
        start = perf_counter()
        tenant = Tenant(0, "t", "contoso.example", people)
        for field in ("id", "userPrincipalName", "mail", "proxyAddresses", "otherMails"):
            tenant.find(field, "nobody")

        assert perf_counter() - start < 2
