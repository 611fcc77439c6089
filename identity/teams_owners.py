"""PURE: whose address an e-mail is among the accounts that Graph listed; no match that Graph's fields do not prove."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from adapters.ids import MAX_NAME, words
from identity.answers import NoPerson, PersonAnswer, Unlicensed
from identity.email import looks_valid, normal_form
from identity.teams_plans import is_unlicensed
from storage.directory import Person

_REMEDIES: Final = {
    "person_not_found": "Check the address; the person must exist in this tenant.",
    "person_disabled": "The account is deactivated in Entra.",
    "person_ambiguous": "Several accounts share this address; make it unique in Entra.",
    "guest_not_supported": "Guests cannot have the app; use the person's own tenant.",
    "person_unlicensed": "Assign a licence that includes Microsoft Teams to the account.",
}


def owner_of(address: str, users: Sequence[Mapping[str, Any]]) -> PersonAnswer:
    """Whose address this is. What Entra keeps for mail and sign-in goes before `otherMails`, which is free text."""
    own = [user for user in users if address in _own_addresses(user)]
    owners = own or [user for user in users if address in _other_addresses(user)]
    usable = [user for user in owners if not _is_disabled(user) and not _is_guest(user)]
    if len(usable) == 1:
        person = _person(usable[0], address)
        return (
            Unlicensed(person, nobody("person_unlicensed")) if is_unlicensed(usable[0].get("assignedPlans")) else person
        )
    if usable:
        return nobody("person_ambiguous")
    if any(not _is_disabled(user) for user in owners):
        return nobody("guest_not_supported")
    return nobody("person_disabled" if owners else "person_not_found")


def _person(user: Mapping[str, Any], address: str) -> Person:
    own = _own_addresses(user)
    return Person(
        user_id=str(user["id"]),
        emails=tuple(dict.fromkeys((*own, address))),  # the asked one is among the user's own fields: see owner_of
        name=words(user.get("displayName"), MAX_NAME),
    )


def _own_addresses(user: Mapping[str, Any]) -> tuple[str, ...]:
    aliases = (value[5:] for value in _strings(user.get("proxyAddresses")) if value[:5].lower() == "smtp:")
    return _normal((user.get("mail"), user.get("userPrincipalName"), *aliases))


def _other_addresses(user: Mapping[str, Any]) -> tuple[str, ...]:
    return _normal(_strings(user.get("otherMails")))


def _normal(values: Iterable[object]) -> tuple[str, ...]:
    forms = (normal_form(value) for value in values if isinstance(value, str))
    return tuple(dict.fromkeys(form for form in forms if looks_valid(form)))


def _strings(value: object) -> list[str]:
    return [entry for entry in value if isinstance(entry, str)] if isinstance(value, list) else []


def _is_guest(user: Mapping[str, Any]) -> bool:
    return user.get("userType") == "Guest" or "#ext#" in str(user.get("userPrincipalName") or "").lower()


def _is_disabled(user: Mapping[str, Any]) -> bool:
    return user.get("accountEnabled") is False


def nobody(reason: str) -> NoPerson:
    """No person whom we may write to, and what to do about it."""
    return NoPerson(reason, _REMEDIES[reason])


def is_missing(answer: PersonAnswer) -> bool:
    """Whether the address is nobody's, as far as this question went."""
    return isinstance(answer, NoPerson) and answer.reason == "person_not_found"
