"""The fault table and its reading (P14, P15)."""

from __future__ import annotations

from typing import Any

import pytest

from adapters.base import FaultClass, Repair
from adapters.slack import faults

# Codes, class and reason as Slack's pages and the design give them; written out once more so that a slip in the table
# cannot agree with itself.
EXPECTED = {
    "ratelimited": ("not_sent", "throttled"),
    "rate_limited": ("not_sent", "throttled"),
    "service_unavailable": ("not_sent", "platform_unreachable"),
    "request_timeout": ("not_sent", "platform_unreachable"),
    "message_limit_exceeded": ("not_sent", "workspace_paused"),
    "team_added_to_org": ("not_sent", "workspace_paused"),
    "org_login_required": ("not_sent", "workspace_paused"),
    "accesslimited": ("not_sent", "workspace_paused"),
    "internal_error": ("uncertain", "no_clear_answer"),
    "fatal_error": ("uncertain", "no_clear_answer"),
    "duplicate_message_not_found": ("uncertain", "no_clear_answer"),
    "duplicate_channel_not_found": ("uncertain", "no_clear_answer"),
    "users_not_found": ("refused", "person_not_found"),
    "user_not_found": ("refused", "person_not_found"),
    "channel_not_found": ("refused", "person_not_found"),
    "user_disabled": ("refused", "person_disabled"),
    "user_not_visible": ("refused", "recipient_unreachable"),
    "invalid_user_combination": ("refused", "recipient_unreachable"),
    "cannot_dm_bot": ("refused", "recipient_unreachable"),
    "method_not_supported_for_channel_type": ("refused", "recipient_unreachable"),
    "is_archived": ("refused", "conversation_not_found"),
    "is_inactive": ("refused", "conversation_not_found"),
    "not_in_channel": ("refused", "conversation_not_found"),
    "cannot_reply_to_message": ("refused", "conversation_not_found"),
    "restricted_action": ("refused", "not_permitted"),
    "restricted_action_read_only_channel": ("refused", "not_permitted"),
    "restricted_action_thread_only_channel": ("refused", "not_permitted"),
    "restricted_action_non_threadable_channel": ("refused", "not_permitted"),
    "restricted_action_thread_locked": ("refused", "not_permitted"),
    "app_access_restricted": ("refused", "not_permitted"),
    "access_denied": ("refused", "not_permitted"),
    "no_permission": ("refused", "not_permitted"),
    "ekm_access_denied": ("refused", "not_permitted"),
    "no_text": ("refused", "message_invalid"),
    "invalid_blocks": ("refused", "message_invalid"),
    "invalid_blocks_format": ("refused", "message_invalid"),
    "invalid_attachments": ("refused", "message_invalid"),
    "markdown_text_conflict": ("refused", "message_invalid"),
    "invalid_metadata_format": ("refused", "message_invalid"),
    "invalid_metadata_schema": ("refused", "message_invalid"),
    "metadata_must_be_sent_from_app": ("refused", "message_invalid"),
    "invalid_arguments": ("refused", "message_invalid"),
    "invalid_arg_name": ("refused", "message_invalid"),
    "invalid_array_arg": ("refused", "message_invalid"),
    "invalid_charset": ("refused", "message_invalid"),
    "invalid_form_data": ("refused", "message_invalid"),
    "invalid_post_type": ("refused", "message_invalid"),
    "missing_post_type": ("refused", "message_invalid"),
    "slack_connect_file_link_sharing_blocked": ("refused", "message_invalid"),
    "slack_connect_canvas_sharing_blocked": ("refused", "message_invalid"),
    "slack_connect_clip_sharing_blocked": ("refused", "message_invalid"),
    "slack_connect_lists_sharing_blocked": ("refused", "message_invalid"),
    "msg_too_long": ("refused", "message_too_large"),
    "msg_blocks_too_long": ("refused", "message_too_large"),
    "too_many_attachments": ("refused", "message_too_large"),
    "attachment_payload_limit_exceeded": ("refused", "message_too_large"),
    "too_many_contact_cards": ("refused", "message_too_large"),
    "metadata_too_large": ("refused", "message_too_large"),
    "messages_tab_disabled": ("configuration", "messages_tab_disabled"),
    "missing_scope": ("configuration", "permission_missing"),
    "not_allowed_token_type": ("configuration", "app_misconfigured"),
    "method_deprecated": ("configuration", "app_misconfigured"),
    "deprecated_endpoint": ("configuration", "app_misconfigured"),
    "unknown_method": ("configuration", "app_misconfigured"),
    "is_bot": ("configuration", "app_misconfigured"),
    "enterprise_is_restricted": ("configuration", "app_misconfigured"),
    "team_not_found": ("configuration", "app_misconfigured"),
    "token_revoked": ("configuration", "installation_revoked"),
    "account_inactive": ("configuration", "installation_revoked"),
    "not_authed": ("configuration", "installation_revoked"),
    "two_factor_setup_required": ("configuration", "installation_revoked"),
    "team_access_not_granted": ("configuration", "installation_revoked"),
    "invalid_auth": ("configuration", "credentials_rejected"),
    "token_expired": ("configuration", "token_expired"),
    "bad_redirect_uri": ("configuration", "app_misconfigured"),
    "invalid_client_id": ("configuration", "app_misconfigured"),
    "bad_client_secret": ("configuration", "app_misconfigured"),
    "invalid_refresh_token": ("configuration", "app_misconfigured"),
    "pkce_not_allowed": ("configuration", "app_misconfigured"),
    "invalid_code": ("refused", "install_expired"),
    "code_already_used": ("refused", "install_expired"),
    "cannot_install_an_org_installed_app": ("refused", "not_permitted"),
    "user_email_unverified": ("refused", "not_permitted"),
}


def refusal(code: str, **more: Any) -> dict[str, Any]:
    return {"ok": False, "error": code, **more}


class TestTheTable:
    """Every code has one row, and every row tells a person what to do."""

    @pytest.mark.parametrize("code", EXPECTED)
    @pytest.mark.parametrize("status", [200, 400, 403, 404, 500, 503])
    def test_a_code_beats_the_http_status(self, code: str, status: int) -> None:
        """P14: a documented code means the same whatever status it comes with, save "not done" with a 5xx."""
        if EXPECTED[code][1] == "platform_unreachable":
            status = 200
        fault = faults.classify(status, refusal(code))

        assert EXPECTED[code] == (fault.klass, fault.reason)
        assert code == fault.code

    def test_no_code_is_in_the_table_only(self) -> None:
        """The table holds what is written out here (and our own word for a bare 429), nothing more."""
        assert set(EXPECTED) | {"http_429"} == set(faults.FAULTS)

    def test_no_code_stands_in_two_rows(self) -> None:
        """A code belongs to one row."""
        codes = [code for row in faults.ROWS for code in row.codes.split()]

        assert len(set(codes)) == len(codes)

    @pytest.mark.parametrize("row", faults.ROWS, ids=lambda row: row.codes.split()[0])
    def test_every_remedy_is_a_sentence(self, row: faults.Row) -> None:
        """A remedy is a whole sentence."""
        assert row.remedy.endswith(".")
        assert row.remedy[0].isupper()

    def test_a_fault_of_the_lane_costs_no_attempt(self) -> None:
        """Neither 429 nor misconfiguration uses a delivery's attempts up."""
        free = {row.reason for row in faults.ROWS if not row.costs_attempt}

        assert {"throttled", "platform_unreachable", "workspace_paused"} <= free
        assert all(not row.costs_attempt for row in faults.ROWS if row.klass is FaultClass.CONFIGURATION)

    @pytest.mark.parametrize("code", ["user_not_found", "channel_not_found"])
    def test_a_stale_person_is_repairable(self, code: str) -> None:
        """P28: an id that Slack no longer knows is dropped and the person looked up again."""
        assert Repair.IDENTITY is faults.classify(200, refusal(code)).repair


class TestWhatIsNotInTheTable:
    """Unknown codes, statuses without code, answers that are no answer."""

    def test_an_unknown_code_is_refused_and_kept(self) -> None:
        """P15: the raw code survives."""
        fault = faults.classify(200, refusal("brand_new_code"))

        assert (fault.klass, fault.reason, fault.code) == (FaultClass.REFUSED, "unknown_code", "brand_new_code")

    def test_an_unknown_code_with_a_server_error_is_unclear(self) -> None:
        """A 5xx proves nothing, whatever word it carries."""
        assert FaultClass.UNCERTAIN is faults.classify(503, refusal("brand_new_code")).klass

    @pytest.mark.parametrize("code", ["service_unavailable", "request_timeout"])
    def test_nothing_done_with_a_server_error(self, code: str) -> None:
        """Slack's word that nothing was done is believed with 200, not from a server that broke down."""
        assert FaultClass.NOT_SENT is faults.classify(200, refusal(code)).klass
        assert FaultClass.UNCERTAIN is faults.classify(503, refusal(code)).klass

    def test_a_new_sharing_rule_is_about_the_message(self) -> None:
        """slack_connect_…_sharing_blocked is a family."""
        assert faults.classify(200, refusal("slack_connect_poll_sharing_blocked")).reason == "message_invalid"

    @pytest.mark.parametrize("body", [{"ok": False}, {"ok": False, "error": None}, {"ok": False, "error": 7}])
    @pytest.mark.parametrize("status", [200, 204, 301, 400, 403, 404, 408, 500, 502])
    def test_an_answer_without_a_code_is_unclear(self, status: int, body: dict[str, Any]) -> None:
        """P13: what cannot be read says nothing about the message."""
        fault = faults.classify(status, body)

        assert (fault.klass, fault.reason) == (FaultClass.UNCERTAIN, "no_clear_answer")
        assert f"http_{status}" == fault.code

    @pytest.mark.parametrize("status", [200, 204, 301, 408, 500, 502])
    def test_no_json_is_unclear(self, status: int) -> None:
        """P13: a page instead of an answer says nothing about the message."""
        assert FaultClass.UNCERTAIN is faults.classify(status, None).klass

    @pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 407, 413, 451])
    def test_a_refusal_that_is_not_slacks(self, status: int) -> None:
        """P13: what a proxy or firewall refuses, Slack never saw: repeated, a bounded number of times."""
        fault = faults.classify(status, None)

        assert (fault.klass, fault.reason) == (FaultClass.NOT_SENT, "platform_unreachable")
        assert (fault.code, fault.costs_attempt) == (f"http_{status}", True)

    @pytest.mark.parametrize("body", [None, {}, refusal("brand_new_code")])
    def test_a_bare_429_is_throttling(self, body: dict[str, Any] | None) -> None:
        """P03: HTTP 429 needs no body."""
        fault = faults.classify(429, body)

        assert (fault.klass, fault.reason, fault.costs_attempt) == (FaultClass.NOT_SENT, "throttled", False)

    def test_a_long_code_is_cut(self) -> None:
        """What a platform says is bounded."""
        assert len(faults.classify(200, refusal("x" * 5000)).code) == faults.MAX_CODE


class TestDetail:
    """Slack's explanations reach the person who looks into it."""

    def test_the_missing_scope_is_named(self) -> None:
        """P14: missing_scope says which."""
        fault = faults.classify(200, refusal("missing_scope", needed="im:history", provided="chat:write"))

        assert fault.remedy == "Add the scope im:history to the app and install it again."
        assert fault.detail == "needed: im:history; granted: chat:write"

    @pytest.mark.parametrize(
        "more", [{"response_metadata": {"messages": ["[ERROR] too long", 7]}}, {"errors": ["[ERROR] too long"]}]
    )
    def test_messages_are_kept(self, more: dict[str, Any]) -> None:
        """Both places of an explanation are read."""
        assert faults.classify(200, refusal("invalid_blocks", **more)).detail == "[ERROR] too long"

    @pytest.mark.parametrize("metadata", [None, [], "x", {"messages": "x"}, {"messages": None}])
    def test_odd_explanations_do_no_harm(self, metadata: object) -> None:
        """Any JSON may stand where the explanation stands."""
        assert faults.classify(200, refusal("invalid_blocks", response_metadata=metadata)).detail == ""

    def test_a_read_leaves_nothing_in_doubt(self) -> None:
        """An unclear answer to a reading call is only unreachability."""
        fault = faults.of_a_read(faults.classify(502, None))

        assert (fault.klass, fault.reason, fault.code) == (FaultClass.NOT_SENT, "platform_unreachable", "http_502")
