"""`options` of a call: the members that this version knows, with the values they may have. Kore has none of them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, Final

from adapters.base import ChannelName
from notify.body import MAX_FIELDS, shown
from notify.render import Problem

PARAMETERS: Final = "parameters"
MARKUP: Final = "markup"
VALUES: Final[Mapping[str, tuple[str, ...]]] = {
    "onUncertain": ("hold", "resend"),
    "format": ("plain", MARKUP),
}

TENANT: Final[Mapping[ChannelName, tuple[re.Pattern[str], str]]] = {
    ChannelName.MSTEAMS: (
        re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"),
        "must be the id of a Teams tenant, a GUID",
    ),
    ChannelName.SLACK: (re.compile(r"T[A-Z0-9]{1,63}"), "must be the id of a Slack workspace (T…)"),
}
_SLACK_ORG: Final = re.compile(r"E[A-Z0-9]{1,63}")


def problems(channel: ChannelName, options: Mapping[str, Any], *others: str) -> Iterator[Problem]:
    """What is wrong with the options of a send call; `others` are members that are read elsewhere."""
    for name in islice(options, MAX_FIELDS):
        if name in others:
            continue
        if name == "tenant":
            yield from tenant(channel, options[name])
        elif name == PARAMETERS:
            yield Problem(f"options.{PARAMETERS}", "belongs to v1: here each identity has parameters of its own")
        elif name not in VALUES:
            yield Problem(f"options.{shown(name)}", "is not an option: remove it")
        elif options[name] not in VALUES[name]:
            yield Problem(f"options.{name}", f"must be {' or '.join(VALUES[name])}")


def pinned(channel: ChannelName, options: Mapping[str, Any]) -> Iterator[Problem]:
    """What is wrong with the options of a call about people: only the tenant changes how they are found."""
    for name in islice(options, MAX_FIELDS):
        if name == "tenant":
            yield from tenant(channel, options[name])
        else:
            yield Problem(f"options.{shown(name)}", "is not an option of this call: remove it")


def tenant(channel: ChannelName, value: object) -> Iterator[Problem]:
    """What is wrong with the name of a tenant or workspace."""
    shape, sentence = TENANT[channel]
    if isinstance(value, str) and shape.fullmatch(value):
        return
    if channel is ChannelName.SLACK and isinstance(value, str) and _SLACK_ORG.fullmatch(value):
        sentence = "is a Slack organisation: name one of its workspaces (T…)"
    yield Problem("options.tenant", sentence)
