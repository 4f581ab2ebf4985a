"""A worker of `penstock serve --workers N`: what its parent starts, with its task as the only argument."""

import asyncio
import os
import signal
import socket
import sys
from pathlib import Path

import msgspec
import typer

from penstock.cli.logs import configure_logs
from penstock.cli.masking import masked_by
from penstock.cli.running import run_to_end
from penstock.cli.serving import Served, overridden, serve_until, stop_event
from penstock.cli.workers import Task
from penstock.config import Config, load
from penstock.server.workers import Parent


async def work(task: Task) -> None:
    """Serve until SIGTERM, or until the parent dies.

    Raises:
        ConfigError: the configuration cannot be used.
    """
    mask = configure_logs(task.log_level)
    stop, parent = stop_event(), Parent(task.link)
    asyncio.get_running_loop().remove_signal_handler(signal.SIGINT)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it is for the parent to stop its workers
    parent.stop_with(stop)

    def read() -> Config:
        config = load(Path(task.config) if task.config else None, os.environ)
        config = masked_by(mask, overridden(config, task.given), os.environ)
        if task.admin:
            return config
        return msgspec.structs.replace(config, admin=msgspec.structs.replace(config.admin, enabled=False))

    def ready(_: Served) -> None:
        parent.tell_ready()

    listening = socket.socket(fileno=task.listening)
    await serve_until(stop, read, os.environ, ready, mask=mask, listening=listening, tell_reloaded=parent.tell_reloaded)


if __name__ == "__main__":
    try:
        run_to_end(work(msgspec.json.decode(sys.argv[1], type=Task)))
    except typer.Exit as end:  # it has said why
        sys.exit(end.exit_code)
