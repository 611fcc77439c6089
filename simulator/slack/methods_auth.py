"""api.test, auth.test, auth.teams.list, team.info and oauth.v2.access.

Sources: the methods' pages on docs.slack.dev. For an org-wide token auth.test gives the org's id as `team_id`.
"""

import hmac

from simulator.slack import limits
from simulator.slack.answers import SlackError
from simulator.slack.apps import App, Code, Install
from simulator.slack.call import Body, Call, Slack
from simulator.slack.directory import Workspace


def reachable(call: Call) -> Body:
    """api.test: says back what it was told, and fails with the `error` that it was told."""
    body: Body = {"ok": True, "args": dict(call.arguments.values)} if call.arguments.values else {"ok": True}
    error = call.arguments.text("error")
    return {**body, "ok": False, "error": error} if error else body


def test(call: Call) -> Body:
    """Who the token is."""
    install, directory = call.install, call.slack.directory
    base: Body = {
        "ok": True,
        "user": install.app.name.lower(),
        "user_id": install.bot_user_id,
        "bot_id": install.bot_id,
    }
    if install.team_id is None and directory.enterprise is not None:
        org = directory.enterprise
        place = {"url": "https://org.enterprise.slack.com/", "team": org.name, "team_id": org.id}
        return {**base, **place, "enterprise_id": org.id, "is_enterprise_install": True}
    workspace = call.workspace()
    place = {"url": f"https://{workspace.domain}.slack.com/", "team": workspace.name, "team_id": workspace.id}
    answer = {**base, **place, "is_enterprise_install": False}
    if workspace.enterprise is not None:
        answer["enterprise_id"] = workspace.enterprise.id
    return answer


def list_teams(call: Call) -> Body:
    """The workspaces that the token reaches."""
    limit = call.arguments.whole("limit")
    limit = 100 if limit is None else limit
    if not 1 <= limit <= limits.TEAMS_PAGE:
        raise SlackError("invalid_limit")
    cursor = call.arguments.text("cursor")
    if cursor and not cursor.isdecimal():
        raise SlackError("invalid_cursor")
    start = int(cursor or 0)
    granted = call.install.granted
    page = [call.slack.directory.workspaces[each] for each in granted[start : start + limit]]
    more = start + limit < len(granted)
    return {
        "ok": True,
        "teams": [{"id": each.id, "name": each.name} for each in page],
        "response_metadata": {"next_cursor": str(start + limit) if more else ""},
    }


def team_info(call: Call) -> Body:
    """One workspace; an org-wide token must name it."""
    named = call.arguments.text("team")
    workspace = call.granted(named) if named else call.workspace("team")
    return {"ok": True, "team": _team(workspace)}


def _team(workspace: Workspace) -> Body:
    team: Body = {
        "id": workspace.id,
        "name": workspace.name,
        "domain": workspace.domain,
        "url": f"https://{workspace.domain}.slack.com/",
        "email_domain": workspace.world.domain_of(workspace.index),
        "icon": {"image_default": True},
    }
    if workspace.enterprise is not None:
        team |= {"enterprise_id": workspace.enterprise.id, "enterprise_name": workspace.enterprise.name}
    return team


def exchange_code(call: Call) -> Body:
    """Exchange an authorization code, once, for the token of an installation."""
    app = _client(call)
    if call.arguments.text("grant_type") not in ("", "authorization_code"):
        raise SlackError("invalid_grant_type")
    code = _code(call, app)
    return _grant(call, code)


def _client(call: Call) -> App:
    client_id, secret = call.client or (call.arguments.text("client_id"), call.arguments.text("client_secret"))
    app = call.slack.registry.by_client.get(client_id)
    if app is None:
        raise SlackError("invalid_client_id")
    if not hmac.compare_digest(secret.encode(), app.client_secret.encode()):
        raise SlackError("bad_client_secret")
    return app


def _code(call: Call, app: App) -> Code:
    registry = call.slack.registry
    value = call.arguments.text("code")
    if value in registry.used_codes:
        raise SlackError("code_already_used")
    code = registry.codes.get(value)
    if code is None or code.app.id != app.id:
        raise SlackError("invalid_code")
    if code.redirect_uri != (call.arguments.text("redirect_uri") or None):
        raise SlackError("bad_redirect_uri")
    del registry.codes[value]
    registry.used_codes.add(value)
    if code.expires <= call.slack.world.clock.monotonic():
        raise SlackError("invalid_code")
    return code


def _grant(call: Call, code: Code) -> Body:
    """Install the app where the code was approved and answer as Slack does for a workspace or an org."""
    slack, directory = call.slack, call.slack.directory
    enterprise = directory.enterprise
    org_wide = code.place not in directory.workspaces
    granted = list(directory.workspaces) if org_wide else [code.place]
    if not org_wide and enterprise is not None and slack.registry.active(code.app, enterprise.id) is not None:
        raise SlackError("cannot_install_an_org_installed_app")
    install = slack.registry.install(
        code.app,
        code.scopes,
        team_id=None if org_wide else code.place,
        enterprise_id=enterprise.id if enterprise is not None else None,
        granted=granted,
        installer_id=installer(directory.workspaces[granted[0]]),
    )
    return access_answer(slack, install)


def installer(workspace: Workspace) -> str:
    """The first person of a workspace installs its apps."""
    return next(iter(workspace.users))


def access_answer(slack: Slack, install: Install) -> Body:
    """The full answer of oauth.v2.access."""
    directory = slack.directory
    enterprise = directory.enterprise
    workspace = directory.workspaces[install.team_id] if install.team_id is not None else None
    return {
        "ok": True,
        "app_id": install.app.id,
        "authed_user": {"id": install.installer_id},
        "scope": ",".join(install.scopes),
        "token_type": "bot",
        "access_token": install.token,
        "bot_user_id": install.bot_user_id,
        "team": {"id": workspace.id, "name": workspace.name} if workspace is not None else None,
        "enterprise": {"id": enterprise.id, "name": enterprise.name} if enterprise is not None else None,
        "is_enterprise_install": workspace is None,
    }
