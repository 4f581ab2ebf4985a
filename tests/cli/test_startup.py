"""What a command loads: nothing that takes long and that it does not need. Each test starts an interpreter of its own."""

import os
import subprocess
import sys
from pathlib import Path

from tests.serving import new_database

COMMAND = """
import atexit, sys
from penstock.cli import app
atexit.register(lambda: print(*sys.modules, file=sys.stderr))
app()
"""
"""A command that says in its last line which modules it has loaded."""

EXTRAS = {"opentelemetry", "psycopg", "redis"}
SERVER = {"aiohttp", "httptools", "prometheus_client", "penstock.gateway", "penstock.server", "penstock.simulator"}
RARE = {"alembic", "genai_prices", "penstock.conformance"}
"""Needed where the database is not up to date, where a model has a price, and by `penstock check`."""


def start(directory: Path, *arguments: str) -> subprocess.Popen[str]:
    clean = {name: value for name, value in os.environ.items() if not name.endswith(("_API_KEY", "_HOST", "_BASE_URL"))}
    return subprocess.Popen(
        [sys.executable, "-c", COMMAND, *arguments],
        env=clean | {"PENSTOCK_DATA_DIR": str(directory)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def loaded(process: subprocess.Popen[str]) -> set[str]:
    """Wait for the end of a command, and return what it has loaded."""
    _, told = process.communicate(timeout=60)
    assert process.returncode == 0, told
    return set(told.splitlines()[-1].split())


def test_help_loads_neither_a_server_nor_a_database(tmp_path: Path) -> None:
    modules = loaded(start(tmp_path, "--help"))
    assert "typer" in modules
    assert modules & (EXTRAS | SERVER | RARE | {"sqlalchemy", "structlog", "penstock.config"}) == set()


def test_looking_after_keys_loads_no_server(tmp_path: Path) -> None:
    new_database(tmp_path)
    modules = loaded(start(tmp_path, "keys", "list"))
    assert "sqlalchemy" in modules
    assert modules & (EXTRAS | SERVER | RARE) == set()


def test_serving_loads_only_what_the_configuration_asks_for(tmp_path: Path) -> None:
    new_database(tmp_path)
    process = start(tmp_path, "serve", "--port", "0")
    assert process.stdout is not None
    while "curl" not in process.stdout.readline():
        assert process.poll() is None
    process.terminate()
    modules = loaded(process)
    assert modules >= {"sqlalchemy", "penstock.server"}
    assert modules & (EXTRAS | RARE) == set()
