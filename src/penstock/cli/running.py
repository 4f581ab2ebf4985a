"""What commands share: the option that names the config, and how a coroutine is run to its end."""

import asyncio
import errno
import os
import socket
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any

import typer

from penstock.core.errors import ConfigError, Fault

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config", "-c", help="TOML file. Without one, providers come from the environment.", show_default=False
    ),
]


def run_to_end(main: Coroutine[Any, Any, None]) -> None:
    """Run a command's coroutine on the fast loop; turn what a user can mend into one line and exit status 2."""
    try:
        with asyncio.Runner(loop_factory=_fast_loop()) as runner:
            runner.run(main)
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    except (ConfigError, Fault) as error:
        typer.echo(f"penstock: {error}", err=True)
        raise typer.Exit(2) from None
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        typer.echo(f"penstock: {where}{error.strerror or error}", err=True)
        raise typer.Exit(2) from None


def cannot_listen(host: str, port: int, error: OSError) -> ConfigError:
    """Return what is said where an address cannot be listened on: why, in the system's words, and what to do."""
    why = error.strerror or str(error)
    if error.errno is not None and not isinstance(error, socket.gaierror):
        why = os.strerror(error.errno)  # not in those of the event loop, which names the address once more
    hint = "; choose another with --port" if error.errno == errno.EADDRINUSE else ""
    where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return ConfigError(f"cannot listen on {where}: {why}{hint}")


def readable(moment: str | None) -> str:
    """Return a time such as 2026-11-22T14:30:00Z as it stands in tables; nothing where there is none."""
    return (moment or "").replace("T", " ").replace("Z", " UTC")


def _fast_loop() -> Any:
    if sys.platform == "win32":
        return None
    import uvloop  # noqa: PLC0415 - not on Windows

    return uvloop.new_event_loop
