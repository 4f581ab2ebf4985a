"""Penstock's commands in processes of their own that can be killed and are started at once.

To start Python and import everything takes seconds; so one process imports it, and each command is a fork of that.

    async with nursery() as nursery:
        pid = nursery.start(["serve", "--config", "penstock.toml"], {"PENSTOCK_DATA_DIR": "data"}, Path("serve.log"))
        os.kill(pid, signal.SIGKILL)
        status = nursery.wait(pid)
"""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

import msgspec
from msgspec import Struct


class _Start(Struct, tag=True):
    arguments: list[str]
    environ: dict[str, str]
    log: str


class _Wait(Struct, tag=True):
    pid: int


_Order = _Start | _Wait


class Nursery:
    """Starts commands, and waits for their end. Whatever still runs when it ends is killed."""

    def __init__(self, orders: IO[bytes], answers: IO[bytes]) -> None:
        self._orders = orders
        self._answers = answers

    def start(self, arguments: Sequence[str], environ: Mapping[str, str], log: Path) -> int:
        """Start `penstock` with some arguments; return its process id. What it prints is appended to `log`."""
        return self._ask(_Start(list(arguments), dict(environ), str(log)))

    def wait(self, pid: int) -> int:
        """Wait for the end of a command; return its exit status, negative if a signal ended it."""
        return self._ask(_Wait(pid))

    def _ask(self, order: _Order) -> int:
        self._orders.write(msgspec.json.encode(order) + b"\n")
        self._orders.flush()
        return int(self._answers.readline())


@contextlib.contextmanager
def nursery() -> Iterator[Nursery]:
    """Run a nursery."""
    command = [sys.executable, "-m", "chaos.nursery"]
    root = Path(__file__).parent.parent
    with subprocess.Popen(command, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield Nursery(process.stdin, process.stdout)


def _main() -> None:
    from penstock.cli import app, serving  # noqa: F401, PLC0415 - what this process is for

    running: set[int] = set()
    for line in sys.stdin.buffer:
        match msgspec.json.decode(line, type=_Order):
            case _Start() as order:
                pid = os.fork()
                if pid == 0:
                    _become(order)
                running.add(pid)
                answer = pid
            case _Wait(pid):
                answer = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
                running.discard(pid)
        print(answer, flush=True)
    for pid in running:
        os.kill(pid, signal.SIGKILL)


def _become(order: _Start) -> None:
    """Run a command in this process, and end it."""
    from penstock.cli import app  # noqa: PLC0415 - imported before

    os.environ.update(order.environ)
    log = os.open(order.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    status = 1
    try:
        app(order.arguments, prog_name="penstock")
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    _main()
