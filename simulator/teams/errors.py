"""Error answers in the shapes of the connector and of Microsoft Graph.

Connector statuses, codes and messages: Microsoft Teams, "Status codes from bot conversational APIs" and "Understand
who blocked, muted, or uninstalled a bot". Graph: "Microsoft Graph error responses and resource types".
"""

from typing import Any

import orjson
from aiohttp import web

_JSON = "application/json"

_BLOCKED_DETAIL = (
    '{\r\n  "subCode": "MessageWritesBlocked",\r\n  "details": "Thread is blocked from message writes.",\r\n'
    '  "errorCode": null,\r\n  "errorSubCode": null\r\n}'
)

CONNECTOR: dict[str, tuple[int, str]] = {
    "Bad Argument": (400, "Invalid request payload."),
    "BadArgument": (400, "Failed to decrypt conversation id"),
    "BadSyntax": (400, "Invalid JSON."),
    "Unauthorized": (401, "Authorization has been denied for this request."),
    "BotNotRegistered": (401, "No registration found for this bot."),
    "BotDisabledByAdmin": (403, "The tenant admin disabled this bot"),
    "BotNotInConversationRoster": (403, "The bot is not part of the conversation roster."),
    "ConversationBlockedByUser": (403, "User blocked the conversation with the bot."),
    "ForbiddenOperationException": (403, "The bot is not installed in user's personal scope."),
    "InvalidBotApiHost": (
        403,
        "Invalid bot api host. For GCC tenants, please call https://smba.infra.gcc.teams.microsoft.com.",
    ),
    "MessageWritesBlocked": (403, _BLOCKED_DETAIL),
    "NotEnoughPermissions": (403, "The bot does not have the permissions to perform this action."),
    "ActivityNotFoundInConversation": (404, "Conversation not found."),
    "ConversationNotFound": (404, "Conversation not found."),
    "MemberNotFoundInConversation": (404, "Member not found in conversation."),
    "NotFound": (404, "The user was not found in the tenant."),
    "PreconditionFailed": (412, "Precondition failed, please try again."),
    "MessageSizeTooBig": (413, "Message size too large."),
    "Throttled": (429, "Too many requests."),
    "ServiceError": (500, "Unknown"),
}


class ConnectorError(Exception):
    """The connector refuses a call with this code."""

    def __init__(self, code: str, message: str | None = None, headers: dict[str, str] | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.message = message
        self.headers = headers

    def answer(self) -> web.Response:
        """The refusal on the wire."""
        status, body = connector_body(self.code, self.message)
        return web.Response(status=status, body=orjson.dumps(body), content_type=_JSON, headers=self.headers)


def connector_body(code: str, message: str | None = None) -> tuple[int, dict[str, Any]]:
    """Status and body of a code. A blocked chat is told as JSON inside a string, without `error`."""
    status, default = CONNECTOR.get(code, (500, "Unknown"))
    if code == "MessageWritesBlocked":
        return status, {"errorCode": 209, "message": default}
    return status, {"error": {"code": code, "message": message or default}}


class GraphError(Exception):
    """Graph refuses a call."""

    def __init__(self, status: int, code: str, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(code)
        self.status = status
        self.code = code
        self.message = message
        self.headers = headers or {}


def graph_body(code: str, message: str, date: str, request_id: str) -> dict[str, Any]:
    """The body of a Graph error."""
    inner = {"date": date, "request-id": request_id, "client-request-id": request_id}
    return {"error": {"code": code, "message": message, "innerError": inner}}


def bad_request(message: str, code: str = "Request_BadRequest") -> GraphError:
    """400."""
    return GraphError(400, code, message)


def unsupported_query(message: str) -> GraphError:
    """400 for a query that the directory cannot answer."""
    return GraphError(400, "Request_UnsupportedQuery", message)


def not_found(name: str) -> GraphError:
    """404 for a directory object."""
    return GraphError(
        404,
        "Request_ResourceNotFound",
        f"Resource '{name}' does not exist or one of its queried reference-property objects are not present.",
    )


def denied() -> GraphError:
    """403 for a missing permission."""
    return GraphError(403, "Authorization_RequestDenied", "Insufficient privileges to complete the operation.")
