"""Identifiers in the platform's forms. All are derived, so a restarted simulator gives the same ones.

A `29:` id belongs to one bot and one user, and an `a:` id to one bot and one personal chat: to any other bot they
are unreadable, as on the platform ("Failed to decrypt pairwise id", "Failed to decrypt conversation id").
"""

import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from hashlib import blake2b

_TAG = 24
_USER = struct.Struct(">HI")
_CHAT = struct.Struct(">HIH")


def guid(*parts: object) -> str:
    """A GUID that depends on nothing but its parts."""
    digest = blake2b("|".join(map(str, parts)).encode(), digest_size=16).hexdigest()
    return f"{digest[:8]}-{digest[8:12]}-4{digest[13:16]}-8{digest[17:20]}-{digest[20:]}"


def bot_user_id(app_id: str) -> str:
    """The bot as a member of conversations."""
    return f"28:{app_id}"


def user_id(app_id: str, tenant: int, person: int) -> str:
    """The id by which one bot knows one person."""
    return "29:1" + _sealed("user", app_id, _USER.pack(tenant, person))


def read_user_id(app_id: str, text: str) -> tuple[int, int] | None:
    """Tenant and person number of a `29:` id made for this bot."""
    body = _opened("user", app_id, text.removeprefix("29:1"), _USER.size) if text.startswith("29:1") else None
    return None if body is None else _USER.unpack(body)


def chat_id(app_id: str, tenant: int, person: int, generation: int) -> str:
    """The conversation id of the chat of one bot and one person."""
    return "a:1" + _sealed("chat", app_id, _CHAT.pack(tenant, person, generation))


def is_chat_id(app_id: str, text: str) -> bool:
    """Whether this is an `a:` id made for this bot (of a chat that may or may not exist)."""
    return text.startswith("a:1") and _opened("chat", app_id, text.removeprefix("a:1"), _CHAT.size) is not None


def graph_chat_id(app_id: str, person_id: str) -> str:
    """The same chat as Microsoft Graph names it; the connector takes this form too."""
    return f"19:{person_id}_{app_id}@unq.gbl.spaces"


def thread_id(kind: str, *parts: object) -> str:
    """The id of a team's channel or of a group chat."""
    suffix = "thread.tacv2" if kind == "channel" else "thread.v2"
    return f"19:{blake2b('|'.join(map(str, parts)).encode(), digest_size=16).hexdigest()}@{suffix}"


def installation_id(person_id: str, catalog_app_id: str) -> str:
    """The id of an app installation of one person in Microsoft Graph."""
    return urlsafe_b64encode(f"{person_id}##{catalog_app_id}".encode()).decode()


def read_installation_id(text: str) -> tuple[str, str] | None:
    """Person and catalog app of an installation id."""
    try:
        person_id, _, catalog_app_id = urlsafe_b64decode(text).decode().partition("##")
    except (Base64Error, ValueError):
        return None
    return (person_id, catalog_app_id) if catalog_app_id else None


def _sealed(purpose: str, app_id: str, body: bytes) -> str:
    return urlsafe_b64encode(_tag(purpose, app_id, body) + body).decode().rstrip("=")


def _opened(purpose: str, app_id: str, text: str, size: int) -> bytes | None:
    try:
        raw = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (Base64Error, ValueError):
        return None
    body = raw[_TAG:]
    return body if len(body) == size and raw[:_TAG] == _tag(purpose, app_id, body) else None


def _tag(purpose: str, app_id: str, body: bytes) -> bytes:
    return blake2b(body, digest_size=_TAG, key=app_id.encode()[:64], person=purpose.encode()).digest()
