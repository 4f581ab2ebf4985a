"""Commands in processes of their own. They are forks of one that has loaded everything: to load it takes seconds.

with running(tmp_path, "serve", "--port", "0", until="curl") as gateway:
    gateway.address, gateway.printed
    assert gateway.stop() == 0
"""

import atexit
import contextlib
import functools
import itertools
import os
import re
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from chaos.nursery import Nursery, nursery
from tests.watch import WATCH

PATIENCE = 60.0
"""Seconds in which a command must begin, or end."""

_numbers = itertools.count()


@functools.cache
def _nursery() -> tuple[Nursery, Path]:
    """Return what starts commands, which ends with this process, and a folder for what they print."""
    parts = contextlib.ExitStack()
    atexit.register(parts.close)
    printed = parts.enter_context(tempfile.TemporaryDirectory())
    clean = {name: value for name, value in os.environ.items() if not name.endswith(("_API_KEY", "_HOST", "_BASE_URL"))}
    return parts.enter_context(nursery(clean | {"COLUMNS": "200"})), Path(printed)


class Process:
    """A command that was started, with `directory` as its data directory."""

    def __init__(self, directory: Path, *arguments: str) -> None:
        self._nursery, printed = _nursery()
        number = next(_numbers)
        self._out, self._errors = printed / f"{number}.out", printed / f"{number}.errors"
        self._status: int | None = None
        environ = {"PENSTOCK_DATA_DIR": str(directory)}
        level = ("--log-level", "debug") if arguments[0] == "serve" else ()  # unless it is given another
        self._command = " ".join(("penstock", *arguments))
        self.pid = self._nursery.start((arguments[0], *level, *arguments[1:]), environ, self._out, self._errors)

    @property
    def printed(self) -> str:
        return self._out.read_text("utf-8") if self._out.exists() else ""

    @property
    def complained(self) -> str:
        return self._errors.read_text("utf-8") if self._errors.exists() else ""

    def send_signal(self, number: signal.Signals) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def poll(self) -> int | None:
        """Return the exit status, None as long as it runs."""
        if self._status is None:
            self._status = self._nursery.poll(self.pid)
            if self._status is not None:
                WATCH.see(self._command, self.printed + self.complained)
        return self._status

    def wait(self, timeout: float = PATIENCE) -> int:
        """Wait for the end; return the exit status."""
        deadline = time.monotonic() + timeout
        while (status := self.poll()) is None:
            assert time.monotonic() < deadline, "it does not end"
            time.sleep(0.005)
        return status


class Running:
    """A command that goes on, and what it has printed up to the line with `until`."""

    def __init__(self, process: Process, until: str) -> None:
        self.process = process
        self.printed = ""
        deadline = time.monotonic() + PATIENCE
        while not self._found(until) and process.poll() is None:
            assert time.monotonic() < deadline, process.complained
            time.sleep(0.005)
        assert self._found(until), process.complained

    def _found(self, until: str) -> bool:
        before, word, after = self.process.printed.partition(until)
        rest, end, _ = after.partition("\n")
        self.printed = before + word + rest + end
        return bool(word and end)

    @property
    def address(self) -> str:
        found = re.search(r"http://127\.0\.0\.1:\d+", self.printed)
        assert found is not None, self.printed
        return found.group()

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(20)


@contextlib.contextmanager
def running(directory: Path, *arguments: str, until: str) -> Iterator[Running]:
    """Run a command that goes on."""
    process = Process(directory, *arguments)
    try:
        yield Running(process, until)
    finally:
        process.kill()
        process.wait()


def penstock(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    process = Process(directory, *arguments)
    try:
        status = process.wait()
    finally:
        process.kill()
    return subprocess.CompletedProcess(arguments, status, process.printed, process.complained)


def complaint(result: subprocess.CompletedProcess[str]) -> str:
    """Return the one line that a command failed with."""
    assert result.returncode == 2, result.stderr
    assert result.stderr.startswith("penstock: ")
    assert result.stderr.count("\n") == 1
    assert "Traceback" not in result.stdout + result.stderr
    return result.stderr
