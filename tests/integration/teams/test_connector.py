"""Contract with botbuilder, botframework and msrest 4.17.1 / 0.7.1: fails loudly if what we build on moves."""

from __future__ import annotations

import asyncio
import inspect
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import ClientSession, ClientTimeout, web
from botbuilder.core import ActivityHandler, InvokeResponse
from botbuilder.core.cloud_adapter_base import CloudAdapterBase
from botbuilder.integration.aiohttp import CloudAdapter, ConfigurationBotFrameworkAuthentication
from botbuilder.schema import Activity, ConversationParameters
from botframework.connector.aio import ConnectorClient
from botframework.connector.auth import (
    AuthenticateRequestResult,
    ClaimsIdentity,
    ConnectorFactory,
    ServiceClientCredentialsFactory,
)
from botframework.connector.models import ErrorResponseException
from msrest.exceptions import ClientRequestError, DeserializationError
from msrest.pipeline import AsyncHTTPPolicy, AsyncHTTPSender, AsyncPipeline
from msrest.pipeline.universal import RawDeserializer
from msrest.universal_http.async_abc import AsyncClientResponse

from adapters.http import CallFailed, NeverWritten, NoAnswer
from adapters.teams import connector
from adapters.teams.connector import (
    POOL_SIZE,
    Answered,
    AppOnly,
    BotAuth,
    CachingCredentials,
    ConnectorPipeline,
    ConnectorPool,
    ConnectorResponse,
    NoSecret,
    ServiceUrlRefused,
    SessionSender,
    TolerantDeserializer,
    result_of,
)
from adapters.teams.tokens import TokenUnavailable
from tests.integration.teams import kit
from tests.integration.teams.kit import APP_ID, BOT, CONVERSATION, ISSUER, PERSON, Cloud


@pytest.fixture(name="pool")
async def _pool(cloud: Cloud, session: ClientSession) -> ConnectorPool:
    return kit.bots(cloud, session).get(BOT).pool


def answering(status: int, body: bytes, content_type: str = "application/json") -> kit.Handler:
    async def answer(_request: web.Request) -> web.StreamResponse:
        return web.Response(status=status, body=body, content_type=content_type)

    return answer


class TestBases:
    @pytest.mark.parametrize(
        ("ours", "base", "names"),
        [
            (CachingCredentials, ServiceClientCredentialsFactory, ("create_credentials", "is_valid_app_id")),
            (AppOnly, ServiceClientCredentialsFactory, ("create_credentials", "is_authentication_disabled")),
            (ConnectorPool, ConnectorFactory, ("create",)),
            (ConnectorPipeline, AsyncPipeline, ("run",)),
            (connector.BearerPolicy, AsyncHTTPPolicy, ("send",)),
            (SessionSender, AsyncHTTPSender, ("send", "build_context", "__aexit__")),
            (ConnectorResponse, AsyncClientResponse, ("body",)),
            (TolerantDeserializer, RawDeserializer, ("on_response",)),
            (BotAuth, ConfigurationBotFrameworkAuthentication, ("create_connector_factory", "authenticate_request")),
        ],
    )
    def test_extends_the_documented_class(self, ours: type, base: type, names: tuple[str, ...]) -> None:
        """Each class of ours extends the one it was written for, and what it overrides is still there."""
        assert issubclass(ours, base)
        for name in names:
            assert callable(getattr(base, name))

    def test_signatures(self) -> None:
        """The calls we make and are called by have the parameters they had."""

        def parameters(function: Any) -> set[str]:
            return set(inspect.signature(function).parameters)

        assert {"credentials", "base_url", "pipeline_type", "sender"} <= parameters(ConnectorClient.__init__)
        assert {"app_id", "oauth_scope", "login_endpoint", "validate_authority"} <= parameters(
            ServiceClientCredentialsFactory.create_credentials
        )
        assert {"service_url", "audience"} <= parameters(ConnectorFactory.create)
        assert "auth_header_or_authenticate_request_result" in parameters(CloudAdapterBase.process_activity)
        assert {"status", "body"} <= parameters(InvokeResponse.__init__)
        assert {"on_turn", "on_invoke_activity"} <= set(dir(ActivityHandler))

    def test_adapter_takes_a_verdict(self) -> None:
        """process_activity still takes an AuthenticateRequestResult in the place of a header."""
        result = AuthenticateRequestResult()

        assert {"claims_identity", "audience", "caller_id", "connector_factory"} <= set(vars(result))
        assert issubclass(CloudAdapter, CloudAdapterBase)

    def test_the_tenant_trap_is_still_there(self) -> None:
        """The schema still spells tenantID, which is why the raw body is read and channelData is sent."""
        assert ConversationParameters._attribute_map["tenant_id"]["key"] == "tenantID"
        activity = Activity().deserialize({"conversation": {"id": "a:1", "tenantId": "t"}})

        assert activity.conversation.tenant_id is None


class TestCredentials:
    async def test_one_object_for_the_same_arguments(self) -> None:
        """Stock makes new credentials, and so a new token, each turn."""
        factory = CachingCredentials(AppOnly(APP_ID))
        first = await factory.create_credentials(APP_ID, ISSUER, "https://login", True)

        assert await factory.create_credentials(APP_ID, ISSUER, "https://login", True) is first
        assert await factory.create_credentials(APP_ID, "other", "https://login", True) is not first
        assert await factory.is_valid_app_id(APP_ID)
        assert not await factory.is_valid_app_id("other")
        assert not await factory.is_authentication_disabled()

    def test_never_sign_by_themselves(self) -> None:
        """A silent way back to the stock transport ends in an error, not in a blocking call."""
        with pytest.raises(RuntimeError, match="TokenSource"):
            NoSecret(APP_ID).signed_session()


class TestPool:
    async def test_one_client_for_each_url(self, pool: ConnectorPool, cloud: Cloud) -> None:
        """The same URL has the same client, and the number of clients is bounded."""
        first = await pool.create(cloud.service_url, ISSUER)
        again = await pool.create(cloud.service_url, ISSUER)
        for number in range(POOL_SIZE):
            await pool.create(f"{cloud.url}/{number}/", ISSUER)

        assert again is first
        assert len(pool._clients) == POOL_SIZE
        assert await pool.create(cloud.service_url, ISSUER) is not first

    async def test_foreign_urls(self, pool: ConnectorPool) -> None:
        """S02: no client is ever made for a host that is not permitted."""
        with pytest.raises(ServiceUrlRefused):
            await pool.create("https://evil.test/", ISSUER)

    async def test_our_policies_in_order(self, pool: ConnectorPool, cloud: Cloud) -> None:
        """The pipeline is ours, from the first policy to the sender."""
        client = await pool.create(cloud.service_url, ISSUER)
        pipeline = client._client.config.pipeline

        assert isinstance(pipeline, ConnectorPipeline)
        assert isinstance(pipeline._sender, SessionSender)
        assert isinstance(pipeline._impl_policies[1], connector.BearerPolicy)
        assert isinstance(pipeline._impl_policies[2]._policy, TolerantDeserializer)


class TestCalls:
    async def test_signed_and_quoted_once(self, pool: ConnectorPool, cloud: Cloud) -> None:
        """A call carries the shared token, and the id's quoting survives."""
        cloud.connector = answering(200, b'{"id":"29:1","email":"a@example.com"}')
        client = await pool.create(cloud.service_url, ISSUER)

        raw = await result_of(client.conversations.get_conversation_member("a:1/x", PERSON, raw=True))

        method, path, _, headers = cloud.asked[-1]
        assert (method, path) == ("GET", f"/emea/v3/conversations/a:1/x/members/{PERSON}")
        assert headers["Authorization"] == "Bearer token-1"
        assert b"a@example.com" in raw.response.content

    async def test_many_turns_one_token(self, pool: ConnectorPool, cloud: Cloud) -> None:
        """Fifty calls ask the login endpoint once and discover nothing."""
        client = await pool.create(cloud.service_url, ISSUER)
        parameters = ConversationParameters(is_group=False)

        found = await asyncio.gather(*(client.conversations.create_conversation(parameters) for _ in range(50)))

        assert {each.id for each in found} == {CONVERSATION}
        assert (cloud.count("/oauth2/"), cloud.count("discovery")) == (1, 0)

    async def test_a_rejected_token_is_dropped(self, pool: ConnectorPool, cloud: Cloud) -> None:
        """A 401 expires the token; the next call has a new one."""
        cloud.connector = answering(401, b"{}")
        client = await pool.create(cloud.service_url, ISSUER)
        for _ in range(2):
            with pytest.raises(Answered):
                await result_of(client.conversations.get_conversation_member("a:1", PERSON))

        assert cloud.tokens_given == 2

    @pytest.mark.parametrize("status", [429, 500, 502, 503])
    async def test_one_request_for_one_call(self, pool: ConnectorPool, cloud: Cloud, status: int) -> None:
        """Nothing repeats behind our back: stock turns a throttled GET into four requests."""
        cloud.connector = answering(status, b"<html>", "text/html")
        client = await pool.create(cloud.service_url, ISSUER)

        with pytest.raises(Answered) as refused:
            await result_of(client.conversations.get_conversation_member("a:1", PERSON))

        assert refused.value.answer.status == status
        assert cloud.count("/members/") == 1

    async def test_html_errors_keep_their_status(self, pool: ConnectorPool, cloud: Cloud) -> None:
        """An HTML 502 is an ErrorResponseException with its status; stock loses it."""
        cloud.connector = answering(502, b"<html>\xff", "text/html")
        client = await pool.create(cloud.service_url, ISSUER)

        with pytest.raises(ErrorResponseException) as error:
            await client.conversations.get_conversation_member("a:1", PERSON)

        assert error.value.response.status_code == 502

    async def test_errors_keep_their_code(self, pool: ConnectorPool, cloud: Cloud) -> None:
        """The first shape of error is read by botbuilder's own model, as on the stock transport."""
        cloud.connector = answering(404, b'{"error":{"code":"ConversationNotFound","message":"x"}}')
        client = await pool.create(cloud.service_url, ISSUER)

        with pytest.raises(ErrorResponseException) as error:
            await client.conversations.get_conversation_member("a:1", PERSON)

        assert error.value.error.error.code == "ConversationNotFound"

    async def test_unreadable_success(self, pool: ConnectorPool, cloud: Cloud) -> None:
        """A success that is no JSON is not taken for one."""
        cloud.connector = answering(201, b"<html>", "text/html")
        client = await pool.create(cloud.service_url, ISSUER)

        with pytest.raises(DeserializationError):
            await client.conversations.create_conversation(ConversationParameters())
        with pytest.raises(Answered):
            await result_of(client.conversations.create_conversation(ConversationParameters()))

    async def test_no_token(self, pool: ConnectorPool, cloud: Cloud) -> None:
        """A failing login endpoint comes through as what it is."""
        cloud.token = answering(500, b"")
        client = await pool.create(cloud.service_url, ISSUER)

        with pytest.raises(TokenUnavailable):
            await result_of(client.conversations.create_conversation(ConversationParameters()))

    async def test_wire_errors_keep_their_cause(self, cloud: Cloud, session: ClientSession) -> None:
        """The sender raises msrest's error with ours as its cause: never written, or no answer."""

        async def silent(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
            await kit.read_request(reader)
            await reader.read()

        sender = SessionSender(session, ClientTimeout(total=0.2))
        async with kit.raw_server(silent) as url:
            request = SimpleNamespace(http_request=SimpleNamespace(method="POST", url=url, headers={}, data="{}"))
            with pytest.raises(ClientRequestError) as hung:
                await sender.send(request)
        with pytest.raises(ClientRequestError) as closed:
            await sender.send(request)

        assert isinstance(hung.value.__cause__, NoAnswer)
        assert isinstance(closed.value.__cause__, NeverWritten)
        with pytest.raises(CallFailed):
            await result_of(sender.send(request))


class TestBotAuth:
    async def test_hands_out_the_pool(self, cloud: Cloud, session: ClientSession) -> None:
        """For our app the pool, for another app nothing, for user tokens one object that refuses."""
        known = kit.bots(cloud, session).get(BOT)
        ours = ClaimsIdentity({"aud": APP_ID}, True)

        assert known.auth.create_connector_factory(ours) is known.pool
        with pytest.raises(PermissionError):
            known.auth.create_connector_factory(ClaimsIdentity({"aud": "other"}, True))
        nobody = await known.auth.create_user_token_client(ours)
        assert await known.auth.create_user_token_client(ours) is nobody
        with pytest.raises(NotImplementedError):
            nobody.get_user_token()
