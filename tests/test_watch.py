"""The watch for secrets fails the test in which one comes out, whichever way."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import structlog

from tests.watch import CANARIES, WATCH, Watch, found_in, spellings

SUITE = """
import subprocess, sys
from pathlib import Path
import aiohttp, pytest, structlog
from tests.serving import OPENAI_KEY, replaying, whole
from tests.watch import WATCH, tracing

def test_nothing_comes_out():
    structlog.get_logger("test").info("call")

def test_in_a_file(tmp_path):
    Path(tmp_path, "penstock.db").write_bytes(b"SQLite" + OPENAI_KEY.encode())

def test_in_what_a_process_prints():
    subprocess.run([sys.executable, "-c", f"print({OPENAI_KEY!r}, flush=True)"], check=True)

def test_in_the_log(monkeypatch):
    monkeypatch.setattr(WATCH.mask, "line", lambda rendered: rendered)
    structlog.get_logger("test").info("call", given={"deep": OPENAI_KEY})

def test_in_a_traceback(monkeypatch):
    monkeypatch.setattr(WATCH.mask, "line", lambda rendered: rendered)
    structlog.get_logger("test").info("of a kind that was not logged before")

@pytest.mark.anyio
async def test_in_an_answer():
    async with replaying(whole(OPENAI_KEY.encode())) as gateway:
        async with aiohttp.ClientSession(gateway.address, trace_configs=[tracing()]) as session:
            async with session.post("/v1/chat/completions", json={}) as response:
                await response.read()
"""
QUIET = """
def test_nothing_comes_out():
    pass
"""
LATE = """
import pytest
from tests.watch import WATCH

@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session):
    if hasattr(session.config, "workeroutput") or not session.config.getoption("numprocesses", None):
        WATCH.see("a gateway that outlived its test", "sk-upstream-secret")
"""


def run(directory: Path, suite: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Run a suite of its own under the watch."""
    path = directory / "test_leaks.py"
    path.write_text(suite)
    config = directory / "pytest.ini"
    config.write_text("[pytest]\naddopts = -q -ra --import-mode=importlib\n")
    command = [sys.executable, "-m", "pytest", "-c", str(config), "-p", "anyio", "-p", "tests.watch"]
    return subprocess.run(
        [*command, "-p", "no:cacheprovider", *options, str(path)],
        cwd=Path(__file__).parents[1],
        env=os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},  # to load them takes longer than the tests
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.promise("5.3")
def test_each_way_by_which_a_secret_comes_out_fails_its_test(tmp_path: Path) -> None:
    result = run(tmp_path, SUITE)
    for name in ("in_a_file", "in_what_a_process_prints", "in_the_log", "in_a_traceback", "in_an_answer"):
        assert f"ERROR at teardown of test_{name}" in result.stdout, result.stdout
    assert "6 passed, 5 errors" in result.stdout
    assert result.stdout.count("\na secret came out:") == 5


@pytest.mark.parametrize("options", [(), ("-p", "xdist", "-n", "1")], ids=["alone", "with others"])
def test_a_secret_that_comes_out_after_the_last_test_fails_the_run(tmp_path: Path, options: tuple[str, ...]) -> None:
    (tmp_path / "conftest.py").write_text(LATE)
    result = run(tmp_path, QUIET, *options)
    assert result.returncode == 1, result.stdout + result.stderr
    assert "1 passed" in result.stdout
    assert "a secret came out after the last test" in result.stdout
    assert "a gateway that outlived its test" in result.stdout


def test_the_log_of_this_suite_is_watched_at_its_lowest_level(tmp_path: Path) -> None:
    configured = structlog.get_config()
    try:
        watch = Watch(tmp_path / "log")
        structlog.get_logger("test").debug("something")
        written = (tmp_path / "log").read_bytes()
    finally:
        structlog.configure(**configured)
    assert b'"level":"debug"' in written
    assert b"RuntimeError: forced: [key]" in written
    assert watch.take() == []
    assert structlog.get_config()["processors"] is configured["processors"]
    assert WATCH is not watch


@pytest.mark.parametrize("secret", CANARIES)
def test_a_secret_is_found_in_every_spelling(secret: str) -> None:
    assert all(found_in(b"before " + spelled + b" after") for spelled in spellings(secret))
    assert not found_in(b"nothing of the kind")
