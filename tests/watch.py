"""Looks for secrets in all that comes out of gateways while the suite runs, and fails the test in which one does.

The secrets are those of the gateways of all tests; nothing else is called like them. They are looked for in

    the log at its lowest level, of gateways in this process; at the first line of each kind it is made to have a
    traceback that quotes all of them
    what this process and those that it starts print, and their logs
    bodies of answers
    files that gateways leave, above all databases

The top conftest.py loads this as a plugin. It works in each process of a run with several.
"""

import base64
import contextlib
import io
import sys
import tempfile
from collections.abc import Generator, Iterable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest
import structlog

from penstock.cli.logs import configure_logs
from penstock.cli.masking import Masking

PROVIDER_KEYS = ("sk-upstream-secret", "sk-ant-upstream-secret", "AIza-upstream-secret")
CLIENT_KEYS = ("test-key-0123456789", "other-key-0123456789")
ADMIN_TOKENS = ("admin-token-canary-0123456789", "admin-token-0123456789")
STATIC_KEY = "static-key-canary-0123456789"
ADMINISTERED_KEY = "sk-upstream-canary-0123456789"
PEPPER = b"pepper-canary-0123456789abcdefgh"
DATABASE_PASSWORD = "canary-database/7a6b+5c"
CANARIES = (
    *PROVIDER_KEYS,
    *CLIENT_KEYS,
    *ADMIN_TOKENS,
    STATIC_KEY,
    ADMINISTERED_KEY,
    PEPPER.decode(),
    PEPPER.hex(),
    DATABASE_PASSWORD,
)

FILES = frozenset({".db", ".db-wal", ".json", ".jsonl", ".log", ".lock", ""})
"""Endings of files that gateways write; what tests write for them, such as their configuration, holds secrets."""

LARGEST = 64 * 2**20
"""Bytes of a file that are looked at."""

SHOWN = 10
"""Places that a failure names."""


def spellings(secret: str) -> set[bytes]:
    """Return the ways in which a secret can be written without being one any less."""
    raw = secret.encode()
    found = {raw, raw.lower(), raw.upper(), raw[::-1], raw.hex().encode(), quote(secret, safe="").encode()}
    for shift in range(3):  # where in the text it stands decides what base64 makes of it
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            inner = encode(b"\0" * shift + raw).rstrip(b"=")
            found.add(inner[4 if shift else 0 : -2])
    return found


_SPELLINGS = tuple({spelled for secret in CANARIES for spelled in spellings(secret)})
_RAW = tuple(secret.encode() for secret in CANARIES)


def found_in(data: bytes, spelled: Iterable[bytes] = _SPELLINGS) -> list[str]:
    """Return the secrets in some bytes, each with the line around it."""
    places = [(data.find(secret), len(secret)) for secret in spelled]
    return [_around(data, place, size) for place, size in places if place >= 0]


def _around(data: bytes, place: int, size: int) -> str:
    first = max(data.rfind(b"\n", 0, place) + 1, place - 200)
    last = data.find(b"\n", place)
    return repr(data[first : min(place + size + 60, len(data) if last < 0 else last)])


class Watch:
    """What has come out since it was asked last. `mask` is that of the log: gateways tell it their secrets."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._log = path.open("wb", buffering=0)
        self._read = path.open("rb")
        self._found: list[str] = []
        self._forced: set[str] = set()
        self.mask = self._configure()

    def _configure(self) -> Masking:
        """Write the log of this process to the file, as `penstock serve` would write it."""
        stderr = sys.stderr
        sys.stderr = io.TextIOWrapper(io.BufferedWriter(io.FileIO(self._log.fileno(), "wb", closefd=False)))
        try:
            mask = configure_logs("debug")
        finally:
            sys.stderr = stderr
        processors = structlog.get_config()["processors"]
        structlog.configure(
            processors=[self._force, *processors],
            logger_factory=structlog.BytesLoggerFactory(self._log),  # type: ignore[arg-type]
            cache_logger_on_first_use=False,  # tests put loggers of their own in the place of this one
        )
        mask.learn(CANARIES)
        return mask

    def _force(self, _logger: object, _method: str, entry: dict[str, Any]) -> dict[str, Any]:
        """Have the first line of each kind quote all secrets in a traceback."""
        if entry["event"] not in self._forced and "exc_info" not in entry:
            self._forced.add(entry["event"])
            try:
                raise RuntimeError(f"forced: {' '.join(CANARIES)} {CANARIES!r}")
            except RuntimeError as error:
                entry["exc_info"] = error
        return entry

    def see(self, where: str, data: bytes | str) -> None:
        """Look at something that came out of a gateway."""
        content = data.encode("utf-8", "replace") if isinstance(data, str) else data
        self._found += [f"{where}: {found}" for found in found_in(content)]

    def see_files(self, directory: Path) -> None:
        """Look at the files that gateways left in a directory."""
        for path in sorted(directory.rglob("*")):
            with contextlib.suppress(OSError):  # it goes at this moment
                if path.suffix in FILES and path.name != "pepper" and path.is_file():
                    with path.open("rb") as file:
                        found = found_in(file.read(LARGEST), _RAW)
                    self._found += [f"{path.name}: {secret}" for secret in found]

    def take(self) -> list[str]:
        """Return what was found since the last time."""
        self.see("the log", self._read.read())
        found, self._found = self._found, []
        return list(dict.fromkeys(found))[:SHOWN]


_directory = tempfile.TemporaryDirectory(prefix="watch-")
WATCH = Watch(Path(_directory.name, "log"))


def tracing() -> aiohttp.TraceConfig:
    """Return what has a client look at the bodies of all answers that it reads whole."""
    config = aiohttp.TraceConfig()

    async def received(session: object, context: object, chunk: aiohttp.TraceResponseChunkReceivedParams) -> None:
        WATCH.see(f"the answer of {chunk.url.path}", chunk.chunk)

    config.on_response_chunk_received.append(received)
    return config


# ---- the plugin ------------------------------------------------------------------------------------------------------


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if call.when == "teardown":
        for name, printed in report.sections:
            WATCH.see(name, printed)
        directory = getattr(item, "funcargs", {}).get("tmp_path")
        if directory is not None:
            WATCH.see_files(directory)
        found = WATCH.take()
        if found and report.passed:
            report.outcome = "failed"
            report.longrepr = "\n".join(["a secret came out:", *found])
    return report


@pytest.hookimpl(wrapper=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None, None, None]:
    yield
    found = WATCH.take()  # of gateways that outlived their tests
    if not found:
        return
    output = getattr(session.config, "workeroutput", None)
    if output is None:
        _fail(session, found)
    else:
        output["secrets"] = found


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Hear from another process of the run that secrets came out there."""
    found = getattr(node, "workeroutput", {}).get("secrets")
    if found:
        WATCH.see("another process", "\n".join(found))


def _fail(session: pytest.Session, found: list[str]) -> None:
    session.exitstatus = pytest.ExitCode.TESTS_FAILED
    reporter: Any = session.config.pluginmanager.get_plugin("terminalreporter")
    reporter.write_line("\n".join(["", "a secret came out after the last test:", *found]))
