"""Slack's error codes as a table: code -> class, reason, remedy, repair.

Codes: the "Errors" section of each method's page below https://docs.slack.dev/reference/methods. A code beats the HTTP
status; a code that is not here is a refusal whose raw code is kept. Adding a code is one word in one row.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from adapters.base import Fault, FaultClass, Repair
from adapters.ids import words

MAX_CODE = 100
MAX_DETAIL = 300


@dataclass(frozen=True, slots=True)
class Row:
    """Codes that mean the same to us."""

    codes: str  # separated by blanks
    klass: FaultClass
    reason: str
    remedy: str
    repair: Repair | None = None
    costs_attempt: bool = True

    def fault(self, code: str, detail: str = "") -> Fault:
        return Fault(self.klass, self.reason, self.remedy, code, detail, self.repair, self.costs_attempt)


THROTTLED = Row(
    "ratelimited rate_limited http_429",
    FaultClass.NOT_SENT,
    "throttled",
    "Slack asked to slow down: what did not leave by its deadline can be sent again.",
    costs_attempt=False,
)
UNREACHABLE = Row(
    "service_unavailable request_timeout",
    FaultClass.NOT_SENT,
    "platform_unreachable",
    "Nothing to do if it passes by itself; otherwise check the network, the proxy and https://slack-status.com.",
    costs_attempt=False,
)
NOT_SLACK = Row(
    "",
    FaultClass.NOT_SENT,
    "platform_unreachable",
    "Something between Herald and Slack refused the call: check the proxy, the firewall and the endpoints.",
)
UNCLEAR = Row(
    "internal_error fatal_error duplicate_message_not_found duplicate_channel_not_found",
    FaultClass.UNCERTAIN,
    "no_clear_answer",
    "Slack did not say whether the message was stored. Ask the person before sending it again.",
)
UNKNOWN = Row(
    "",
    FaultClass.REFUSED,
    "unknown_code",
    "Slack refused with a code that Herald does not know; look it up on the method's page of docs.slack.dev.",
)
REVOKED = Row(
    "token_revoked account_inactive not_authed two_factor_setup_required team_access_not_granted",
    FaultClass.CONFIGURATION,
    "installation_revoked",
    "Install the app in this workspace again.",
    costs_attempt=False,
)
MISSING_SCOPE = Row(
    "missing_scope",
    FaultClass.CONFIGURATION,
    "permission_missing",
    "Add the missing scope to the app and install it again.",
    costs_attempt=False,
)

ROWS: tuple[Row, ...] = (
    THROTTLED,
    UNREACHABLE,
    UNCLEAR,
    REVOKED,
    MISSING_SCOPE,
    Row(
        "message_limit_exceeded team_added_to_org org_login_required accesslimited",
        FaultClass.NOT_SENT,
        "workspace_paused",
        "The workspace takes no messages at present: ask its owner, whose plan or login is limited.",
        costs_attempt=False,
    ),
    Row(
        "users_not_found",
        FaultClass.REFUSED,
        "person_not_found",
        "Check the address: no active person of this workspace has it.",
    ),
    Row(
        "user_not_found channel_not_found",
        FaultClass.REFUSED,
        "person_not_found",
        "Check that the person is an active member of this workspace and that the app may write to them.",
        repair=Repair.IDENTITY,
    ),
    Row("user_disabled", FaultClass.REFUSED, "person_disabled", "The person's Slack account is deactivated."),
    Row(
        "user_not_visible invalid_user_combination cannot_dm_bot method_not_supported_for_channel_type",
        FaultClass.REFUSED,
        "recipient_unreachable",
        "The app cannot write to this person: a bot, or somebody of another workspace.",
    ),
    Row(
        "is_archived is_inactive not_in_channel cannot_reply_to_message",
        FaultClass.REFUSED,
        "conversation_not_found",
        "The conversation is closed to the app: the person can write to the app, which opens it again.",
    ),
    Row(
        "restricted_action restricted_action_read_only_channel restricted_action_thread_only_channel "
        "restricted_action_non_threadable_channel restricted_action_thread_locked app_access_restricted "
        "access_denied no_permission ekm_access_denied",
        FaultClass.REFUSED,
        "not_permitted",
        "A policy of the workspace forbids this message; ask its owner.",
    ),
    Row(
        "no_text invalid_blocks invalid_blocks_format invalid_attachments markdown_text_conflict "
        "invalid_metadata_format invalid_metadata_schema metadata_must_be_sent_from_app invalid_arguments "
        "invalid_arg_name invalid_array_arg invalid_charset invalid_form_data invalid_post_type missing_post_type "
        "slack_connect_file_link_sharing_blocked slack_connect_canvas_sharing_blocked "
        "slack_connect_clip_sharing_blocked slack_connect_lists_sharing_blocked",
        FaultClass.REFUSED,
        "message_invalid",
        "Correct the message; the detail says what Slack did not accept.",
    ),
    Row(
        "msg_too_long msg_blocks_too_long too_many_attachments attachment_payload_limit_exceeded "
        "too_many_contact_cards metadata_too_large",
        FaultClass.REFUSED,
        "message_too_large",
        "Shorten the message.",
    ),
    Row(
        "messages_tab_disabled",
        FaultClass.CONFIGURATION,
        "messages_tab_disabled",
        "Switch the Messages tab on: App Home > Show Tabs > Messages Tab.",
        costs_attempt=False,
    ),
    Row(
        "not_allowed_token_type method_deprecated deprecated_endpoint unknown_method is_bot enterprise_is_restricted "
        "team_not_found",
        FaultClass.CONFIGURATION,
        "app_misconfigured",
        "The Slack app or its endpoints are set up wrongly; compare them with `manifest slack` and run `check`.",
        costs_attempt=False,
    ),
    Row(
        "invalid_auth",
        FaultClass.CONFIGURATION,
        "credentials_rejected",
        "Install the app again; if the app has a list of allowed IP addresses, add this server's address.",
        costs_attempt=False,
    ),
    Row(
        "token_expired",
        FaultClass.CONFIGURATION,
        "token_expired",
        "The app's tokens expire: token rotation is on. Use an app without token rotation (`manifest slack` has it "
        "off) and install it again.",
        costs_attempt=False,
    ),
    # oauth.v2.access: met while an administrator installs the app
    Row(
        "bad_redirect_uri",
        FaultClass.CONFIGURATION,
        "app_misconfigured",
        "Add this server's redirect URL to the app: OAuth & Permissions > Redirect URLs.",
        costs_attempt=False,
    ),
    Row(
        "invalid_client_id bad_client_secret invalid_refresh_token pkce_not_allowed",
        FaultClass.CONFIGURATION,
        "app_misconfigured",
        "Correct the client id and secret in the settings: Basic Information > App Credentials.",
        costs_attempt=False,
    ),
    Row(
        "invalid_code code_already_used",
        FaultClass.REFUSED,
        "install_expired",
        "Start the installation again from its first page.",
    ),
    Row(
        "cannot_install_an_org_installed_app user_email_unverified",
        FaultClass.REFUSED,
        "not_permitted",
        "Ask an administrator of the workspace or the org to install the app.",
    ),
)

FAULTS: Mapping[str, Row] = {code: row for row in ROWS for code in row.codes.split()}

NOT_INSTALLED = REVOKED.fault("not_installed")
WRONG_KEY = Fault(
    FaultClass.CONFIGURATION,
    "credentials_rejected",
    "The stored token does not open: put the former key back as a further entry of storage.encryption_key.",
    "wrong_encryption_key",
    costs_attempt=False,
)
STORAGE_FAILED = Fault(
    FaultClass.NOT_SENT,
    "storage_unavailable",
    "Nothing was sent: Herald's own database did not answer; check it, then send again.",
    "storage_unavailable",
    costs_attempt=False,
)
ENDLESS = Row(
    "",
    FaultClass.NOT_SENT,
    "lookup_failed",
    "Nothing to do: Slack's list of people does not come to an end, and Herald looks people up one by one.",
    costs_attempt=False,
)
NO_MESSAGE_ID = UNCLEAR.fault("no_message_id", "Slack said ok without naming the message")

_SHARING_BLOCKED = re.compile(r"slack_connect_\w+_sharing_blocked")


def classify(status: int, body: Mapping[str, Any] | None) -> Fault:
    """The fault of an answer that is not a success; `body` is None when it was no JSON object."""
    code = "" if body is None else words(body.get("error"), MAX_CODE)
    row = FAULTS.get(code)
    if row is MISSING_SCOPE and body is not None:
        return _missing_scope(body)
    if row is None and _SHARING_BLOCKED.fullmatch(code):
        row = FAULTS["invalid_blocks"]
    if row is UNREACHABLE and status >= 500:
        return UNCLEAR.fault(code)  # Slack's word that nothing was done is no promise when its server broke down
    if row is not None:
        return row.fault(code, _detail(body))
    if status == 429:
        return THROTTLED.fault(code or "http_429")
    if body is None and 400 <= status < 500 and status != 408:  # Slack itself refuses in JSON
        return NOT_SLACK.fault(f"http_{status}", "the answer is not Slack's")
    if not code or status >= 500 or status == 408:
        return UNCLEAR.fault(code or f"http_{status}", "the answer could not be read" if status == 200 else "")
    return UNKNOWN.fault(code, _detail(body))


def not_written(code: str) -> Fault:
    """No byte of the call left this process."""
    return UNREACHABLE.fault(code)


def not_answered(code: str) -> Fault:
    """The call was written and nothing we can trust came back."""
    return UNCLEAR.fault(code)


def of_a_read(fault: Fault) -> Fault:
    """The fault of a call that changes nothing: an unclear answer to it leaves nothing in doubt."""
    if fault.klass is not FaultClass.UNCERTAIN:
        return fault
    return UNREACHABLE.fault(fault.code, fault.detail)


def _missing_scope(body: Mapping[str, Any]) -> Fault:
    needed, provided = words(body.get("needed"), MAX_CODE), words(body.get("provided"), MAX_DETAIL)
    fault = MISSING_SCOPE.fault("missing_scope", f"needed: {needed}; granted: {provided}")
    return replace(fault, remedy=f"Add the scope {needed} to the app and install it again.") if needed else fault


def _detail(body: Mapping[str, Any] | None) -> str:
    """Slack's own explanation: `response_metadata.messages`, else `errors`."""
    metadata = None if body is None else body.get("response_metadata")
    messages = metadata.get("messages") if isinstance(metadata, dict) else None
    if not messages and body is not None:
        messages = body.get("errors")
    if not isinstance(messages, list):
        return ""
    return words("; ".join(each for each in messages if isinstance(each, str)), MAX_DETAIL)
