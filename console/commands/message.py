"""What `send` and `preview` say, and to whom: their common options, and the body of the call that they make."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, TextIO, cast

import click

from console.commands.parameters import UnreadableError, Values, of_people, read_parameters
from console.commands.tools import Decorated

CHANNELS = click.Choice(["msteams", "slack"])
KINDS = ("--text", "--markup", "--json-file", "--script")


@dataclass(frozen=True, slots=True)
class Said:
    """A message and its people, as they were given on the command line."""

    channel: str | None
    text: str | None
    markup: str | None
    json_file: TextIO | None
    script: TextIO | None
    identities: tuple[str, ...]
    identities_file: TextIO | None
    parameters: BinaryIO | None
    donotresolve: bool
    tenant: str | None

    def body(self, most: int | None = None) -> dict[str, Any]:
        """The body of a call for at most so many people; what is missing or too much ends the command."""
        message = self._message()
        people, values = self._people(most)
        options = {
            **({"format": "markup"} if self.markup is not None else {}),
            **({"tenant": self.tenant} if self.tenant else {}),
            **({"parameters": values} if values else {}),
        }
        return {
            **({"channel": self.channel} if self.channel else {}),
            "userIdentityType": self._identity_type,
            "message": message,
            "identities": people,
            **({"options": options} if options else {}),
        }

    @property
    def _identity_type(self) -> str:
        return "donotresolve" if self.donotresolve else "resolve"

    def _message(self) -> dict[str, str]:
        given = (self.text, self.markup, self.json_file, self.script)
        if sum(each is not None for each in given) != 1:
            raise click.UsageError(f"Give exactly one of {', '.join(KINDS[:-1])} and {KINDS[-1]}.")
        if self.script is not None:
            return {"type": "script", "val": self.script.read()}
        if self.json_file is not None:
            return {"type": "script", "val": json.dumps(read_payload(self.json_file))}  # as Kore's clients send it
        return {"type": "text", "val": self.text or self.markup or ""}

    def _people(self, most: int | None) -> tuple[list[str], Values]:
        """Who is written to, and their values; without other people everybody in the file with the values."""
        values: Values = {}
        try:
            if self.parameters is not None:
                values = read_parameters(self.parameters.read(), self._identity_type)
            people = [*self.identities, *read_identities(self.identities_file or ())] or list(values)
            if not people:
                raise click.UsageError("Nobody to send to: give --identity, --identities-file or --parameters.")
            if most is not None and len(people) > most:
                click.echo(f"The first {most} of {len(people)} people:", err=True)
            people = people[:most]
            return people, values and of_people(values, people, self._identity_type)
        except UnreadableError as error:
            raise click.BadParameter(str(error), param_hint="--parameters") from error


def message_options(*, is_channel_required: bool) -> Callable[[Decorated], Decorated]:
    """Add the options of a message and its people; the command gets them together, as `said`."""

    def decorate(command: Decorated) -> Decorated:
        @functools.wraps(command)
        def with_message(*arguments: Any, **given: Any) -> Any:
            said = Said(**{name: given.pop(name) for name in Said.__slots__})
            return command(*arguments, said=said, **given)

        for option in reversed(_options(is_channel_required=is_channel_required)):
            with_message = option(with_message)
        return cast(Decorated, with_message)

    return decorate


def _options(*, is_channel_required: bool) -> Sequence[Callable[..., Any]]:
    channel = "" if is_channel_required else "without it every channel of the bot"
    file = click.File(encoding="utf-8")
    return (
        click.option("--channel", type=CHANNELS, required=is_channel_required, help=channel),
        click.option("--text", help="the message as plain text"),
        click.option("--markup", metavar="TEXT", help="the message in the platform's own markup"),
        click.option("--json-file", type=click.File(encoding="utf-8-sig"), help="the platform's own payload as JSON"),
        click.option("--script", type=file, help="JavaScript that prints the message for each person"),
        click.option("--identity", "identities", multiple=True, metavar="E-MAIL", help="may be given many times"),
        click.option("--identities-file", type=file, help="one a line, # begins a comment, - is stdin"),
        click.option(
            "--parameters",
            type=click.File("rb"),
            help="each person's values for {name}: CSV, whose first column is the identity, or a JSON object; "
            "without other identities everybody in it is addressed",
        ),
        click.option("--donotresolve", is_flag=True, help="the identities are channel user ids already"),
        click.option("--tenant", metavar="ID", help="only through this Teams tenant or Slack workspace"),
    )


def read_identities(lines: Iterable[str]) -> list[str]:
    """The identities of a file: blank lines and comments do not count."""
    stripped = (line.strip() for line in lines)
    return [line for line in stripped if line and not line.startswith("#")]


def read_payload(file: TextIO) -> Mapping[str, Any]:
    """The one JSON object of a file."""
    try:
        payload = json.loads(file.read())
    except ValueError as error:
        raise click.BadParameter(f"is not JSON: {error}", param_hint="--json-file") from error
    if not isinstance(payload, dict):
        raise click.BadParameter("must hold one JSON object", param_hint="--json-file")
    return payload
