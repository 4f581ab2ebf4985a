"""`penstock keys`, as a user meets it."""

import asyncio
import json
import re
from pathlib import Path

import pytest
import sqlalchemy as sa
from typer.testing import CliRunner

from penstock.cli import app
from penstock.store.database import Database
from penstock.store.schema import BUDGETS


def run(*arguments: str, status: int = 0) -> str:
    result = CliRunner().invoke(app, ["keys", *arguments])
    assert result.exit_code == status, result.output
    return result.output


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PENSTOCK_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path / "data"


def test_a_key_is_made_shown_once_limited_rotated_and_revoked() -> None:
    made = json.loads(
        run("create", "ci", "--model", "demo/*", "--budget", "10.5/month", "--label", "team=search", "--json")
    )
    assert made["secret"].startswith(f"pen_{made['id']}")
    assert made["budget"] == {"usd": "10.50", "per": "month"}
    assert made["secret"] not in run("show", "ci") + run("list") + run("list", "--json")
    changed = json.loads(run("limit", "ci", "--streams", "5", "--budget", "none", "--expires", "30d", "--json"))
    assert (changed["streams"], changed["budget"], changed["models"]) == (5, None, ["demo/*"])
    assert changed["expires"] is not None
    rotated = run("rotate", "ci", "--grace", "7d")
    assert f"pen_{made['id']}" in rotated
    assert "The one before it works until" in rotated
    assert f"Key ci ({made['id']}) is revoked" in run("revoke", "ci")
    assert run("list").startswith("There are no keys.")
    assert "revoked" in run("list", "--revoked")


def test_a_key_with_a_budget_says_what_is_left_of_it_and_when_it_resets(data: Path) -> None:
    made = json.loads(run("create", "ci", "--budget", "10.5/total", "--json"))
    asyncio.run(_spend(data, made["id"], "usd", spent=500_000_000, held=10**9))
    lines = [line.split() for line in run("show", "ci").splitlines()]
    first = lines.index(["budget", "$10.50", "in", "total"])
    assert lines[first + 1 : first + 5] == [
        ["spent", "$0.50"],
        ["held", "$1.00"],
        ["left", "$9.00"],
        ["resets", "never"],
    ]
    spending = {"spent": "0.50", "held": "1.00", "left": "9.00", "resets_at": None}
    assert json.loads(run("show", "ci", "--json"))["spending"] == spending
    assert json.loads(run("list", "--json"))[0]["spending"] == spending


def test_a_budget_of_a_day_resets_at_the_next_midnight() -> None:
    run("create", "ci", "--budget", "1000000tokens/day")
    shown = run("show", "ci")
    assert re.search(r"^left +1,000,000 tokens *$", shown, re.MULTILINE)
    assert re.search(r"^resets +\d{4}-\d\d-\d\d 00:00:00 UTC *$", shown, re.MULTILINE)


async def _spend(data: Path, key: str, unit: str, *, spent: int, held: int) -> None:
    database = await Database.open(data / "penstock.db")
    row = {"key": key, "unit": unit, "period": "total", "spent": spent, "held": held}
    async with database.changing() as connection:
        await connection.execute(sa.insert(BUDGETS).values(row))
    await database.close()


def test_keys_of_the_config_are_listed_but_not_managed(tmp_path: Path) -> None:
    config = tmp_path / "penstock.toml"
    config.write_text('[[keys]]\nname = "team-a"\nkey = "not-to-be-shown"\nmodels = ["demo/*"]\n')
    listed = run("list", "--config", str(config))
    assert "config:team-a" in listed
    assert "not-to-be-shown" not in listed + run("show", "team-a", "--config", str(config))
    assert "change it there" in run("revoke", "config:team-a", "--config", str(config), status=2)
    assert "already the name" in run("create", "team-a", "--config", str(config), status=2)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--budget", "5/week"),
        ("--budget", "$5tokens/day"),
        ("--streams", "many"),
        ("--label", "x"),
        ("--expires", "soon"),
    ],
)
def test_an_option_that_makes_no_sense_is_told_in_one_line(option: str, value: str) -> None:
    told = run("create", "ci", option, value, status=2)
    assert told.startswith("penstock: ")
    assert option.strip("-") in told
    assert told.count("\n") == 1


def test_help_has_examples() -> None:
    assert "penstock keys create team-search --budget 200/month" in run("create", "--help")
