"""Microsoft Teams as a bot and its server see it: the Bot Connector, Entra's tokens and Microsoft Graph.

Ready to use: tenant number 1 is `7e4a0000-0000-4000-8000-000000000001` (the last digits count up), app
`a9900000-0000-4000-8000-000000000001` (SingleTenant, at home in tenant 1) and app
`a9900000-0000-4000-8000-000000000002` (MultiTenant), both with the password `simulator-teams-secret`. They have no
messaging endpoint until `POST /_sim/teams/apps` sets one, and are installed for nobody until
`POST /_sim/teams/installs` (or Graph) does it.

Control routes below `/_sim/teams/` (JSON; `app_id` and `tenant` may be left out; `person` is an object id, user
principal name, e-mail or `29:` id; what is wrong is answered with 400 and `{"error": "..."}`):

- GET, POST `apps`, DELETE `apps/{app_id}`: app_id, password, app_type, tenant, messaging_endpoint, catalog_app_id,
  manifest_id, graph_permissions, consented_tenants, name, in_catalog, requires_consent, teams_channel, disabled_in.
- GET, POST, PATCH `people`: person (for PATCH), first, last, email, upn, guest, enabled, has_app, proxy_addresses,
  other_mails, block, install_allowed, left.
- GET `conversations`: ids, service URL and state of a person's chat. POST `conversations/forget`: deletes it.
- POST `installs`: one of person, emails, count, all_with_app, team or chat (with members); action, notify, concurrency.
- POST `events`: person, kind (message, reaction, read, submit, invoke); text, message_id, reactions, removed,
  value, name.
- POST `press`: person, message_id, title of the button, inputs, copies, names_message (whether an imBack has a
  `replyToId`).
- POST `activities`: a signed activity of which every part can be made wrong; see `forged.py`.
- POST `keys/roll`: keep_old. POST `tokens/revoke`: refuses every access token issued so far.
- POST `settle`: answers when everything in the background was posted.

Settings at `/_sim/settings`: `teams_token_lifetime` (seconds), `teams_message_bytes` (UTF-16), `teams_split_messages`.
Operations for faults: connector create, send, reply, update, delete, member, members, paged_members; entra token,
metadata, keys, entra_keys; graph users, user, installed_apps, catalog, batch.
"""

from simulator.teams.platform import TeamsPlatform

__all__ = ["TeamsPlatform"]
