"""`penstock usage` and `penstock prices`, as a user meets them."""

import asyncio
import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from penstock.accounts.price_list import VERSION
from penstock.cli import app
from penstock.server.admin.shapes import RequestShown
from penstock.store.database import Database
from tests.store.rows import write_requests
from tests.store.test_usage import NOV_21, ROWS, row

RUN = CliRunner()
FROM = ("--from", "2026-11-01")


async def _write(path: Path, *rows: dict[str, Any]) -> None:
    database = await Database.open(path)
    await write_requests(database, rows)
    await database.close()


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data directory in which the rows of the store's tests are."""
    monkeypatch.setenv("PENSTOCK_DATA_DIR", str(tmp_path))
    asyncio.run(_write(tmp_path / "penstock.db", *ROWS))
    return tmp_path


@pytest.fixture
def retried(data: Path) -> None:
    """A request r9 that was answered at its second attempt, a tenth of a second after the first."""
    first = row(
        "r9", NOV_21, state="retried", provider="lab", upstream_model="tiny", end="failed", error="overloaded",
        uncached=None, output=None, usage_source="estimate", cost=0, first_output_ms=None, duration_ms=40,
    )  # fmt: skip
    second = row("r9", NOV_21, attempts=2, started_ms=NOV_21 + 100, cache_read=50, cache_write=10, cost=1500)
    for one in (first, second):
        asyncio.run(_write(data / "penstock.db", one))


def printed(*arguments: str) -> str:
    result = RUN.invoke(app, arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


def mistake(*arguments: str) -> str:
    result = RUN.invoke(app, arguments)
    assert result.exit_code == 2
    return result.stderr


def test_a_table_has_a_line_for_each_group_and_one_for_all(data: Path):
    lines = printed("usage", "--by", "key", *FROM).splitlines()
    assert [line.split() for line in lines[2:5]] == [
        ["k2", "team-b", "2", "1", "100", "0", "10", "$0.0000"],
        ["k1", "team-a", "3", "1", "360", "50", "30", "$0.0000", "+", "?"],
        ["all", "5", "2", "460", "50", "40", "$0.0000", "+", "?"],
    ]


def test_it_says_what_the_sums_do_not_hold(data: Path):
    assert printed("usage", *FROM).splitlines()[-2:] == [
        "? 1 requests have no known price; see penstock prices.",
        "1 requests were cut or not counted by their provider; theirs are estimates.",
    ]


@pytest.mark.parametrize("by", ["day", "key", "model,provider", "day,key"])
def test_json_and_csv_have_the_same_numbers(data: Path, by: str):
    groups: list[dict[str, Any]] = json.loads(printed("usage", "--by", by, "--json", *FROM))["data"]
    rows = list(csv.DictReader(io.StringIO(printed("usage", "--by", by, "--csv", *FROM))))
    assert len(groups) == len(rows) > 0
    for group, line in zip(groups, rows, strict=True):
        ends = group.pop("ends")
        assert {name: str(value) for name, value in group.items()}.items() <= line.items()
        assert {name: int(line[name]) for name in line.keys() - group.keys() if line[name] != "0"} == ends


def test_the_total_is_the_sum_of_the_groups(data: Path):
    told = json.loads(printed("usage", "--by", "model", "--json", *FROM))
    for name in ("requests", "input_tokens", "output_tokens", "cache_read_tokens", "unpriced_requests"):
        assert told["total"][name] == sum(group[name] for group in told["data"])
    assert told["total"]["cost_usd"] == "0.0000085"


@pytest.mark.parametrize("who", ["k2", "team-b"])
def test_a_key_is_found_by_its_id_or_its_name(data: Path, who: str):
    assert json.loads(printed("usage", "--key", who, "--json", *FROM))["total"]["requests"] == 2


def test_a_day_as_the_end_is_meant_with_all_of_it(data: Path):
    told = json.loads(printed("usage", "--json", *FROM, "--to", "2026-11-21"))
    assert [group["day"] for group in told["data"]] == ["2026-11-21"]
    assert told["total"]["requests"] == 2


def test_where_there_was_nothing_it_says_so(data: Path):
    assert printed("usage", "--model", "none", *FROM).splitlines()[-1] == "No requests."


def test_mistakes_are_one_line(data: Path):
    assert mistake("usage", "--by", "kye") == (
        'penstock: --by: unknown group "kye"; did you mean "key"? Known: day, key, model, provider.\n'
    )
    assert mistake("usage", "--from", "soon").startswith('penstock: "soon" is not a day')
    assert mistake("prices", "openia/x").startswith('penstock: There is no model "openia/x".')


def test_a_request_is_shown_with_each_of_its_attempts(retried: None):
    lines = [line.split() for line in printed("usage", "--request", "r9").splitlines()]
    assert lines[0] == ["request", "r9"]
    assert ["key", "team-a", "(k1)"] in lines
    assert ["end", "completed"] in lines
    assert ["cost", "$0.0000015"] in lines
    began = ["2026-11-21", "00:00:00", "UTC"]
    assert lines[-2:] == [
        ["1", "lab/tiny", "failed:", "overloaded", *began, "-", "40", "ms", "-", "-", "-", "estimate", "$0.00"],
        ["2", "openai/gpt-5.4-mini", "completed", "2026-11-21", "00:00:00.100", "UTC", "5", "ms", "50", "ms",
         "160", "50", "10", "provider", "$0.0000015"],
    ]  # fmt: skip


def test_a_request_is_told_to_programs_as_the_admin_api_tells_it(retried: None):
    told = json.loads(printed("usage", "--request", "r9", "--json"))
    assert set(told["request"]) == set(RequestShown.__struct_fields__)
    assert (told["request"]["attempts"], told["request"]["uncached_tokens"]) == (2, 100)
    assert [(one["number"], one["state"], one["end"], one["cost_usd"]) for one in told["attempts"]] == [
        (1, "retried", "failed", "0.00"),
        (2, "settled", "completed", "0.0000015"),
    ]


def test_a_request_that_is_under_way_has_attempts_only(data: Path):
    asyncio.run(_write(data / "penstock.db", row("r9", NOV_21, state="open", end=None, usage_source=None, cost=None)))
    told = json.loads(printed("usage", "--request", "r9", "--json"))
    assert (told["request"], told["attempts"][0]["state"]) == (None, "open")
    assert printed("usage", "--request", "r9").count("under way") == 2


def test_a_request_that_nobody_knows_is_told_in_one_line(data: Path):
    result = RUN.invoke(app, ["usage", "--request", "req_0"])
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "penstock: There is no request 'req_0'. One that reached no provider is not kept.\n"


def test_help_shows_how_to_ask_for_one_request():
    assert "penstock usage --request req_" in printed("usage", "--help")


@pytest.mark.parametrize("option", ["--csv", "--by=key", "--from=2026-11-21", "--key=k1"])
def test_a_request_is_asked_for_alone(option: str):
    assert mistake("usage", "--request", "r1", option) == "penstock: --request: stands alone, or with --json\n"


def test_a_price_says_what_is_charged_and_where_it_comes_from():
    line = printed("prices", "anthropic/claude-opus-5.5").splitlines()[2]
    assert line.split() == ["anthropic/claude-opus-5.5", "4.00", "0.20", "5.00", "8.00", "20.00", *VERSION.split()]


def test_a_price_that_rises_with_the_input_has_a_line_for_each_step():
    assert printed("prices", "openai/gpt-5.4").splitlines()[3].split() == [
        "input", "over", "272,000", "5.00", "0.50", "-", "-", "22.50",
    ]  # fmt: skip


def test_a_model_without_a_price_is_unknown():
    assert printed("prices", "openai/no-such-model").split()[-1] == "unknown"


def test_a_price_of_the_configuration_is_shown_as_such(tmp_path: Path):
    path = tmp_path / "penstock.toml"
    path.write_text('[prices."openai/*"]\ninput = "0.000001"\noutput = 1\n[models.fast]\ntarget = "demo/poet"')
    assert printed("prices", "openai/gpt-5.4", "-c", str(path)).splitlines()[2].split() == [
        "openai/gpt-5.4", "0.000001", "-", "-", "-", "1.00", "config",
    ]  # fmt: skip


def test_without_a_model_all_that_are_listed_are_shown():
    shown = printed("prices")
    assert "demo/poet" in shown
    assert shown.splitlines()[2].split()[-1] == "free"
