"""PURE: what an identity is compared by, and what is wrong with one that can belong to nobody."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final, assert_never

from adapters.base import ChannelName
from identity.email import MAX_LENGTH, email_problem, normal_form

INVALID: Final = "identity_invalid"
"""The reason of every identity that can belong to nobody; its remedy says what is wrong with this one."""

_GUID: Final = r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
_IDS: Final = {
    # Teams: `29:…` is per bot and person, the Entra object id is global. Slack: people's ids start with U or W.
    ChannelName.MSTEAMS: re.compile(rf"29:[A-Za-z0-9_.~:+/=-]{{1,252}}|{_GUID}"),
    ChannelName.SLACK: re.compile(r"[UW][A-Z0-9]{1,63}"),
}

_USE_RESOLVE: Final = "send it with userIdentityType resolve."
_USE_DONOTRESOLVE: Final = "send it with userIdentityType donotresolve."
_GIVE_TEAMS: Final = "give the person's Teams id (29:…) or Entra object id."
_GIVE_SLACK: Final = "give the person's user id (U… or W…)."
_LOOK_ALIKE: Final = (
    "The id holds characters beyond ASCII, which may look like the right ones: copy it from its source."
)

_SLACK_OBJECTS: Final = {
    "A": "a Slack app",
    "B": "a Slack bot",
    "C": "a Slack channel",
    "D": "a Slack conversation",
    "E": "a Slack organisation",
    "F": "a Slack file",
    "G": "a private Slack channel",
    "S": "a Slack user group",
    "T": "a Slack workspace",
}

_OBJECT_ID: Final = re.compile(_GUID)

Rules = Sequence[tuple[re.Pattern[str], str]]

_NOT_OF_TEAMS: Final[Rules] = (
    (re.compile(r"(19|a):.*"), f"This is the id of a Teams conversation, not of a person: {_GIVE_TEAMS}"),
    (re.compile(r"28:.*"), f"This is the id of a Teams bot, not of a person: {_GIVE_TEAMS}"),
    (re.compile(r"8:orgid:.*"), f"Leave 8:orgid: away: {_GIVE_TEAMS}"),
    (re.compile(r".*#ext#@.*", re.IGNORECASE), "This is the user principal name of a guest: use the home tenant."),
    (re.compile(r".+@.+\..+"), f"This is an e-mail address or user principal name: {_USE_RESOLVE}"),
    (re.compile(rf"\{{{_GUID}\}}"), "Give the Entra object id without braces."),
    (re.compile(r"[UW][A-Z0-9]{6,}"), f"This is a Slack user id, and the request is for Teams: {_GIVE_TEAMS}"),
)
_NOT_OF_SLACK: Final[Rules] = (
    (re.compile(r"<@.*>"), "This is a mention: give the user id without <@ and >."),
    (re.compile(r".+@.+\..+"), f"This is an e-mail address: {_USE_RESOLVE}"),
    (
        re.compile(rf"29:.*|28:.*|19:.*|a:.*|{_GUID}"),
        f"This is an id of Teams, and the request is for Slack: {_GIVE_SLACK}",
    ),
    (re.compile(r"#.*"), f"This is the name of a Slack channel, not of a person: {_GIVE_SLACK}"),
    (re.compile(r"@.*"), f"This is a Slack name, not an id: {_GIVE_SLACK}"),
    *(
        (re.compile(rf"{letter}[A-Z0-9]{{2,}}"), f"This is the id of {thing}, not of a person: {_GIVE_SLACK}")
        for letter, thing in _SLACK_OBJECTS.items()
    ),
    (re.compile(r"[uw][A-Za-z0-9]+|[UW][A-Z0-9]*[a-z][A-Za-z0-9]*"), "Slack ids are in capital letters: write it so."),
)
_SLACK_SHAPE: Final = re.compile(r"(?=.*[0-9])[uw][a-z0-9]{6,}")  # in normal form: small letters
_TEAMS_SHAPE: Final = re.compile(rf"29:.*|{_GUID}")
_NO_EMAIL: Final[Mapping[ChannelName, Rules]] = {
    ChannelName.MSTEAMS: (
        (_TEAMS_SHAPE, f"This looks like a Teams user id: {_USE_DONOTRESOLVE}"),
        (_SLACK_SHAPE, "This looks like a Slack user id, and the request is for Teams: give an e-mail address."),
    ),
    ChannelName.SLACK: (
        (_SLACK_SHAPE, f"This looks like a Slack user id: {_USE_DONOTRESOLVE}"),
        (_TEAMS_SHAPE, "This looks like a Teams user id, and the request is for Slack: give an e-mail address."),
    ),
}


def comparable(identity_type: str, original: str) -> str:
    """The form in which two identities are the same: an e-mail's normal form, or the trimmed id.

    Entra's object ids are GUIDs, the same in capital letters; every other id is opaque.
    """
    if identity_type == "resolve":
        return normal_form(original)
    trimmed = original.strip()
    return trimmed.lower() if re.fullmatch(_GUID, trimmed) else trimmed


def is_object_id(user_id: str) -> bool:
    """Whether Graph knows somebody by this id of Teams: `29:…` means nothing to it."""
    return _OBJECT_ID.fullmatch(user_id) is not None


def identity_problem(channel: ChannelName, identity_type: str, normal: str) -> str | None:
    """What is wrong with an identity, in normal form, that no look-up can find; None when it is worth asking."""
    if identity_type == "resolve":
        problem = email_problem(normal)
        return problem if problem is None else _named(_NO_EMAIL[channel], normal) or problem
    if _IDS[channel].fullmatch(normal):
        return None
    return _id_problem(channel, normal)


def _id_problem(channel: ChannelName, given: str) -> str:
    if not given:
        return "The identity is empty: give a user id."
    if len(given) > MAX_LENGTH:
        return "The identity is longer than any user id."
    if not given.isascii():
        return _LOOK_ALIKE
    match channel:
        case ChannelName.MSTEAMS:
            return _named(_NOT_OF_TEAMS, given) or f"This is no id of a person in Teams: {_GIVE_TEAMS}"
        case ChannelName.SLACK:
            return _named(_NOT_OF_SLACK, given) or f"This is no id of a person in Slack: {_GIVE_SLACK}"
        case _:
            assert_never(channel)


def _named(rules: Rules, given: str) -> str | None:
    """What the first rule that fits says."""
    return next((sentence for shape, sentence in rules if shape.fullmatch(given)), None)
