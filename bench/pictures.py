"""`python -m bench.pictures`: the images of docs/templates.md, made by sending what that page says.

Every template on the page is sent through the real API of a real server to one person on each platform; a real browser
then takes a picture of what stands in the simulator's mailbox page. A picture is written only where its bytes changed.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from bench.browser import browser, found
from bench.processes import ROOT, Json
from bench.rig import UNPACED, Herald, endpoints, folder, herald, settings, write_settings
from simulator.app import Running, running
from simulator.mailbox import Message
from simulator.pages.page import address_of
from simulator.people import PLAIN
from simulator.slack.apps import DEFAULT_BOT_TOKEN, DEFAULT_SIGNING_SECRET
from simulator.teams.apps import DEFAULT_APP_ID, DEFAULT_PASSWORD
from simulator.teams.people import tenant_id
from simulator.world import SimulatorConfig

DOCUMENT: Final = ROOT / "docs" / "templates.md"
FOLDER: Final = ROOT / "docs" / "pictures"
HOST: Final = "https://pictures.example.com"  # of the pictures in the document; they come from the simulator
CHANNELS: Final[Mapping[str, str]] = {"slack": "slack", "teams": "msteams"}
WIDTH: Final = 480  # two stand side by side
MOMENT: Final = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)  # the same images whenever they are made
_SAMPLE: Final = re.compile(r"^## `(\w+)`$.*?^```json\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def samples(document: Path = DOCUMENT) -> dict[str, Json]:
    """Each kind of template and its source, as the document shows them."""
    return {kind: json.loads(source) for kind, source in _SAMPLE.findall(document.read_text(encoding="utf-8"))}


def with_pictures(payload: Json, simulator: str) -> Json:
    """The same template with pictures that are there."""
    moved: Json = json.loads(json.dumps(payload).replace(HOST, f"{simulator}/_sim/pictures"))
    return moved


async def main() -> None:
    """Make every image anew."""
    if found() is None:
        sys.exit("No Chromium on this machine. Debian and Ubuntu: apt-get install chromium")
    FOLDER.mkdir(exist_ok=True)
    async with _world() as (simulator, server), browser(WIDTH) as page:
        email = simulator.world.people_of(0)[0].email
        for kind, payload in samples().items():
            for platform, channel in CHANNELS.items():
                message = await _sent(simulator, server, channel, email, with_pictures(payload, simulator.url))
                message.at = MOMENT
                await page.open(f"{simulator.url}{address_of(message.platform, email)}")
                _keep(FOLDER / f"{platform}-{kind}.png", await page.screenshot(".message"))


async def _sent(simulator: Running, server: Herald, channel: str, email: str, payload: Json) -> Message:
    """The one message in the mailboxes, which were empty before."""
    simulator.world.reset()
    await server.accept(channel, [email], message={"type": "script", "val": payload})
    await server.until_stored()
    (message,) = simulator.world.mailboxes.all()
    return message


def _keep(file: Path, image: bytes) -> None:
    same = file.exists() and file.read_bytes() == image
    if not same:
        file.write_bytes(image)
    print(f"{file.relative_to(ROOT)}  {len(image) / 1024:.1f} KB  {'as it was' if same else 'new'}")


@asynccontextmanager
async def _world() -> AsyncIterator[tuple[Running, Herald]]:
    """The platforms in this process, so that the time of a message can be set; the server in its own."""
    async with running(SimulatorConfig(people=1, limits=False, shares=PLAIN)) as simulator, folder() as place:
        install: dict[str, Any] = {"app_id": DEFAULT_APP_ID, "all_with_app": True, "notify": False}
        async with simulator.world.session.post(f"{simulator.url}/_sim/teams/installs", json=install) as answer:
            assert answer.status < 300, await answer.text()
        sides = {
            "slack": {"signing_secret": DEFAULT_SIGNING_SECRET, "bot_token": DEFAULT_BOT_TOKEN},
            "msteams": {
                "app_id": DEFAULT_APP_ID,
                "app_password": DEFAULT_PASSWORD,
                "tenant_id": tenant_id(0),
            },
        }
        file = write_settings(place, settings(endpoints(simulator.url), [sides], UNPACED))
        async with herald(file) as server:
            yield simulator, server


if __name__ == "__main__":
    asyncio.run(main())
