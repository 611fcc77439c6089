"""Slack's limits as values, each with its source.

Sources: https://docs.slack.dev/apis/web-api/rate-limits (tiers; counted per method, workspace and app), the methods'
own pages, and Slack's machine-readable table (slackapi/java-slack-sdk, metadata/web-api/rate_limit_tiers.json).
Slack publishes no burst sizes, only that "sporadic bursts" are welcome: the bursts are ours.
"""

from __future__ import annotations

# calls a minute
TIER_2 = 20  # users.list, auth.teams.list
TIER_3 = 50  # users.lookupByEmail, conversations.open, conversations.history
AUTH_TEST = 600  # documented as "hundreds"; what Slack's Java SDK plans with

# chat.postMessage: "1 per second per channel" and "several hundred per minute" a workspace, the latter undisclosed.
# 1600 direct messages in seven minutes were reported from the field (slackapi/bolt-js#1882): 3.8 a second.
POSTS_PER_SECOND = 4.0
POST_BURST = 30.0
CHANNEL_WINDOWS = ((3.0, 3),)  # one a second in a conversation; "short bursts" beyond that are tolerated
IN_FLIGHT = 8  # 25 a second at 300 ms

LOOKUP_BURST = 20.0
LIST_BURST = 10.0  # a workspace of 10 000 people in one go
OTHER_BURST = 10.0

USERS_PAGE = 1000  # the most that users.list gives; 200 is what Slack recommends
USERS_PAGE_SAFE = 200  # what limit_required asks for
TEAMS_PAGE = 1000
HISTORY_PAGE = 15  # apps sold outside the Marketplace get no more (changelog 2025-05-29)

CALL_SECONDS = 15.0  # total, from the first byte of the name look-up to the last byte of the answer
CONNECT_SECONDS = 5.0
ANSWER_BYTES = 1024 * 1024
LIST_ANSWER_BYTES = 16 * 1024 * 1024  # a page of 1000 people weighs 2 to 3 MB

ANSWER_SECONDS = 2.5  # docs.slack.dev/apis/events-api: Slack waits three seconds, and then sends the event again
SIGNATURE_AGE = 300  # docs.slack.dev/authentication/verifying-requests-from-slack: five minutes

STATE_SECONDS = 600  # an OAuth state lives as long as Slack's authorization code
