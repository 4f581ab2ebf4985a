"""What the documentation says is true: its code runs, its examples are read, its tables are those of the code."""

import functools
import importlib.util
import io
import itertools
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
import urllib.request
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, get_args

import aiohttp
import msgspec
import pytest
from aiohttp.test_utils import TestServer
from msgspec import Struct

from penstock.accounts.price_settings import PriceSettings
from penstock.config import (
    AdminSettings,
    Config,
    Limits,
    ResponsesSettings,
    ServerSettings,
    SharedSettings,
    StoreSettings,
    StreamsSettings,
    load,
    parse,
)
from penstock.core.errors import ConfigError, ErrorInfo, ErrorKind
from penstock.protocols.base import ModelFacts
from penstock.protocols.registry import PROTOCOLS
from penstock.simulator.settings import Fault, Settings
from penstock.upstreams.providers import known_rows
from penstock.upstreams.settings import Access, AliasSettings, ProviderRow, ProviderSettings
from penstock.upstreams.timeouts import Timeouts
from tests.sdk.running import running_gateway
from tests.serving import KEY

ROOT = Path(__file__).parent.parent
READMES = (ROOT / "README.md", ROOT / "README.zh-CN.md")
PAGES = (
    *READMES,
    ROOT / "CONTRIBUTING.md",
    ROOT / "bench/README.md",
    ROOT / "chaos/README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
)
TYPESCRIPT = ROOT / "tests/sdk/typescript"
EXAMPLES = ROOT / "examples"

ADDRESS = "http://127.0.0.1:8080"
MODELS = {
    "openai/gpt-5.4-mini": "demo",
    "anthropic/claude-sonnet-4.6": "demo-anthropic",
    "google/gemini-3.1-flash-lite": "demo-gemini",
}
"""The models of the examples, and the demo provider that plays each one's part."""


class Block(Struct, frozen=True):
    """A fenced block of code and the comment that stands before it, without its dashes; empty if there is none."""

    mark: str
    language: str
    code: str


def blocks(page: Path) -> list[Block]:
    found = re.findall(r"(?:<!-- (.*?) -->\n)?^```(\w*)\n(.*?)^```$", page.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    return [Block(*groups) for groups in found]


RUN = list(dict.fromkeys(block for page in READMES for block in blocks(page) if block.mark.startswith("run")))
BREAKING = [block for block in RUN if block.mark == "run: may break"]


def cells(page: Path, first: str) -> dict[str, list[str]]:
    """Return the rows of the table whose head begins with `first`, by their first cell, without back ticks."""
    lines = page.read_text("utf-8").split(f"\n| {first} |", 1)[1].split("\n\n", 1)[0].splitlines()[2:]
    rows = [[cell.strip().replace("`", "") for cell in line.strip("|").split("|")] for line in lines]
    return {row[0]: row[1:] for row in rows}


# Code


@pytest.fixture(scope="module")
def gateway() -> Iterator[str]:
    with running_gateway() as address:
        yield address


def run(block: Block, gateway: str, directory: Path, settings: str = "gap=0,ttft=0") -> str:
    """Return what a block prints when it is pointed at a running gateway."""
    script = "tools" if block.mark == "run: tools" else "poet"
    code = block.code.replace(ADDRESS, gateway).replace("pen_...", KEY)
    for model, provider in MODELS.items():
        code = code.replace(model, f"{provider}/{script}@{settings}")
    assert code.count(gateway) == 1
    assert code.count(KEY) == 1
    assert code.count(settings) == 1
    return RUNNERS[block.language](code, directory)


def run_python(code: str, _: Path) -> str:
    printed = io.StringIO()
    exec(compile(code, "README", "exec"), {"print": functools.partial(print, file=printed)})
    return printed.getvalue()


def run_shell(code: str, _: Path) -> str:
    """Run curl; where there is none, send what it would send."""
    if shutil.which("curl"):
        return subprocess.run(["bash", "-c", code], check=True, capture_output=True, text=True).stdout
    _, _, address, _, header, _, body = shlex.split(code.replace("\\\n", ""))
    request = urllib.request.Request(address, body.encode(), dict([header.split(": ")]))
    with urllib.request.urlopen(request) as response:
        return response.read().decode()


def run_typescript(code: str, directory: Path) -> str:
    modules = TYPESCRIPT / "node_modules"
    assert modules.is_dir(), (
        f"the TypeScript SDKs are not installed: (cd {TYPESCRIPT.relative_to(ROOT)} && npm install)"
    )
    node = shutil.which("node", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    assert node, "Node is not installed: pip install -e '.[test]'"
    (directory / "node_modules").symlink_to(modules)
    (directory / "package.json").write_text('{"type": "module"}')
    (directory / "readme.ts").write_text(code)
    return subprocess.run([node, "readme.ts"], cwd=directory, check=True, capture_output=True, text=True).stdout


EXPECTED = {
    "run: tools": "get_weather {'city': 'Paris'}",
    "bash": "data: [DONE]",
    "python": "the water starts to speak",
    "typescript": "the water starts to speak",
}
RUNNERS = {"python": run_python, "bash": run_shell, "typescript": run_typescript}


@pytest.mark.parametrize("block", RUN, ids=lambda block: f"{block.language}-{block.code.split(maxsplit=2)[1]}")
def test_the_code_of_the_readme_runs_with_address_key_and_model_changed(block: Block, gateway: str, tmp_path: Path):
    printed = run(block, gateway, tmp_path)
    assert EXPECTED.get(block.mark, EXPECTED[block.language]) in printed
    assert "incomplete" not in printed
    assert (re.search(r"\[\d+ tokens in, [1-9]\d* out\]", printed) is not None) is (block in BREAKING)


@pytest.mark.parametrize("fault", ["cut", "end", "error-mid"])
@pytest.mark.parametrize("block", BREAKING, ids=lambda block: block.code.split(maxsplit=2)[1])
def test_the_code_of_the_readme_notices_a_break(block: Block, fault: str, gateway: str, tmp_path: Path):
    text, _, end = run(block, gateway, tmp_path, f"gap=0,ttft=0,fault={fault}").partition("\n[incomplete: ")
    assert text
    assert end
    assert "tokens in" not in text


def test_both_readmes_have_the_same_code():
    english, chinese = (blocks(page) for page in READMES)
    assert english == chinese
    assert {block.language for block in RUN} == set(RUNNERS)


def test_both_readmes_have_the_same_shape():
    def shape(page: Path) -> list[str]:
        text = re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
        return re.findall(r"^(?:#+ |- |    .*|\| `.*)|\]\((?!README).*?\)", text, re.MULTILINE)

    assert shape(READMES[0]) == shape(READMES[1])


def test_the_models_of_the_readme_are_ones_that_the_catalog_lists():
    for model in MODELS:
        provider, _, name = model.partition("/")
        row = known_rows()[provider]
        assert row.names.get(name, name) in row.models


def test_the_readme_shows_what_serve_prints(tmp_path: Path):
    shown = next(block.code for block in blocks(READMES[0]) if block.code.startswith("Penstock listens"))
    environ = {"PATH": os.environ["PATH"], "PENSTOCK_DATA_DIR": str(tmp_path), "OPENAI_API_KEY": "sk-some-secret"}
    config = tmp_path / "penstock.toml"
    config.write_text("[server]\nport = 0\n[admin]\nport = 0\n")
    command = [sys.executable, "-m", "penstock", "serve", "-c", str(config), "--log-level", "debug"]
    with subprocess.Popen(command, env=environ | {"PYTHONUNBUFFERED": "1"}, stdout=subprocess.PIPE, text=True) as serve:
        printed = ""
        while "Try it:" not in printed:
            line = serve.stdout.readline()
            assert line, "it ended early"
            printed += line
        serve.terminate()
    printed = re.sub(r"127\.0\.0\.1:\d+(?=/admin)", "127.0.0.1:8081", re.sub(r"(pen|pad)_\w+", r"\1_...", printed))
    printed = re.sub(r"127\.0\.0\.1:(?!8081)\d+", "127.0.0.1:8080", printed)
    assert printed.startswith(shown)


# Examples


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def page_server(gateway: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[aiohttp.ClientSession]:
    monkeypatch.setenv("PENSTOCK_URL", gateway)
    monkeypatch.setenv("PENSTOCK_KEY", KEY)
    spec = importlib.util.spec_from_file_location("serve_page", EXAMPLES / "serve_page.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    async with TestServer(module.make_app()) as server, aiohttp.ClientSession(server.make_url("/")) as session:
        yield session


async def read_into(read: list[bytes], body: aiohttp.StreamReader) -> None:
    while chunk := await body.readany():
        read.append(chunk)


def question(settings: str) -> dict[str, Any]:
    return {"model": f"demo/poet@{settings}", "stream": True, "messages": [{"role": "user", "content": "hi"}]}


@pytest.mark.anyio
async def test_the_page_is_served_without_the_key(page_server: aiohttp.ClientSession):
    async with page_server.get("/") as response:
        text = await response.text()
    assert 'fetch("/chat"' in text
    assert KEY not in text
    assert "innerHTML" not in text


@pytest.mark.anyio
async def test_the_page_gets_its_stream_while_it_is_made(page_server: aiohttp.ClientSession):
    async with page_server.post("/chat", json=question("gap=0.01")) as response:
        assert response.headers["Content-Type"].startswith("text/event-stream")
        chunks: list[bytes] = []
        await read_into(chunks, response.content)
    assert len(chunks) > 3
    assert b"".join(chunks).endswith(b"data: [DONE]\n\n")


@pytest.mark.anyio
async def test_the_page_sees_a_break_as_a_break(page_server: aiohttp.ClientSession):
    async with page_server.post("/chat", json=question("gap=0,fault=cut")) as response:
        read: list[bytes] = []
        with pytest.raises(aiohttp.ClientPayloadError):
            await read_into(read, response.content)
    assert b'"error"' in b"".join(read)
    assert b"[DONE]" not in b"".join(read)


@pytest.mark.anyio
async def test_the_page_server_refuses_what_another_site_could_send(page_server: aiohttp.ClientSession):
    async with page_server.post("/chat", data=b"{}", headers={"Content-Type": "text/plain"}) as response:
        assert response.status == 415


# Configuration

SIMULATOR = "http://127.0.0.1:1"

GOOD = [block.code for page in PAGES for block in blocks(page) if block.language == "toml" and not block.mark]
BAD = [
    (block.code, message.code.strip())
    for page in PAGES
    for block, message in itertools.pairwise(blocks(page))
    if block.mark == "mistake"
]


def environ_of(text: str) -> dict[str, str]:
    """Return an environment in which every variable that a configuration names is set, each to another text."""
    names = dict.fromkeys(re.findall(r"\$\{(\w+)\}", text))
    return {name: f"{number:02x}" * 32 for number, name in enumerate(names)}


@pytest.mark.parametrize("text", GOOD)
def test_a_configuration_in_the_documentation_is_read(text: str):
    config = parse(text, environ_of(text))
    config.price_book(config.catalog({}, SIMULATOR))


@pytest.mark.parametrize(("text", "message"), BAD)
def test_a_mistake_in_the_documentation_is_answered_as_it_says(text: str, message: str):
    with pytest.raises(ConfigError) as caught:
        parse(text, {}).catalog({}, SIMULATOR)
    assert f"penstock: {caught.value}" == message


def test_the_documentation_shows_mistakes():
    assert len(BAD) > 5


def test_the_example_configuration_is_read_and_holds_every_section():
    path = EXAMPLES / "penstock.toml"
    catalog = load(path, environ_of(path.read_text("utf-8"))).catalog({}, SIMULATOR)
    assert catalog.resolve("fast").target.model == "gpt-5.4-mini"
    assert catalog.resolve("lab/tiny-2").target.facts.max_output == 4096
    assert set(tomllib.loads(path.read_text("utf-8"))) == set(Config.__struct_fields__) - {"source"}


@pytest.mark.parametrize(
    ("first", "struct"),
    [
        ("server key", ServerSettings),
        ("limit", Limits),
        ("admin key", AdminSettings),
        ("store key", StoreSettings),
        ("shared key", SharedSettings),
        ("provider key", ProviderSettings),
        ("access key", Access),
        ("fact", ModelFacts),
        ("model key", AliasSettings),
        ("timeout", Timeouts),
        ("streams key", StreamsSettings),
        ("responses key", ResponsesSettings),
        ("price", PriceSettings),
    ],
)
def test_the_documentation_has_every_key(first: str, struct: type[Struct]):
    table = cells(ROOT / "docs/configuration.md", first)
    fields = msgspec.structs.fields(struct)
    assert sorted(table) == sorted(field.encode_name for field in fields)
    for field in fields:
        if isinstance(field.default, str | int | bool):
            assert table[field.encode_name][1].strip('"') == str(field.default).removesuffix("()").lower()


# Tables


def test_the_table_of_providers_is_that_of_the_catalog():
    table = cells(ROOT / "docs/providers.md", "provider")
    assert table == {name: _row(row) for name, row in known_rows().items() if "<simulator>" not in row.base_url}


def _row(row: ProviderRow) -> list[str]:
    variables = [" or ".join(row.api_key_env), row.base_url_env]
    also, variable = ", ".join(row.also), ", ".join(filter(None, variables))
    return [row.title, row.protocol, also, row.base_url, variable, ", ".join(row.quirks)]


@pytest.mark.parametrize("page", READMES, ids=lambda page: page.name)
def test_the_readme_names_every_provider_and_a_variable_that_it_reads(page: Path):
    pairs = dict(re.findall(r"\| `([a-z-]+)` \| ((?:`[A-Z_]+`(?:, )?)+)", page.read_text("utf-8")))
    rows = {name: row for name, row in known_rows().items() if "<simulator>" not in row.base_url}
    assert set(pairs) == set(rows)
    for name, variables in pairs.items():
        assert set(re.findall("[A-Z_]+", variables)) <= {*rows[name].api_key_env, rows[name].base_url_env}


def test_the_table_of_errors_is_what_each_protocol_writes():
    table = cells(ROOT / "docs/errors.md", "condition")
    assert list(table) == list(get_args(ErrorKind))
    for kind, (_, *spelled) in table.items():
        assert spelled == [_spelled(name, ErrorInfo(kind, "why")) for name in PROTOCOLS]


def _spelled(protocol: str, info: ErrorInfo) -> str:
    status, body = PROTOCOLS[protocol].write_error(info, "req_1")
    error = msgspec.json.decode(body)["error"]
    words = [error[name] for name in ("type", "code", "status") if isinstance(error.get(name), str)]
    return " ".join([str(status), *words])


REFERENCE = ROOT / "docs/protocols.md"


def test_every_section_that_the_code_cites_is_in_the_reference():
    cited: set[str] = set()
    for source in (*(ROOT / "src").rglob("*.py"), *(ROOT / "tools").rglob("*.py")):
        for numbers in re.findall(
            r"[Ss]ections? ([\d., andto-]+?)(?= of|\)|$)", source.read_text("utf-8"), re.MULTILINE
        ):
            cited.update(re.findall(r"\d+(?:\.\d+)?", numbers))
    headings = set(re.findall(r"^#+ (\d+(?:\.\d+)?) ", REFERENCE.read_text("utf-8"), re.MULTILINE))
    assert cited
    assert cited <= headings


def test_the_reference_has_every_pitfall_once():
    numbers = re.findall(r"^\| (\d+) \|", REFERENCE.read_text("utf-8"), re.MULTILINE)
    assert [int(number) for number in numbers] == list(range(1, 121))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path):
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text("utf-8")):
        assert (page.parent / target).exists(), target


def test_the_faults_of_the_simulator_are_documented():
    page = ROOT / "docs/simulator.md"
    assert set(cells(page, "fault")) | {"none"} == set(get_args(Fault))
    assert set(", ".join(cells(page, "setting")).split(", ")) == set(Settings.__struct_fields__)
