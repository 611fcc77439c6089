"""The table of methods: what each needs, how often it may be called, and whether it takes JSON.

Which methods take their arguments as JSON: the list under "posting JSON" on docs.slack.dev/apis/web-api; the others
ignore a JSON body.
"""

from simulator.slack import methods_auth as auth
from simulator.slack import methods_chat as chat
from simulator.slack import methods_conversations as conversations
from simulator.slack import methods_users as users
from simulator.slack.call import Method
from simulator.slack.limits import AUTH_TEST, TIER_2, TIER_3, TIER_4

POST_MESSAGE = "chat.postMessage"
HISTORY = "conversations.history"

METHODS = (
    Method("api.test", auth.reachable, rate=TIER_4, takes_json=True, needs_token=False),
    Method("auth.test", auth.test, rate=AUTH_TEST, takes_json=True),
    Method("auth.teams.list", auth.list_teams, rate=TIER_2),
    Method("oauth.v2.access", auth.exchange_code, rate=TIER_4, needs_token=False),
    Method("team.info", auth.team_info, scopes=("team:read",), rate=TIER_3),
    Method("users.list", users.list_users, scopes=("users:read",), rate=TIER_2),
    Method("users.info", users.info, scopes=("users:read",), rate=TIER_4),
    Method("users.lookupByEmail", users.lookup_by_email, scopes=("users:read.email",), rate=TIER_3),
    Method("conversations.open", conversations.open_conversation, scopes=("im:write",), rate=TIER_3, takes_json=True),
    Method(HISTORY, conversations.history, scopes=("im:history",), rate=TIER_3),
    Method(POST_MESSAGE, chat.post_message, scopes=("chat:write",), takes_json=True),
    Method("chat.update", chat.update, scopes=("chat:write",), rate=TIER_3, takes_json=True),
    Method("chat.delete", chat.delete, scopes=("chat:write",), rate=TIER_3, takes_json=True),
)
