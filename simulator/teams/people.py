"""The people of each Entra tenant, with the oddities that real directories have, and indexes to find them.

Of every twenty people number 5 has a user principal name that is not the e-mail, number 7 an alias that stands only
in proxyAddresses, number 9 a private second e-mail in otherMails; persons 11 and 12 share one otherMails entry.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from simulator.people import Person
from simulator.teams.ids import guid

SHARED_LOCAL_PART = "shared.desk"


@dataclass(slots=True, eq=False)
class TeamsPerson:
    """One account of a tenant."""

    index: int
    tenant_index: int
    id: str
    """aadObjectId."""
    first: str
    last: str
    mail: str
    upn: str
    guest: bool
    enabled: bool
    has_app: bool
    proxy_addresses: tuple[str, ...]
    other_mails: tuple[str, ...]
    block: str | None = None
    """MessageWritesBlocked or ConversationBlockedByUser: how this person refuses the bot."""
    install_allowed: bool = True
    """False: an app permission policy forbids the app."""
    left: bool = False
    teams_plan: str | None = "Enabled"
    """The capability status of the account's plan of Teams; None: a licence without one."""

    @property
    def name(self) -> str:
        """The display name."""
        return f"{self.first} {self.last}"

    @property
    def names(self) -> tuple[str, ...]:
        """Everything by which a fault may name this person."""
        return (self.id, self.mail, self.upn)

    @property
    def plain(self) -> bool:
        """An active member who is meant to have the app."""
        return self.enabled and not self.guest and self.has_app and not self.left


class _Index:
    """Persons by a lower-case key, built when first asked."""

    def __init__(self, keys: Callable[[TeamsPerson], Iterable[str]]) -> None:
        self._keys = keys
        self._found: dict[str, list[TeamsPerson]] | None = None

    def find(self, people: Iterable[TeamsPerson], value: str) -> list[TeamsPerson]:
        if self._found is None:
            self._found = {}
            for person in people:
                self.add(person)
        return self._found.get(value.lower(), [])

    def add(self, person: TeamsPerson) -> None:
        if self._found is None or person.left:
            return
        for key in self._keys(person):
            self._found.setdefault(key.lower(), []).append(person)

    def remove(self, person: TeamsPerson) -> None:
        if self._found is None:
            return
        for key in self._keys(person):
            found = self._found.get(key.lower(), [])
            if person in found:
                found.remove(person)


class Tenant:
    """One Entra tenant and its people."""

    def __init__(self, index: int, tenant_id: str, domain: str, people: Iterable[Person]) -> None:
        self.index = index
        self.id = tenant_id
        self.domain = domain
        self.people = [
            _account(position, index, tenant_id, domain, person)
            for position, person in enumerate(each for each in people if each.user_type != "bot")
        ]
        self._indexes = {
            "id": _Index(lambda person: (person.id,)),
            "userPrincipalName": _Index(lambda person: (person.upn,)),
            "mail": _Index(lambda person: (person.mail,) if person.mail else ()),
            "proxyAddresses": _Index(lambda person: person.proxy_addresses),
            "otherMails": _Index(lambda person: person.other_mails),
        }

    def find(self, field: str, value: str) -> list[TeamsPerson]:
        """The people whose indexed field (one of them, for a collection) equals the value, whatever its case."""
        return self._indexes[field].find(self.people, value)

    def account(self, id_or_upn: str) -> TeamsPerson | None:
        """The person of an object id or a user principal name."""
        found = self.find("id", id_or_upn) or self.find("userPrincipalName", id_or_upn)
        return found[0] if found else None

    def anyone(self, name: str) -> TeamsPerson | None:
        """The person of an object id, user principal name or e-mail (first match)."""
        found = self.account(name)
        by_mail = self.find("mail", name) if found is None else []
        return by_mail[0] if by_mail else found

    def indexed(self, field: str) -> bool:
        """Whether `find` knows this field."""
        return field in self._indexes

    def present(self) -> Iterable[TeamsPerson]:
        """Everybody who has not left."""
        return (person for person in self.people if not person.left)

    def change(self, person: TeamsPerson, change: Callable[[TeamsPerson], None]) -> None:
        """Apply a change and keep the indexes true."""
        for index in self._indexes.values():
            index.remove(person)
        change(person)
        for index in self._indexes.values():
            index.add(person)

    def add(self, first: str, last: str, mail: str, upn: str, guest: bool) -> TeamsPerson:
        """A new account, an active one with the app allowed."""
        position = len(self.people)
        person = TeamsPerson(
            index=position,
            tenant_index=self.index,
            id=guid("person", self.id, position),
            first=first,
            last=last,
            mail=mail,
            upn=upn,
            guest=guest,
            enabled=True,
            has_app=True,
            proxy_addresses=(f"SMTP:{mail}",) if mail else (),
            other_mails=(),
        )
        self.people.append(person)
        for index in self._indexes.values():
            index.add(person)
        return person


def _account(position: int, tenant_index: int, tenant_id: str, domain: str, person: Person) -> TeamsPerson:
    guest = person.user_type == "guest"
    oddity = None if guest else position % 20
    aliases = (f"smtp:alias.{position}@{domain}",) if oddity == 7 else ()
    return TeamsPerson(
        index=position,
        tenant_index=tenant_index,
        id=guid("person", tenant_id, position),
        first=person.first,
        last=person.last,
        mail=person.email,
        upn=f"u{position:05}@{domain}" if oddity == 5 else person.upn,
        guest=guest,
        enabled=not person.disabled,
        has_app=person.has_app,
        proxy_addresses=(f"SMTP:{person.email}", *aliases),
        other_mails=_other_mails(position, domain, person, oddity),
    )


def _other_mails(position: int, domain: str, person: Person, oddity: int | None) -> tuple[str, ...]:
    if oddity is None:
        return (person.email,)
    if oddity == 9:
        return (f"{person.email.partition('@')[0]}@private.example",)
    return (f"{SHARED_LOCAL_PART}@{domain}",) if position in (11, 12) else ()


class Directory:
    """All tenants."""

    def __init__(self, tenants: Iterable[Tenant]) -> None:
        self.tenants = list(tenants)
        self._by_id = {tenant.id: tenant for tenant in self.tenants}
        self._by_domain = {tenant.domain: tenant for tenant in self.tenants}

    def tenant(self, tenant_id: str) -> Tenant | None:
        """The tenant of this id."""
        return self._by_id.get(tenant_id.lower())

    def named(self, id_or_domain: str) -> Tenant | None:
        """The tenant of this id or verified domain, as in Entra's addresses."""
        return self.tenant(id_or_domain) or self._by_domain.get(id_or_domain.lower())

    def person(self, tenant_index: int, index: int) -> TeamsPerson | None:
        """The person of these numbers, unless there is none or they left."""
        if tenant_index >= len(self.tenants) or index >= len(self.tenants[tenant_index].people):
            return None
        person = self.tenants[tenant_index].people[index]
        return None if person.left else person

    def tenant_of(self, person: TeamsPerson) -> Tenant:
        """Where a person belongs."""
        return self.tenants[person.tenant_index]


def tenant_id(index: int) -> str:
    """The fixed id of tenant number `index`."""
    return f"7e4a0000-0000-4000-8000-{index + 1:012x}"
