"""The command line: one group, one module per command in `console/commands/`.

`main` receives what it may not import: the composition root's `build_app` and, in tests, another reader
of the settings.
"""

import click

from console.commands.audit import audit
from console.commands.check import check
from console.commands.manifest import manifest
from console.commands.migrate import migrate
from console.commands.preview import preview
from console.commands.purge import purge
from console.commands.rotate_keys import rotate_keys
from console.commands.send import send
from console.commands.serve import serve
from console.commands.status import status
from console.commands.token import token
from console.commands.tools import BuildApp, LoadSettings, Tools
from settings import load

COMMANDS: tuple[click.Command, ...] = (
    *(serve, migrate, token, send, preview, status, manifest, check),
    *(rotate_keys, audit, purge),
)


def group(*more: click.Command) -> click.Group:
    """The whole command line; `more` are commands that the composition root alone can build."""
    root = click.Group(
        name="herald",
        help="Proactive notifications over Microsoft Teams and Slack, self-hosted.",
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    )
    for command in (*COMMANDS, *more):
        root.add_command(command)
    return root


def main(build_app: BuildApp, load_settings: LoadSettings = load, *more: click.Command) -> None:
    """Run the command that the process was started with; ends the process with the command's exit code."""
    group(*more)(obj=Tools(build_app, load_settings))
