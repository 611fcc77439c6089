"""The traps in botbuilder, msal, slack_bolt and slack_sdk; a defence against each; a test that fails without it.

Trap | What Herald does | Test

botbuilder: an unknown key id is an IndexError, and the refresh never runs | own key set, one refresh | test_teams_tokens.py::TestKeys::test_roll_over
botbuilder: `requests.get` without a deadline on the event loop | own key set over the shared session | test_package_traps.py::test_a_hung_key_endpoint
botbuilder: keys are refreshed by the wall clock | the monotonic clock | test_package_traps.py::test_keys_without_a_wall_clock
botbuilder: the audience is checked by hand, later | one validator, before any key is looked up | test_teams_token_matrix.py::test_matrix
botbuilder: endorsements are skipped without a key id | a key id is required | test_teams_token_matrix.py::test_matrix
botbuilder: its trust in a service URL is a no-op | the allow-list, when named and when used | test_service_url_matrix.py::TestStored::test_never_sent
botbuilder: an empty header passes while the app id is unset | no app without id and credentials | test_teams_tokens.py::TestTenants::test_no_credentials_no_start
botbuilder: tokens of emulators and skills have doors of their own | the connector's issuer alone | test_package_traps.py::test_other_doors
botbuilder: a new token, session and client each turn | one pool | integration/teams/test_connector.py::TestCalls::test_many_turns_one_token
botbuilder: the roster is asked for every added member | an ActivityHandler that only stores | test_package_traps.py::test_no_roster
botbuilder: `tenantId` becomes `tenantID` | the raw body is read | integration/teams/test_connector.py::TestBases::test_the_tenant_trap_is_still_there
msrest: a throttled GET becomes four requests | our sender, without repetition | test_package_traps.py::test_one_request_each
msrest: an HTML error loses its status | a tolerant deserializer | integration/teams/test_connector.py::TestCalls::test_html_errors_keep_their_status
msal: blocks its caller | a thread, shared by all who wait | test_package_traps.py::test_msal_blocks_nobody
msal: no deadline, follows redirects, reads proxies and `.netrc` | a session of our own | test_package_traps.py::test_the_session_of_msal
msal: takes a SHA-256 thumbprint for SHA-1 | refused at start | unit/teams/test_tokens.py::TestThreads::test_thumbprints
slack_bolt: logs body and signature of what is badly signed | those loggers at WARNING | test_package_traps.py::test_bolt_logs_no_body
slack_bolt: checks the signature after it has read the body | the door comes first | test_slack_door.py::TestTheRoute::test_unsigned_garbage_is_401
slack_bolt: no signature in socket mode | no socket mode | test_package_traps.py::test_no_socket_mode
slack_bolt: acknowledges before the listener has run | process_before_response | integration/slack/test_events.py::TestOnce::test_a_failed_effect_is_a_500_and_the_repetition_works
slack_bolt: reads SLACK_ variables | nothing is left open to them | test_slack_door.py::test_the_environment_changes_nothing
slack_bolt: asks auth.test for each event | authorization from the store | test_package_traps.py::test_bolt_asks_nobody
slack_bolt: logs the code of a failed install | an exchange of our own | integration/slack/test_install.py::TestRefusedRedirects::test_no_code_or_token_is_logged
slack_sdk: posts twice after a dropped connection | no retry handlers | test_package_traps.py::test_a_dropped_post
slack_sdk: ignores NO_PROXY | the proxy is set, not found | integration/slack/test_outbound.py::TestProxy::test_the_environment_alone_changes_nothing
slack_sdk: follows redirects, and reads answers of any size | our transport | test_outbound_matrix.py::TestKinds::test_redirects
slack_sdk: ignores its timeout where it is given a session | a total for each call | test_outbound_matrix.py::TestKinds::test_bounds
aiohttp: compares no text beyond ASCII in constant time | bytes are compared | test_slack_door.py::TestSignature::test_a_wrong_signature_is_refused_whatever_it_holds
"""  # noqa: E501 - a table

from __future__ import annotations

import ast
import asyncio
import json
import logging
import threading
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import pytest
import requests
from aiohttp import ClientSession, web
from botbuilder.core.teams import TeamsActivityHandler
from requests.adapters import HTTPAdapter
from slack_bolt.middleware.request_verification.async_request_verification import AsyncRequestVerification
from slack_bolt.request.async_request import AsyncBoltRequest
from slack_bolt.response import BoltResponse

from adapters.slack import inbound as slack_inbound
from adapters.slack.client import Failure
from adapters.teams import inbound as teams_inbound
from adapters.teams.auth import ConnectorTokens, TokenRefused
from adapters.teams.blocking import SECONDS, BoundedSession
from adapters.teams.connector import Answered, result_of
from adapters.teams.keys import MAX_AGE, REFRESH_PAUSE, KeySet
from adapters.teams.service_urls import ServiceUrls
from adapters.teams.tokens import TokenSource, threaded_grants
from storage.engine import Database
from tests.integration.slack import kit as slack_kit
from tests.integration.teams import kit
from tests.integration.teams.kit import APP_ID, BOT, ISSUER, PERSON, TENANT

TESTS: Final = Path(__file__).parents[1]
ROOT: Final = TESTS.parent
WATCH: Final = 0.3


@pytest.fixture
def database_kind() -> str:
    """No trap depends on the database."""
    return "sqlite"


@pytest.fixture(name="session")
async def _session() -> AsyncIterator[ClientSession]:
    async with kit.shared_session() as session:
        yield session


def table() -> list[list[str]]:
    """The rows above."""
    lines = [[cell.strip() for cell in line.split(" | ")] for line in (__doc__ or "").splitlines()]
    return [line for line in lines if len(line) == 3][1:]


def names_in(path: Path) -> set[str]:
    """`test` and `Class::test` of a file."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = set()
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            found |= {
                f"{node.name}::{each.name}"
                for each in node.body
                if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)
            }
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found.add(node.name)
    return found


def test_every_trap_has_its_test() -> None:
    """Each row of the table names a test that is there."""
    lost = []
    for trap, _, test in table():
        file, _, name = test.partition("::")
        path = TESTS / file if "/" in file else TESTS / "security" / file
        if name not in names_in(path):
            lost.append((trap, test))

    assert lost == []
    assert len(table()) >= 28


async def ticks(work: asyncio.Task[Any]) -> int:
    """How often the loop came round while something was under way."""
    count, end = 0, time.monotonic() + WATCH
    while time.monotonic() < end and not work.done():
        await asyncio.sleep(0.005)
        count += 1
    return count


# ---------------------------------------------------------------------- Teams


async def test_a_hung_key_endpoint(session: ClientSession) -> None:
    """P22: while the key endpoint takes a call and says nothing, the loop keeps running for everybody else."""
    asked = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await kit.read_request(reader)
        asked.set()
        await reader.read()

    async with kit.raw_server(silent) as url:
        work = asyncio.create_task(KeySet(session, f"{url}/openid", allow_http=True).get("current"))
        await asked.wait()
        counted = await ticks(work)

        assert not work.done()
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
    assert counted >= WATCH / 0.005 / 4


async def test_keys_without_a_wall_clock(session: ClientSession, monkeypatch: pytest.MonkeyPatch) -> None:
    """P22: a wall clock that is set back by a year stops no refresh: only the monotonic one is looked at."""
    clock = kit.Clock()
    async with kit.cloud() as cloud:
        keys = KeySet(session, f"{cloud.url}/openidconfiguration", allow_http=True, clock=clock)
        await keys.get("current")
        real = time.time
        monkeypatch.setattr(time, "time", lambda: real() - 365 * 86_400)
        clock.at += MAX_AGE + 1
        await keys.get("current")
        clock.at += REFRESH_PAUSE + 1
        await keys.get("unknown")

        assert cloud.count("/keys") == 3


@pytest.mark.parametrize(
    ("claims", "header"),
    [
        ({"iss": f"https://sts.windows.net/{TENANT}/", "ver": "1.0", "appid": APP_ID}, {}),
        ({"iss": f"https://login.microsoftonline.com/{TENANT}/v2.0", "ver": "2.0", "azp": APP_ID}, {}),
        ({"iss": "https://sts.windows.net/d6d49420-f39b-4df7-a1dc-d59a935871db/"}, {}),
        ({"iss": f"https://sts.windows.net/{TENANT}/", "ver": "1.0", "appid": "another", "aud": APP_ID}, {}),
        ({"iss": "https://api.botframework.us"}, {}),
    ],
    ids=["emulator-v1", "emulator-v2", "emulator-of-microsoft", "skill", "government-channel"],
)
async def test_other_doors(session: ClientSession, claims: dict[str, Any], header: dict[str, Any]) -> None:
    """S01: what botbuilder lets in by other doors is refused before any key is looked for."""
    async with kit.cloud() as cloud:
        keys = KeySet(session, f"{cloud.url}/openidconfiguration", allow_http=True)
        tokens = ConnectorTokens(
            keys, app_id=APP_ID, issuer=ISSUER, service_urls=ServiceUrls([cloud.url], allow_http=True)
        )

        with pytest.raises(TokenRefused, match="wrong_issuer"):
            await tokens.check([f"Bearer {cloud.sign(claims, header=header)}"])
        for empty in ([], [""], ["Bearer"], ["Bearer "]):
            with pytest.raises(TokenRefused):
                await tokens.check(empty)
        assert cloud.asked == []


def test_no_roster() -> None:
    """The handler of a turn is not the one that asks for the roster of each added member."""
    assert not issubclass(teams_inbound._Turn, TeamsActivityHandler)


@pytest.mark.parametrize("status", [408, 413, 429, 500, 502, 503, 504])
async def test_one_request_each(session: ClientSession, status: int) -> None:
    """Exactly one request on the wire for one call of botbuilder's client, whatever it is answered."""
    async with kit.cloud() as cloud:

        async def refuse(_request: web.Request) -> web.StreamResponse:
            return web.Response(status=status, headers={"Retry-After": "0"})

        cloud.connector = refuse
        client = await kit.bots(cloud, session).get(BOT).pool.create(cloud.service_url, ISSUER)
        with suppress(Answered):
            await result_of(client.conversations.get_conversation_member("a:1", PERSON))
        assert cloud.count("/members/") == 1


async def test_msal_blocks_nobody() -> None:
    """P20: while msal waits for Entra the loop keeps running, and all who want the token share one thread."""
    begun, end, threads = threading.Event(), threading.Event(), []

    def acquire() -> Mapping[str, Any]:
        threads.append(threading.get_ident())
        begun.set()
        end.wait(10)
        return {"access_token": "t", "expires_in": 3599}

    tokens = TokenSource(threaded_grants(acquire))
    work = asyncio.create_task(tokens.header())
    others = [asyncio.create_task(tokens.header()) for _ in range(20)]
    counted = await ticks(work)
    end.set()

    assert await asyncio.gather(work, *others) == ["Bearer t"] * 21
    assert begun.is_set()
    assert counted >= WATCH / 0.005 / 4
    assert len(threads) == 1
    assert threads != [threading.get_ident()]


class Recording(HTTPAdapter):
    """The wire of requests: remembers what would leave, and answers with a redirect."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[tuple[requests.PreparedRequest, Any, Any]] = []

    def send(self, request: requests.PreparedRequest, *_: Any, **options: Any) -> requests.Response:
        self.sent.append((request, options.get("timeout"), options.get("proxies")))
        answer = requests.Response()
        answer.status_code, answer.request, answer.url = 307, request, str(request.url)
        answer.headers["Location"] = "https://attacker.invalid/token"
        answer._content = b"{}"
        return answer


def test_the_session_of_msal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """P17, P20: a call of msal's has a deadline, follows no redirect, and takes nothing from outside."""
    (tmp_path / "netrc").write_text("machine login.invalid login somebody password secret\n", encoding="utf-8")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "https_proxy"):
        monkeypatch.setenv(name, "http://proxy.invalid:3128")
    wire, session = Recording(), BoundedSession()
    session.mount("https://", wire)

    answers = [
        session.post("https://login.invalid/token", data={"client_assertion": "x"}, timeout=None),
        session.get("https://login.invalid/openid", allow_redirects=True),
    ]

    assert [answer.status_code for answer in answers] == [307, 307]
    assert [timeout for _, timeout, _ in wire.sent] == [SECONDS, SECONDS]
    assert all(not proxies for _, _, proxies in wire.sent)
    assert all("Authorization" not in request.headers for request, _, _ in wire.sent)


# ---------------------------------------------------------------------- Slack


async def test_bolt_logs_no_body(caplog: pytest.LogCaptureFixture) -> None:
    """S12: even where Bolt's own check is reached, with every logger open, it writes down no body."""
    caplog.set_level(logging.DEBUG)
    headers: dict[str, str | Sequence[str]] = {
        "x-slack-signature": "v0=abcdef",
        "x-slack-request-timestamp": str(int(time.time())),
    }
    request = AsyncBoltRequest(body='{"text":"a secret text"}', headers=headers)

    async def forth() -> BoltResponse:
        return BoltResponse(status=200)

    check = AsyncRequestVerification("secret", base_logger=slack_inbound._bolt_logger)  # as Bolt makes it for our app
    answer = await check.async_process(req=request, resp=BoltResponse(status=200), next=forth)

    assert answer is not None
    assert answer.status == 401
    assert "a secret text" not in caplog.text
    assert "v0=abcdef" not in caplog.text


def test_no_socket_mode() -> None:
    """Slack comes by HTTP only: over a socket Bolt checks no signature."""
    rooms = ("adapters", "identity", "notify", "storage", "console")
    sources = [path for room in rooms for path in (ROOT / room).rglob("*.py")] + [ROOT / "app.py"]

    assert [path.name for path in sources if "SocketMode" in path.read_text(encoding="utf-8")] == []


async def test_bolt_asks_nobody(database: Database) -> None:
    """An event costs no call of Slack's, so none of them can fail it."""
    async with slack_kit.stub_slack() as stub, slack_kit.slack_side(database, stub.url) as side:
        await side.install()
        async with slack_kit.serving_side(side) as url:
            event = {"type": "app_home_opened", "user": "U1", "channel": "D1", "tab": "messages"}
            assert await side.deliver(url, event) == 200
            press = {"type": "block_actions", "team": {"id": slack_kit.TEAM}, "user": {"id": "U1"}, "actions": []}
            assert await side.press(url, press) == 200

        assert stub.heard == []


async def test_a_dropped_post(database: Database) -> None:
    """P10: a connection that is dropped after the message was read is one message, not two."""
    heard: list[bytes] = []

    async def drop(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await kit.read_request(reader))
        writer.transport.abort()

    async with kit.raw_server(drop) as url, slack_kit.slack_side(database, url) as side:
        found = await side.client.call("chat.postMessage", "xoxb-1", channel="D1", text="x")

    assert isinstance(found, Failure)
    assert found.written
    assert len(heard) == 1
    assert json.loads(heard[0].partition(b"\r\n\r\n")[2])["text"] == "x"
