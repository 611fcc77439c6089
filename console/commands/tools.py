"""What every command needs: the collaborators it was given, the settings, and one way to fail."""

import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import click
from aiohttp import web

from settings import Bot, Settings, SettingsError

DEFAULT_CONFIG = Path("herald.toml")

BuildApp = Callable[[Settings], Awaitable[web.Application] | web.Application]
Decorated = TypeVar("Decorated", bound=Callable[..., Any])


class LoadSettings(Protocol):
    """Reads the settings; `settings.load` is the one in use."""

    def __call__(self, path: Path | None, environ: Mapping[str, str]) -> Settings: ...


@dataclass(frozen=True, slots=True)
class Tools:
    """What the composition root hands to the commands; they never import it."""

    build_app: BuildApp
    load_settings: LoadSettings

    def settings(self, config: Path | None) -> Settings:
        """Read the named file, or herald.toml if it is there, or the environment alone.

        Raises SettingsError.
        """
        return self.load_settings(settings_file(config), os.environ)

    def settings_or_fail(self, config: Path | None) -> Settings:
        """The settings, or the end of the command with every problem listed."""
        try:
            return self.settings(config)
        except SettingsError as error:
            raise Trouble(str(error)) from error


def settings_file(config: Path | None) -> Path | None:
    """The file that is read: the named one, or herald.toml if it is there."""
    return DEFAULT_CONFIG if config is None and DEFAULT_CONFIG.exists() else config


class Trouble(click.ClickException):
    """The command could not do its work; the message says what to do. Exit code 4, used for nothing else."""

    exit_code = 4


def config_option(command: Decorated) -> Decorated:
    """Add `--config FILE`."""
    return click.option(
        "--config",
        type=click.Path(path_type=Path, dir_okay=False),
        metavar="FILE",
        help="Settings file. Default: herald.toml, if there is one; HERALD_… variables are laid over it.",
    )(command)


def choose_bot(settings: Settings, wanted: str | None, channel: str | None = None) -> Bot:
    """The bot with this id; without an id the only one that has the channel."""
    fitting = [bot for bot in settings.bots if channel is None or getattr(bot, channel) is not None]
    if wanted is not None:
        fitting = [bot for bot in fitting if bot.id.lower() == wanted.lower()]
    if len(fitting) == 1:
        return fitting[0]
    kind = f"bot with [bots.{channel}]" if channel else "bot"
    if wanted is not None:
        raise Trouble(f"The settings have no {kind} of the id {wanted}: correct --bot or add the table.")
    if not fitting:
        raise Trouble(f"The settings have no {kind}: add one.")
    raise Trouble(f"The settings have {len(fitting)} bots: choose one with --bot {' | '.join(b.id for b in fitting)}")
