"""Penstock's commands in processes of their own that can be killed and are started at once.

To start Python and import everything takes seconds; so one process imports it, and each command is a fork of that.

    async with nursery() as nursery:
        pid = nursery.start(["serve", "--config", "penstock.toml"], {"PENSTOCK_DATA_DIR": "data"}, Path("serve.log"))
        os.kill(pid, signal.SIGKILL)
        status = nursery.wait(pid)
"""

import contextlib
import gc
import importlib
import os
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

import msgspec
from msgspec import Struct

from chaos import held

_LOADED = (
    *("penstock.cli.checking", "penstock.cli.demonstration", "penstock.cli.managing", "penstock.cli.serving"),
    *("penstock.cli.databases", "penstock.accounts.price_list", "alembic.command", "typer.rich_utils", "uvloop"),
)
"""What commands import where they need it."""


class _Start(Struct, tag=True):
    arguments: list[str]
    environ: dict[str, str]
    log: str
    errors: str


class _Poll(Struct, tag=True):
    pid: int


_Order = _Start | _Poll


class Nursery:
    """Starts commands, and waits for their end. Whatever still runs when it ends is killed."""

    def __init__(self, orders: IO[bytes], answers: IO[bytes]) -> None:
        self._orders = orders
        self._answers = answers
        self._asking = threading.Lock()

    def start(self, arguments: Sequence[str], environ: Mapping[str, str], log: Path, errors: Path | None = None) -> int:
        """Start `penstock` with some arguments; return its process id.

        What it prints is appended to `log`, and what it prints to standard error to `errors`, if that is given.
        """
        pid = self._ask(_Start(list(arguments), dict(environ), str(log), str(errors or log)))
        assert pid is not None
        return pid

    def poll(self, pid: int) -> int | None:
        """Return the exit status of a command, negative if a signal ended it; None if it runs. It is told once."""
        return self._ask(_Poll(pid))

    def wait(self, pid: int) -> int:
        """Wait for the end of a command; return its exit status."""
        while (status := self.poll(pid)) is None:
            time.sleep(0.005)
        return status

    def _ask(self, order: _Order) -> int | None:
        with self._asking:
            self._orders.write(msgspec.json.encode(order) + b"\n")
            self._orders.flush()
            return msgspec.json.decode(self._answers.readline(), type=int | None)


@contextlib.contextmanager
def nursery(environ: Mapping[str, str] | None = None) -> Iterator[Nursery]:
    """Run a nursery in an environment, by default that of this process."""
    command = [sys.executable, "-m", "chaos.nursery"]
    root = Path(__file__).parent.parent
    with subprocess.Popen(command, cwd=root, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield Nursery(process.stdin, process.stdout)


def _main() -> None:
    for module in _LOADED:
        importlib.import_module(module)
    gc.freeze()  # to look for garbage in what is loaded would give each fork a copy of it
    running: set[int] = set()
    for line in sys.stdin.buffer:
        match msgspec.json.decode(line, type=_Order):
            case _Start() as order:
                pid = os.fork()
                if pid == 0:
                    _become(order)
                running.add(pid)
                answer = pid
            case _Poll(pid):
                ended, status = os.waitpid(pid, os.WNOHANG)
                answer = os.waitstatus_to_exitcode(status) if ended else None
                running.discard(ended)
        print(msgspec.json.encode(answer).decode(), flush=True)
    for pid in running:
        os.kill(pid, signal.SIGKILL)


def _become(order: _Start) -> None:
    """Run a command in this process, and end it."""
    from penstock.cli import app  # noqa: PLC0415 - imported before

    held.answer(Path(f"{order.log}.held"))
    os.environ.update(order.environ)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for descriptor, path in ((1, order.log), (2, order.errors)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), descriptor)
    status = 1
    try:
        app(order.arguments, prog_name="penstock")
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    _main()
