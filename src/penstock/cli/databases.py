"""`penstock db upgrade`: migrate the database that the config names."""

from collections.abc import Mapping
from pathlib import Path

import typer

from penstock.cli.stores import data_directory, database_location
from penstock.config import load
from penstock.store import database


async def upgrade(path: Path | None, environ: Mapping[str, str]) -> None:
    """Bring the database up to date, and say what was done.

    Raises:
        ConfigError: the configuration or the database cannot be used.
    """
    config = load(path, environ)
    done = await database.upgrade(database_location(config, data_directory(environ)))
    if done.before == done.after:
        typer.echo(f"The database is up to date: revision {done.after}.")
    else:
        typer.echo(f"The database was upgraded from {done.before or 'nothing'} to revision {done.after}.")
