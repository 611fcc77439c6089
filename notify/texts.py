"""Every sentence that a human reads: comments and remedies of status entries, and the sentences of refused calls.

The first two comments are Kore's, to the letter; old clients compare them. A reason is a stable slug shared by both
channels; adding one is one line in `REASONS`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

SENT: Final = "Notification has been sent successfully"
NOT_ASSOCIATED: Final = "'Identity is not associated with the channel'"  # the inner quotes are Kore's
UNCONFIRMED: Final = "The message may have arrived: the channel gave no clear answer and cannot be asked"
SKIPPED: Final = "Notification was not sent before its deadline"
CANCELLED: Final = "Notification was cancelled before it was sent"
FAILED: Final = "Notification could not be sent"


class Who(StrEnum):
    """Who can act on a reason; the values are shown to callers."""

    SENDER = "sender"  # whoever made the call
    USER = "user"  # the person addressed
    ADMIN = "admin"  # of the tenant or workspace
    OPERATOR = "operator"  # of Herald and its apps
    NOBODY = "nobody"  # it passes by itself


@dataclass(frozen=True, slots=True)
class Reason:
    """What a status entry says about a reason: the comment, who can act, and what they should do."""

    comment: str
    who: Who
    remedy: str


REASONS: Final[Mapping[str, Reason]] = {
    # the person
    "person_not_found": Reason(
        NOT_ASSOCIATED, Who.SENDER, "Check the address: nobody in the connected tenants or workspaces has it."
    ),
    "person_disabled": Reason(
        NOT_ASSOCIATED, Who.SENDER, "The account is deactivated: use the person's current account."
    ),
    "app_not_installed": Reason(
        NOT_ASSOCIATED,
        Who.ADMIN,
        "Install the app for this person, best by an app setup policy of the Teams administrator.",
    ),
    "person_ambiguous": Reason(
        "More than one person has this address",
        Who.ADMIN,
        "Make the address unique in the directory of the tenant.",
    ),
    "person_unlicensed": Reason(
        "The person has no licence for this channel", Who.ADMIN, "Assign a licence that includes Teams to the account."
    ),
    "guest_not_supported": Reason(
        "Guests cannot receive notifications in this channel",
        Who.SENDER,
        "Use the address of the person's home tenant.",
    ),
    "identity_invalid": Reason(
        "The identity is no e-mail address or user id",
        Who.SENDER,
        "Give one e-mail address with resolve; with donotresolve a Teams id (29:… or the Entra object id) or a Slack "
        "user id (U… or W…).",
    ),
    "recipient_unreachable": Reason(
        "The app cannot write to this person",
        Who.SENDER,
        "Check that the person belongs to the workspace and is not a bot.",
    ),
    "blocked_by_recipient": Reason(
        "The person has blocked the app", Who.USER, "The person can unblock the app, or write to it."
    ),
    "install_not_allowed": Reason(
        "The app may not be installed for this person",
        Who.ADMIN,
        "Allow the app in the permission policy of this person.",
    ),
    "not_in_conversation": Reason("The person has left the conversation", Who.SENDER, "Send a new notification."),
    "conversation_not_found": Reason(
        "The conversation with the person no longer exists",
        Who.USER,
        "The person can write to the app, which opens the conversation again.",
    ),
    # the message
    "message_invalid": Reason(
        "The channel does not accept this message",
        Who.SENDER,
        "Correct the payload; details.code holds the channel's answer.",
    ),
    "message_too_large": Reason(
        "The message is too large for the channel", Who.SENDER, "Shorten the message or the card."
    ),
    "script_failed": Reason("The script failed for this recipient", Who.SENDER, "Correct the script."),
    # permission and policy
    "not_permitted": Reason(
        "The channel does not permit this notification",
        Who.ADMIN,
        "Ask the administrator of the tenant or workspace which policy forbids it.",
    ),
    "bot_disabled": Reason(
        "The app is disabled in this tenant", Who.ADMIN, "Let the Teams administrator allow the app."
    ),
    "messages_tab_disabled": Reason(
        "The app cannot receive direct messages",
        Who.OPERATOR,
        "Enable the Messages tab in the App Home settings of the Slack app.",
    ),
    "permission_missing": Reason(
        "The app lacks a permission",
        Who.ADMIN,
        "Grant the app the permission that it lacks, and install it again.",
    ),
    "app_not_in_catalog": Reason(
        "The app is not in the tenant's catalog",
        Who.ADMIN,
        "Upload the app package to the tenant's catalog, and set its id there as catalog_app_id.",
    ),
    "app_misconfigured": Reason(
        "The app is not set up correctly",
        Who.OPERATOR,
        "Compare the app's settings with the manifest that Herald prints.",
    ),
    "installation_missing": Reason(
        "The app is not installed in any tenant or workspace", Who.ADMIN, "Install the app, then send again."
    ),
    "install_expired": Reason(
        "The installation was not finished in time", Who.ADMIN, "Start it again from its first page."
    ),
    "installation_revoked": Reason("The app was removed from the workspace", Who.ADMIN, "Install the app again."),
    "credentials_rejected": Reason(
        "The channel rejects the app's credentials",
        Who.OPERATOR,
        "Check app id, secret, tenant and app type of the bot.",
    ),
    "token_unavailable": Reason(
        "No access token could be obtained",
        Who.OPERATOR,
        "Check the app's credentials and that the login service is reachable.",
    ),
    "token_expired": Reason(
        "The app's access token has expired",
        Who.OPERATOR,
        "Switch token rotation off for the app and install it again.",
    ),
    "workspace_paused": Reason(
        "The workspace does not accept messages now",
        Who.ADMIN,
        "Ask the owner of the workspace: its plan or login is limited.",
    ),
    # the platform
    "throttled": Reason("The channel asked to slow down", Who.NOBODY, "Send again later."),
    "platform_unreachable": Reason(
        "The channel could not be reached", Who.OPERATOR, "Check the network and the channel's status."
    ),
    "conversation_busy": Reason("The conversation was busy", Who.NOBODY, "Send again later."),
    "wrong_service_url": Reason(
        "The channel moved to another address", Who.OPERATOR, "Check the cloud preset of the bot."
    ),
    "no_clear_answer": Reason(
        UNCONFIRMED, Who.SENDER, "Ask the person before you send again: a repeat may be a second copy."
    ),
    "unknown_code": Reason(
        "The channel refused the notification",
        Who.OPERATOR,
        "details.code holds the channel's answer: look it up in the channel's documentation.",
    ),
    # ours
    "lookup_failed": Reason(
        "The look-up of the person failed", Who.SENDER, "Check the address; if it is right, send again later."
    ),
    "storage_unavailable": Reason(
        "Herald's own database did not answer", Who.OPERATOR, "Check Herald's database, then send again."
    ),
    "scripts_unavailable": Reason(
        "Scripts cannot be run now",
        Who.OPERATOR,
        "Look into Herald's log: the processes that run scripts do not start.",
    ),
    "gave_up": Reason(
        "The notification failed too often", Who.SENDER, "details.code holds the last answer: send again later."
    ),
    "deadline": Reason(SKIPPED, Who.SENDER, "Send again; a longer deadline is a setting of the operator."),
    "cancelled": Reason(CANCELLED, Who.NOBODY, "Nothing to do."),
}

_BY_OUTCOME: Final = {"unconfirmed": UNCONFIRMED, "skipped": SKIPPED, "cancelled": CANCELLED}


def comment(outcome: str, reason: str | None) -> str:
    """The comment of a status entry; an open outcome speaks before its reason."""
    if outcome == "sent":
        return SENT
    if outcome in _BY_OUTCOME:
        return _BY_OUTCOME[outcome]
    known = REASONS.get(reason or "")
    return known.comment if known else FAILED


_STANDINGS: Final = {
    "reachable": "Notification can be sent",
    "will_be_installed": "The app will be installed for the person, then notification can be sent",
    "reachable_if_installed": "Notification can be sent if the app is installed for the person",
    "not_looked_up": "The person has not been looked up yet",
}
UNSEEN: Final = "The user id is used as given: whether somebody has it, and can be reached, shows when it is sent to"
INSTALL: Final = (
    "Install the app for this person, best by an app setup policy of the Teams administrator, or let Herald install it."
)


def standing(value: str, reason: str | None, *, unseen: bool = False) -> str:
    """The comment of an identity before anything is sent; `unseen`: of a user id that nobody has checked."""
    return UNSEEN if unseen else _STANDINGS.get(value) or comment("refused", reason)


def remedy(reason: str | None) -> str | None:
    """What to do about a reason, unless the platform's table says it better."""
    known = REASONS.get(reason or "")
    return known.remedy if known else None


def who(reason: str | None) -> str | None:
    """Who can act on a reason."""
    known = REASONS.get(reason or "")
    return known.who.value if known else None
