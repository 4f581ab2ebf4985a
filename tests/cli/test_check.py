"""`penstock check` as a user meets it: what it prints, how it ends, and that it never shows a key."""

import asyncio
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import get_args

import pytest

from penstock.conformance.report import Breach, Check, Figures, Outcome, ProtocolReport, Report
from tests.cli.processes import complaint, penstock
from tests.conformance.endpoint import KEY as SECRET
from tests.conformance.endpoint import Answer, Call, Script, endpoint, good, stream, whole
from tests.sdk.running import model, running_gateway
from tests.serving import KEY
from tools import rule_tables

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def gateway() -> Iterator[str]:
    with running_gateway() as address:
        yield address


@contextmanager
def serving(script: Script) -> Iterator[str]:
    """Serve a script in a thread of its own."""
    addresses: list[str] = []
    ready, loop, stop = threading.Event(), asyncio.new_event_loop(), asyncio.Event()

    async def serve() -> None:
        async with endpoint(script) as url:
            addresses.append(url)
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()), daemon=True)
    thread.start()
    assert ready.wait(10)
    try:
        yield addresses[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
        loop.close()


def broken(call: Call) -> Answer:
    """Say the role twice, quote the key, and know nothing else."""
    if not call.path.endswith("/chat/completions"):
        return whole({"detail": "Not Found"}, 404)
    if not isinstance(call.body, dict) or "messages" not in call.body:
        return whole({"error": {"message": f"bad {call.headers.get('authorization')}"}}, 400)
    return stream(good("openai-chat").replace(b'{"content":', b'{"role":"assistant","content":'))


def test_a_good_endpoint_is_a_table_and_status_0(tmp_path: Path, gateway: str) -> None:
    arguments = ("check", gateway, "--model", model("demo", "tools"), "--key", KEY)
    result = penstock(tmp_path, *arguments)
    assert result.returncode == 0, result.stdout
    assert "no rule violated" in result.stdout
    assert re.search(r"first token \d+\.\d ms", result.stdout)
    assert re.search(r"passed +two tool calls at once +2 calls", result.stdout)
    assert KEY not in result.stdout + result.stderr


def test_a_violation_is_shown_with_its_consequence_and_status_1(tmp_path: Path) -> None:
    with serving(broken) as url:
        result = penstock(tmp_path, "check", f"{url}/v1", "--model", "m", "--key", SECRET)
    assert result.returncode == 1
    assert "chat.role-once" in result.stdout
    assert 'The role becomes "assistantassistant" in openai-python.' in result.stdout
    assert SECRET not in result.stdout + result.stderr


def test_json_is_the_documented_form(tmp_path: Path) -> None:
    with serving(broken) as url:
        result = penstock(tmp_path, "check", f"{url}/v1", "--model", "m", "--key", SECRET, "--json")
    assert result.returncode == 1
    report = json.loads(result.stdout)
    assert report["penstock_check"] == 1
    assert report["ok"] is False
    page = (ROOT / "docs/check.md").read_text("utf-8")
    for struct in (Report, ProtocolReport, Check, Breach, Figures):
        assert all(
            f"{name}`" in page for name in struct.__struct_fields__ if name not in {"protocols", "checks", "breaches"}
        )
    (one,) = report["protocols"]
    assert set(one) == set(ProtocolReport.__struct_fields__)
    assert {check["outcome"] for check in one["checks"]} <= set(get_args(Outcome))
    assert SECRET not in result.stdout


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("http://127.0.0.1:1",), "cannot be reached"),
        (("nonsense",), "http://"),
        (("http://127.0.0.1:1", "--protocol", "smtp"), "openai-chat"),
        (("http://127.0.0.1:1", "--key", "line\nbreak"), "visible ASCII"),
    ],
)
def test_what_cannot_be_checked_is_one_line_and_status_2(tmp_path: Path, arguments: tuple[str, ...], word: str) -> None:
    assert word in complaint(penstock(tmp_path, "check", *arguments))


def test_a_place_where_nobody_speaks_the_protocol_is_status_2(tmp_path: Path) -> None:
    with serving(lambda _: whole({"detail": "Not Found"}, 404)) as url:
        assert "any of the four protocols" in complaint(penstock(tmp_path, "check", url))


def test_an_endpoint_that_wants_a_key_says_so(tmp_path: Path, gateway: str) -> None:
    assert "--key" in complaint(penstock(tmp_path, "check", gateway))


@pytest.mark.parametrize("command", ["check", "record"])
def test_help_teaches(tmp_path: Path, command: str) -> None:
    result = penstock(tmp_path, command, "--help")
    assert result.returncode == 0
    assert f"penstock {command}" in result.stdout
    assert "http" in result.stdout


def test_the_documentation_lists_every_rule() -> None:
    text = rule_tables.PAGE.read_text("utf-8")
    assert rule_tables.page(text) == text
