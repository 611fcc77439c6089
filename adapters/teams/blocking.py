"""requests as msal gets it: a deadline for every call, no redirect, nothing from the environment.

Without a deadline a login endpoint that hangs keeps a thread of the loop's own pool for ever, and the pool has few;
a followed 307 would carry the app's assertion to another host, and requests takes proxies and passwords from variables
and `.netrc`, which no other call of Herald's to Entra does.
"""

from __future__ import annotations

from typing import Any, Final

import requests

SECONDS: Final = 10.0  # to connect, and between two bytes


class BoundedSession(requests.Session):
    """The transport of both kinds of msal's applications."""

    def __init__(self) -> None:
        super().__init__()
        self.trust_env = False

    def request(self, method: str, url: str | bytes, *args: Any, **options: Any) -> requests.Response:
        """One call, whatever msal asks for beside it."""
        return super().request(method, url, *args, **{**options, "timeout": SECONDS, "allow_redirects": False})
