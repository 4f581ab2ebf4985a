"""The admin token at the first start and by `penstock admin token`, and reloading by a signal."""

import json
import re
import signal
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from tests.cli.processes import complaint, penstock, running

CONFIG = '[server]\nport = 0\n[admin]\nport = 0\n[models.{alias}]\ntarget = "demo/poet"\n'


def ask(output: str, token: str, path: str) -> tuple[int, Any]:
    address = re.search(r"(http://\S+)/admin/api/v1", output)
    assert address is not None
    request = urllib.request.Request(f"{address[0]}{path}", headers={"Authorization": f"Bearer {token}"})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as refused:
        return refused.code, json.load(refused)


def token_in(output: str) -> str:
    found = re.search(r"pad_\w+", output)
    assert found is not None
    return found[0]


def models(output: str, token: str) -> set[str]:
    return {price["model"] for price in ask(output, token, "/prices")[1]["data"]}


def test_the_admin_token_is_shown_once_and_replaced_by_a_new_one(tmp_path: Path) -> None:
    config = tmp_path / "penstock.toml"
    config.write_text(CONFIG.format(alias="quick"))
    data = tmp_path / "data"
    with running(data, "serve", "--config", str(config), until="curl") as gateway:
        first = token_in(gateway.printed)
        assert ask(gateway.printed, first, "/status")[0] == 200
        renewed = penstock(data, "admin", "token", "--config", str(config))
        second = token_in(renewed.stdout)
        assert ask(gateway.printed, first, "/status")[0] == 401
        assert ask(gateway.printed, second, "/status")[0] == 200
    with running(data, "serve", "--config", str(config), until="curl") as gateway:
        assert "pad_" not in gateway.printed
        assert ask(gateway.printed, second, "/status")[0] == 200
    assert not [file for file in data.iterdir() if file.is_file() and second.encode() in file.read_bytes()]


def test_a_hangup_reloads_and_a_mistake_changes_nothing(tmp_path: Path) -> None:
    config = tmp_path / "penstock.toml"
    config.write_text(CONFIG.format(alias="quick"))
    with running(tmp_path / "data", "serve", "--config", str(config), until="curl") as gateway:
        token = token_in(gateway.printed)
        assert "quick" in models(gateway.printed, token)
        config.write_text(CONFIG.format(alias="swift"))
        gateway.process.send_signal(signal.SIGHUP)
        deadline = time.monotonic() + 5
        while "swift" not in models(gateway.printed, token):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        config.write_text("[severs]")
        gateway.process.send_signal(signal.SIGHUP)
        time.sleep(0.3)
        assert "swift" in models(gateway.printed, token)
        assert "quick" not in models(gateway.printed, token)
        assert gateway.stop() == 0


def test_a_token_of_the_configuration_is_changed_there(tmp_path: Path) -> None:
    config = tmp_path / "penstock.toml"
    config.write_text('[admin]\ntoken = "admin-token-0123456789"\n')
    assert "stands in the configuration" in complaint(penstock(tmp_path / "data", "admin", "token", "-c", str(config)))
