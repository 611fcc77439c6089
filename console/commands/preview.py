"""`herald preview`: the message as each person would get it; nothing is sent."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.text import Text

from console.commands.api import Access, Caller, access_options, as_object, as_text, as_texts, find_access, run
from console.commands.message import Said, message_options
from console.commands.tools import Tools, config_option

MOST = 10  # identities that the server previews in one call
EXIT_CODE_HELP = "Exit code: 0 everybody would get a message, 1 somebody would not, 2 nobody would, 4 the call failed."
UNITS = (("bytes", "limit", "bytes"), ("characters", "limit", "characters"), ("blocks", "blocksLimit", "blocks"))
"""A size, its limit and its unit, as the server names them; each platform counts in its own way."""


@click.command(epilog=EXIT_CODE_HELP)
@access_options
@config_option
@message_options(is_channel_required=False)
@click.pass_obj
def preview(
    tools: Tools,
    url: str | None,
    bot: str | None,
    token: str | None,
    client_id: str | None,
    private_key: Path | None,
    config: Path | None,
    said: Said,
) -> None:
    """Show a message as each of the first ten people would get it; nothing is sent."""
    body = said.body(MOST)
    access = find_access(
        tools, config, url=url, bot=bot, token=token, client_id=client_id, private_key=private_key
    )  # fmt: skip
    answer = run(_preview(access, body))
    show_previews(answer, Console())
    click.get_current_context().exit(exit_code(answer))


async def _preview(access: Access, body: Mapping[str, Any]) -> Mapping[str, Any]:
    async with Caller.open(access.url, access.bot, access.token) as caller:
        return await caller.preview(body)


def show_previews(answer: Mapping[str, Any], console: Console) -> None:
    """Print each person's message on each channel; server text is printed, never interpreted."""
    for shown in _previews(answer):
        heading = " on ".join(as_text(shown.get(name)) for name in ("originalId", "channel"))
        console.print(Text(heading, style="bold"), soft_wrap=True)
        for line in _lines(shown):
            console.print(line, soft_wrap=True)  # nothing is cut, and a payload can be copied
    for channel, problems in as_object(answer.get("refused")).items():
        console.print(Text(f"{as_text(channel)} would refuse it", style="bold red"))
        for problem in as_texts(problems):
            console.print(Text(f"  {problem}"), soft_wrap=True)


def exit_code(answer: Mapping[str, Any]) -> int:
    """0, 1 or 2 for nobody, somebody or everybody who would get nothing."""
    got = ["payload" in shown for shown in _previews(answer)]
    if all(got) and got and not answer.get("refused"):
        return 0
    return 1 if any(got) else 2


def _lines(shown: Mapping[str, Any]) -> Iterator[Text]:
    if "payload" in shown:
        for line in json.dumps(shown["payload"], indent=2, ensure_ascii=False).splitlines():
            yield Text(f"  {as_text(line)}")
        yield Text(f"  {_size(as_object(shown.get('size')))}", style="dim")
    else:
        why = ", ".join(as_text(shown[name]) for name in ("reason", "code") if shown.get(name))
        yield Text(f"  nothing: {why}", style="red")
        yield Text(f"  {as_text(shown.get('remedy'))}")
    for warning in as_texts(shown.get("warnings")):
        yield Text(f"  warning: {warning}", style="yellow")
    for line in as_texts(shown.get("scriptLog")):
        yield Text(f"  log: {line}", style="cyan")


def _size(size: Mapping[str, Any]) -> str:
    """How large it is and how large it may be, as the platform counts."""
    parts = [f"{size[name]} of {size.get(limit)} {unit}" for name, limit, unit in UNITS if size.get(name)]
    return as_text(", ".join(parts))


def _previews(answer: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    found = answer.get("previews")
    return [as_object(each) for each in found] if isinstance(found, list) else []
