"""The command line as a user meets it: real processes, what they print, and how they end."""

import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from penstock import __version__
from penstock.cli.demonstration import command_as_typed
from tests.cli.processes import complaint, penstock, running

KEY = re.compile(r"pen_[0-9A-Za-z]{46}")


def test_the_first_run_shows_a_key_once_and_keeps_only_its_hash(tmp_path: Path) -> None:
    with running(tmp_path, "serve", "--port", "0", until="curl") as first:
        shown = KEY.search(first.printed)
        assert shown is not None
        assert first.printed.count(shown.group()) == 2  # by itself, and in the line to paste
        assert "OpenAI SDK" in first.printed
        assert "demo" in first.printed
        ask = urllib.request.Request(f"{first.address}/v1/models", headers={"x-api-key": shown.group()})
        with urllib.request.urlopen(ask, timeout=10) as response:
            assert "demo/poet" in {model["id"] for model in json.load(response)["data"]}
        assert first.stop() == 0
    for path in tmp_path.iterdir():
        assert shown.group().encode() not in path.read_bytes()
        assert path.stat().st_mode & 0o077 == 0
    with running(tmp_path, "serve", "--port", "0", until="curl") as second:
        assert KEY.search(second.printed) is None
        assert "`penstock keys create NAME` makes another" in second.printed
        ask = urllib.request.Request(f"{second.address}/v1/models", headers={"x-api-key": shown.group()})
        with urllib.request.urlopen(ask, timeout=10) as response:
            assert response.status == 200


def test_commands_load_where_the_system_has_no_modules_of_unix() -> None:
    absent = "import sys; sys.modules.update(dict.fromkeys(('fcntl', 'pwd', 'resource', 'termios', 'uvloop')))"
    commands = "import penstock.cli.managing, penstock.cli.serving, penstock.simulator"
    locks = "import penstock.store.processes"  # which takes them by another name there
    subprocess.run([sys.executable, "-c", f"{locks}; {absent}; {commands}"], check=True, timeout=60)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_gateway_without_an_error(tmp_path: Path, number: signal.Signals) -> None:
    with running(tmp_path, "serve", "--port", "0", until="curl") as gateway:
        began = time.monotonic()
        assert gateway.stop(number) == 0
        assert time.monotonic() - began < 5


def test_the_pasted_curl_line_streams_a_poem(tmp_path: Path) -> None:
    with running(tmp_path, "serve", "--port", "0", until="curl") as gateway:
        line = next(line for line in gateway.printed.splitlines() if "curl" in line)
        body = re.search(r"-d '(.*)'", line)
        key = KEY.search(line)
        assert body is not None
        assert key is not None
        ask = urllib.request.Request(
            f"{gateway.address}/v1/chat/completions",
            data=body.group(1).replace("demo/poet", "demo/poet@gap=0,ttft=0").encode(),
            headers={"Authorization": f"Bearer {key.group()}"},
        )
        with urllib.request.urlopen(ask, timeout=10) as response:
            assert response.read().endswith(b"data: [DONE]\n\n")


def test_the_demo_shows_four_protocols_and_ends_by_itself(tmp_path: Path) -> None:
    result = penstock(tmp_path, "demo")
    assert result.returncode == 0, result.stderr
    for title in ("OpenAI Chat Completions", "OpenAI Responses", "Anthropic Messages", "Gemini"):
        assert title in result.stdout
    assert len(re.findall(r"first token \d+ ms · \d+ tokens/s · \d+ tokens in, \d+ out", result.stdout)) == 4
    assert re.search(r"^  \S*penstock serve  ", result.stdout, re.MULTILINE)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("called", "shown"),
    [
        (".venv/bin/penstock", ".venv/bin/penstock"),
        ("/opt/penstock/bin/penstock", "/opt/penstock/bin/penstock"),
        ("/usr/bin/penstock", "penstock"),  # where the shell finds it
        ("/usr/lib/python3/penstock/__main__.py", "python -m penstock"),
    ],
)
def test_what_the_demo_proposes_can_be_pasted(monkeypatch: pytest.MonkeyPatch, called: str, shown: str) -> None:
    monkeypatch.setattr(sys, "argv", [called])
    monkeypatch.setattr(shutil, "which", lambda _: "/usr/bin/penstock")
    assert command_as_typed() == shown


def test_the_simulator_runs_alone_and_takes_settings(tmp_path: Path) -> None:
    with running(tmp_path, "simulate", "--port", "0", "--set", "length=3", until="Models") as simulator:
        ask = urllib.request.Request(
            f"{simulator.address}/v1/chat/completions",
            data=b'{"model":"poet","messages":[{"role":"user","content":"hi"}]}',
        )
        with urllib.request.urlopen(ask, timeout=10) as response:
            assert json.load(response)["usage"]["completion_tokens"] == 3


def test_without_a_key_it_does_not_listen_where_others_can_reach_it(tmp_path: Path) -> None:
    said = complaint(penstock(tmp_path, "serve", "--host", "0.0.0.0", "--port", "0"))
    assert "no key is configured" in said
    assert "[[keys]]" in said


def test_with_a_key_it_listens_there(tmp_path: Path) -> None:
    config = tmp_path / "penstock.toml"
    config.write_text('[server]\nhost = "0.0.0.0"\nport = 0\n[[keys]]\nname = "a"\nkey = "long-enough-key"\n')
    with running(tmp_path / "data", "serve", "--config", str(config), until="curl") as gateway:
        assert "$PENSTOCK_KEY" in gateway.printed


def test_an_address_in_use_is_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for command in ("serve", "simulate"):
            said = complaint(penstock(tmp_path, command, "--port", str(port)))
            told = f"cannot listen on 127.0.0.1:{port}: Address already in use; choose another with --port"
            assert said == f"penstock: {told}\n"


def test_usage_is_not_asked_for_in_two_formats(tmp_path: Path) -> None:
    result = penstock(tmp_path, "usage", "--json", "--csv")
    assert (result.returncode, result.stdout) == (2, "")
    assert "not both" in result.stderr


def test_db_upgrade_says_from_which_revision_to_which(tmp_path: Path) -> None:
    assert "upgraded from nothing to revision 0002" in penstock(tmp_path, "db", "upgrade").stdout
    assert "up to date: revision 0002" in penstock(tmp_path, "db", "upgrade").stdout


def test_a_database_that_cannot_be_reached_is_one_line_without_its_password(tmp_path: Path) -> None:
    config = tmp_path / "penstock.toml"
    config.write_text('[store]\nurl = "postgresql://root:hunter2@127.0.0.1:1/penstock"\n')
    for command in (("db", "upgrade"), ("serve",)):
        said = complaint(penstock(tmp_path, *command, "--config", str(config)))
        assert "the database penstock on 127.0.0.1: cannot be used" in said
        assert "hunter2" not in said


def test_a_mistake_in_the_configuration_is_one_line_with_its_place_and_the_nearest_name(tmp_path: Path) -> None:
    config = tmp_path / "penstock.toml"
    config.write_text('[providers.opnai]\napi_key = "x"\n')
    said = complaint(penstock(tmp_path, "serve", "--config", str(config)))
    assert "penstock.toml: providers.opnai" in said
    assert 'did you mean "openai"?' in said


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("serve", "--config", "nowhere.toml"), "nowhere.toml"),
        (("serve", "--log-level", "loud"), "warning"),
        (("simulate", "--set", "tempo=3"), "tempo"),
        (("simulate", "--port", "0", "--log", "/proc/nowhere/calls.jsonl"), "/proc/nowhere/calls.jsonl: No such file"),
        (("record", "--to", "http://127.0.0.1:1", "--out", "/proc/nowhere", "--port", "0"), "/proc/nowhere: No such"),
    ],
)
def test_a_wrong_option_is_one_line(tmp_path: Path, arguments: tuple[str, ...], word: str) -> None:
    assert word in complaint(penstock(tmp_path, *arguments))


@pytest.mark.parametrize("arguments", [("--help",), ("serve", "--help"), ("demo", "--help"), ("simulate", "--help")])
def test_help_teaches(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    result = penstock(tmp_path, *arguments)
    assert result.returncode == 0
    assert "Usage" in result.stdout


def test_the_version_is_the_packages() -> None:
    """Asked as users do; all other commands here are forks of a process that has loaded everything."""
    result = subprocess.run([sys.executable, "-m", "penstock", "--version"], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == __version__
