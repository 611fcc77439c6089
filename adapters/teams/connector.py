"""botbuilder's connector on our own transport: the public extension points of msrest and the SDK, nothing patched.

Stock, every turn builds new credentials, asks Entra for a new token on the event loop, opens a new `requests` session
in a thread and never closes it. Here:

    BotAuth ── ConnectorPool ── ConnectorClient ── ConnectorPipeline ── BearerPolicy ── SessionSender ── shared session
                (one per URL)                       (TolerantDeserializer)  (TokenSource)   (ConnectorResponse)

Trap: an `AsyncHTTPPolicy` must never be handed in as `credentials`: msrest would put the same object into its default
pipeline and overwrite its `next`.
"""

from __future__ import annotations

import functools
from collections import OrderedDict
from collections.abc import Awaitable
from types import SimpleNamespace
from typing import Any, Final

import aiohttp
from botbuilder.integration.aiohttp import ConfigurationBotFrameworkAuthentication
from botframework.connector.aio import ConnectorClient
from botframework.connector.auth import (
    AppCredentials,
    AuthenticateRequestResult,
    ClaimsIdentity,
    ConnectorFactory,
    ServiceClientCredentialsFactory,
)
from botframework.connector.models import ErrorResponseException
from msrest.exceptions import ClientRequestError, DeserializationError
from msrest.pipeline import AsyncHTTPPolicy, AsyncHTTPSender, AsyncPipeline, Response
from msrest.pipeline.universal import RawDeserializer
from msrest.universal_http.async_abc import AsyncClientResponse
from yarl import URL

from adapters.http import Answer, CallFailed, NoAnswer, call
from adapters.teams.config import TeamsApp, TeamsEndpoints
from adapters.teams.service_urls import ServiceUrls
from adapters.teams.tokens import TokenSource

POOL_SIZE: Final = 64
TIMEOUT: Final = aiohttp.ClientTimeout(total=15, connect=5)


class ServiceUrlRefused(PermissionError):
    """The service URL is not on the allow-list."""


class Answered(Exception):
    """The connector answered a client's call without success, or with a success nobody can read."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(str(answer.status))
        self.answer = answer


async def result_of(call_of_client: Awaitable[Any]) -> Any:
    """What a ConnectorClient's call returned. Raises Answered, CallFailed or TokenUnavailable, nothing of msrest's."""
    try:
        return await call_of_client
    except ErrorResponseException as error:
        raise Answered(_answer(error.response)) from error
    except ClientRequestError as error:
        if isinstance(error.__cause__, CallFailed):
            raise error.__cause__ from None
        raise NoAnswer(error) from error
    except (DeserializationError, UnicodeDecodeError, RecursionError) as error:
        raise Answered(Answer(200, {}, b"", whole=False)) from error


def _answer(response: Any) -> Answer:
    return Answer(response.status_code, response.headers, response.content, whole=response.whole)


class NoSecret(AppCredentials):  # type: ignore[misc]  # botframework has no types
    """Credentials that hold no secret: botbuilder insists on an object, our pipeline signs."""

    def get_access_token(self, force_refresh: bool = False) -> str:
        """Never called by our pipeline; a silent way back to the stock one would end here."""
        raise RuntimeError("tokens come from TokenSource")


class AppOnly(ServiceClientCredentialsFactory):  # type: ignore[misc]  # botframework has no types
    """Knows the app id, never its secret."""

    def __init__(self, app_id: str) -> None:
        self._app_id = app_id

    async def is_valid_app_id(self, app_id: str) -> bool:
        """Whether this is our app."""
        return app_id == self._app_id

    async def is_authentication_disabled(self) -> bool:
        """Never: an app without an id does not start."""
        return False

    async def create_credentials(
        self, app_id: str, oauth_scope: str, login_endpoint: str, validate_authority: bool
    ) -> NoSecret:
        """The object botbuilder wants."""
        return NoSecret(app_id, oauth_scope=oauth_scope)


class CachingCredentials(ServiceClientCredentialsFactory):  # type: ignore[misc]  # botframework has no types
    """One credentials object for each set of arguments, instead of a new one each turn."""

    def __init__(self, inner: ServiceClientCredentialsFactory) -> None:
        self._inner = inner
        self._made: dict[tuple[str, str, str, bool], AppCredentials] = {}

    async def is_valid_app_id(self, app_id: str) -> bool:
        """What the inner factory says."""
        return bool(await self._inner.is_valid_app_id(app_id))

    async def is_authentication_disabled(self) -> bool:
        """What the inner factory says."""
        return bool(await self._inner.is_authentication_disabled())

    async def create_credentials(
        self, app_id: str, oauth_scope: str, login_endpoint: str, validate_authority: bool
    ) -> AppCredentials:
        """The same object for the same arguments."""
        key = (app_id, oauth_scope, login_endpoint, validate_authority)
        if key not in self._made:
            self._made[key] = await self._inner.create_credentials(*key)
        return self._made[key]


class BearerPolicy(AsyncHTTPPolicy):  # type: ignore[misc]  # msrest has no types
    """Signs each request with the shared token and drops the token that is answered 401."""

    def __init__(self, tokens: TokenSource) -> None:
        super().__init__()
        self._tokens = tokens

    async def send(self, request: Any, **kwargs: Any) -> Any:
        """Sign, pass on, look at the status."""
        header = await self._tokens.header()
        request.http_request.headers["Authorization"] = header
        response = await self.next.send(request, **kwargs)
        if response.http_response.status_code == 401:
            self._tokens.expire(header)
        return response


class ConnectorResponse(AsyncClientResponse):  # type: ignore[misc]  # msrest has no types
    """An answer as msrest reads it; the inner object has the names of `requests`, as ErrorResponseException wants."""

    def __init__(self, request: Any, answer: Answer) -> None:
        text = answer.body.decode("utf-8", "replace")
        inner = SimpleNamespace(
            status_code=answer.status, headers=answer.headers, content=answer.body, text=text, whole=answer.whole
        )
        super().__init__(request, inner)
        self.status_code = answer.status
        self.headers = answer.headers
        self.reason = ""
        self._body = answer.body

    def body(self) -> bytes:
        """The whole body, already read."""
        return self._body

    def text(self, encoding: str | None = None) -> str:
        """The body as text."""
        return self._body.decode(encoding or "utf-8", "replace")


class SessionSender(AsyncHTTPSender):  # type: ignore[misc]  # msrest has no types
    """Sends over the one shared session, which it never closes."""

    def __init__(self, session: aiohttp.ClientSession, timeout: aiohttp.ClientTimeout = TIMEOUT) -> None:
        self._session = session
        self._timeout = timeout

    async def __aexit__(self, *_details: object) -> None:
        """The session belongs to the process."""

    async def send(self, request: Any, **config: Any) -> Any:
        """One request. Raises ClientRequestError with the CallFailed as its cause."""
        wanted = request.http_request
        body = wanted.data.encode() if isinstance(wanted.data, str) else wanted.data
        headers = {name: value for name, value in wanted.headers.items() if name.lower() != "content-length"}
        try:
            answer = await call(
                self._session,
                wanted.method,
                URL(wanted.url, encoded=True),  # msrest has quoted the ids already
                headers=headers,
                data=body,
                timeout=self._timeout,
            )
        except CallFailed as error:
            raise ClientRequestError(error.code, error) from error
        return Response(request, ConnectorResponse(wanted, answer))


class TolerantDeserializer(RawDeserializer):  # type: ignore[misc]  # msrest has no types
    """Lets an error answer that is no JSON (an HTML 502) keep its status instead of raising without one."""

    def on_response(self, request: Any, response: Any, **kwargs: Any) -> None:
        """Deserialise; what an error's body does not yield is None."""
        try:
            super().on_response(request, response, **kwargs)
        except (DeserializationError, UnicodeDecodeError, RecursionError):
            if response.http_response.status_code < 400:
                raise
            response.context[self.CONTEXT_NAME] = None


class ConnectorPipeline(AsyncPipeline):  # type: ignore[misc]  # msrest has no types
    """The stock order of policies, with ours for credentials and deserialising."""

    def __init__(self, tokens: TokenSource, config: Any) -> None:
        policies = [config.user_agent_policy, BearerPolicy(tokens), TolerantDeserializer(), config.http_logger_policy]
        super().__init__(policies, config.sender)


class ConnectorPool(ConnectorFactory):  # type: ignore[misc]  # botframework has no types
    """One ConnectorClient for each service URL; building one costs some 10 ms."""

    def __init__(
        self, credentials: AppCredentials, tokens: TokenSource, sender: SessionSender, service_urls: ServiceUrls
    ) -> None:
        self._credentials = credentials
        self._pipeline = functools.partial(ConnectorPipeline, tokens)
        self._sender = sender
        self._service_urls = service_urls
        self._clients: OrderedDict[tuple[str, str | None], ConnectorClient] = OrderedDict()

    async def create(self, service_url: str, audience: str | None = None) -> ConnectorClient:
        """The client for this URL. Raises ServiceUrlRefused if our token may not go there."""
        if not self._service_urls.permits(service_url):
            raise ServiceUrlRefused
        key = (service_url, audience)
        if key in self._clients:
            self._clients.move_to_end(key)
            return self._clients[key]
        client = ConnectorClient(
            self._credentials, base_url=service_url, sender=self._sender, pipeline_type=self._pipeline
        )
        client._serialize.client_side_validation = False  # costs CPU only; the service checks
        self._clients[key] = client
        if len(self._clients) > POOL_SIZE:
            self._clients.popitem(last=False)
        return client


class NoUserTokens:
    """In the place of botbuilder's UserTokenClient, which it builds every turn and Herald never uses."""

    def __getattr__(self, name: str) -> Any:
        raise NotImplementedError("Herald signs nobody in")


class BotAuth(ConfigurationBotFrameworkAuthentication):  # type: ignore[misc]  # botbuilder has no types
    """botbuilder's authentication object for one app in any cloud; it hands out the pool."""

    def __init__(self, app: TeamsApp, endpoints: TeamsEndpoints, pool: ConnectorPool) -> None:
        configuration = SimpleNamespace(
            APP_ID=app.app_id,
            APP_TYPE=app.app_type,
            APP_TENANTID=app.tenant_id,
            VALIDATE_AUTHORITY=True,
            TO_CHANNEL_FROM_BOT_LOGIN_URL=f"{endpoints.entra_login}/{app.tenant_id or endpoints.multi_tenant_login}",
            TO_CHANNEL_FROM_BOT_OAUTH_SCOPE=endpoints.bot_issuer,
            TO_BOT_FROM_CHANNEL_TOKEN_ISSUER=endpoints.bot_issuer,
            OAUTH_URL="https://token.invalid",  # user sign-in is not used
            TO_BOT_FROM_CHANNEL_OPENID_METADATA_URL=endpoints.bot_openid,
            TO_BOT_FROM_EMULATOR_OPENID_METADATA_URL=endpoints.bot_openid,
        )
        super().__init__(configuration, credentials_factory=CachingCredentials(AppOnly(app.app_id)))
        self._app_id = app.app_id
        self._pool = pool
        self._no_user_tokens = NoUserTokens()

    def create_connector_factory(self, claims_identity: ClaimsIdentity) -> ConnectorPool:
        """The pool, for our app and no other."""
        claimed = str(claims_identity.get_claim_value("aud"))
        if claimed.lower() != self._app_id.lower():
            raise PermissionError("the claims name another app")
        return self._pool

    async def authenticate_request(self, activity: Any, auth_header: str) -> AuthenticateRequestResult:
        """botbuilder's own check, with our pool; Herald's route checks by ConnectorTokens and does not come here."""
        result = await super().authenticate_request(activity, auth_header)
        result.connector_factory = self._pool
        return result

    async def create_user_token_client(self, claims_identity: ClaimsIdentity) -> NoUserTokens:
        """One object for all turns, whose use raises."""
        return self._no_user_tokens
