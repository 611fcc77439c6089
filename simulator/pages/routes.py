"""The routes of the pages. Nothing on them can run: no script is allowed, not even one of our own."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from aiohttp import web

from simulator.pages.page import PATH, PRODUCTS, STYLE, mailbox_page, people_page
from simulator.world import World

_FOLDER: Final = Path(__file__).parent
_CSS: Final = (_FOLDER / "mailbox.css").read_text(encoding="utf-8")
PICTURES: Final = {path.name: path.read_bytes() for path in sorted((_FOLDER / "pictures").glob("*.png"))}
"""Pictures for messages of tests and samples, by name."""

POLICY: Final = (
    "default-src 'none'; style-src 'self'; style-src-attr 'unsafe-inline'; img-src http: https: data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""A style attribute holds nothing but numbers and colours that were checked one by one."""

_HEADERS: Final = {
    "Content-Security-Policy": POLICY,
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


def page_routes(world: World) -> list[web.RouteDef]:
    """The mailbox page, its style, and pictures for samples."""

    async def mailbox(request: web.Request) -> web.Response:
        return _page(world, request.query.get("platform", ""), request.query.get("email", ""))

    return [web.get(PATH, mailbox), web.get(STYLE, _style), web.get("/_sim/pictures/{name}", _picture)]


def _page(world: World, platform: str, email: str) -> web.Response:
    if not platform and not email:
        return _shown(people_page(world.mailboxes.all()))
    known = next((name for name in PRODUCTS if name == platform), None)
    if known is None or not email:
        raise web.HTTPBadRequest(text=f"platform must be one of {', '.join(PRODUCTS)}, and email must be given")
    return _shown(mailbox_page(known, email, list(world.mailboxes.select(known, email=email))))


def _shown(page: str) -> web.Response:
    return web.Response(text=page, content_type="text/html", headers=_HEADERS)


async def _style(request: web.Request) -> web.Response:
    return web.Response(text=_CSS, content_type="text/css", headers={"X-Content-Type-Options": "nosniff"})


async def _picture(request: web.Request) -> web.Response:
    found = PICTURES.get(request.match_info["name"])
    if found is None:
        raise web.HTTPNotFound
    return web.Response(body=found, content_type="image/png", headers={"X-Content-Type-Options": "nosniff"})
