"""The house rules. Each is a function from code to complaints, one test that there are none, and one that it complains."""

import ast
import functools
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "penstock"
MODULES = sorted(SOURCE.rglob("*.py"))

MAX_FILE = 500
MAX_FUNCTION = 40

PROTOCOL_WORDS = {"openai", "anthropic", "gemini"}
"""Names of providers that are names of wire protocols as well; as such the code must say them."""

ENGLISH = {"together", "fireworks"}
"""Names of providers that are English words: only a text that is nothing else counts."""

ON_THE_WIRE = {
    ("protocols/openai_chat/wire.py", "groq"): "the name of a field, x_groq",
    ("protocols/openai_chat/write_messages.py", "google"): "the name of a field beside tool calls",
    ("protocols/gemini/errors.py", "google"): "part of a type, google.rpc.ErrorInfo",
    ("upstreams/redact.py", "xai"): "what keys begin with",
}
"""Words that others put on the wire and that the code must know, by module."""

DEMO_TEXT = ("cli/", "simulator/")
"""Packages whose texts show the user what to type, with real providers in them."""

HTTP = {"aiohttp", "httptools", "aiohappyeyeballs", "httpx", "httpx2", "urllib3", "requests"}
"""Libraries that speak HTTP."""

LOCKS = re.compile(r"(.*[.-]lock(\.\w+)?|.*lock\.(json|ya?ml)|(constraints|requirements).*\.txt|package\.json|\.npmrc)")
ADDRESS = re.compile(r"\w+://|\s@\s")
NOT_OURS = {".git", ".venv", "node_modules", "__pycache__", "build", "dist"}


@functools.cache  # one tree for all rules
def parsed(code: str) -> ast.Module:
    return ast.parse(code)


def nodes(code: str, *types: type[ast.AST]) -> Iterator[ast.AST]:
    return (node for node in ast.walk(parsed(code)) if isinstance(node, types))


def long_files(code: str) -> list[str]:
    lines = len(code.splitlines())
    return [f"{lines} lines"] if lines > MAX_FILE else []


def long_functions(code: str) -> list[str]:
    sizes = {
        node.name: (node.end_lineno or node.lineno) - node.lineno + 1
        for node in nodes(code, ast.FunctionDef, ast.AsyncFunctionDef)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    return [f"{name} has {size} lines" for name, size in sizes.items() if size > MAX_FUNCTION]


def missing_docstrings(code: str) -> list[str]:
    tree = parsed(code)
    missing = [] if ast.get_docstring(tree) else ["the module has no docstring"]
    waiting: list[ast.Module | ast.ClassDef] = [tree]
    while waiting:
        for node in waiting.pop().body:
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith(
                "_"
            ):
                if not ast.get_docstring(node):
                    missing.append(f"{node.name} has no docstring")
                if isinstance(node, ast.ClassDef):
                    waiting.append(node)
    return missing


def providers_named(code: str, providers: set[str], module: str = "") -> list[str]:
    """Return the providers that the code itself names. Docstrings and comments may name them as sources."""
    tree = parsed(code)
    docstrings = {
        id(statement.value) for statement in ast.walk(tree) if isinstance(statement, ast.Expr)
    }  # a string that stands alone says something about what is beside it
    found: list[str] = []
    for node in ast.walk(tree):
        words: set[str] = set()
        if isinstance(node, ast.Constant) and isinstance(node.value, str | bytes) and id(node) not in docstrings:
            text = node.value if isinstance(node.value, str) else node.value.decode("latin-1")
            words = set(re.findall(r"[a-z0-9]+(?:-[a-z0-9]+)*", text.lower()))
            words -= ENGLISH - {text.lower()}
        elif name := getattr(node, "id", None) or getattr(node, "attr", None) or getattr(node, "name", None):
            words = set(str(name).lower().replace("-", "_").split("_"))
        words = {word for word in words & providers if (module, word) not in ON_THE_WIRE}
        found += [f"{word}, in line {getattr(node, 'lineno', 0)}" for word in sorted(words)]
    return found


def misplaced_http(code: str, module: str) -> list[str]:
    """Return the uses of HTTP libraries that do not belong in `module`, a path inside the package."""
    server = module.startswith(("simulator/", "cli/"))
    client = module.startswith("cli/")
    own = module in {"server/connection.py", "upstreams/transport.py", "upstreams/connection.py"}
    found: list[str] = []
    for node in ast.walk(parsed(code)):
        names: list[str] = []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        for name in names:
            library = name.partition(".")[0]
            if name.startswith("aiohttp.web"):
                allowed = server
            elif library == "aiohttp":
                allowed = client
            else:
                allowed = own or library not in HTTP
            if not allowed:
                found.append(f"imports {name}")
    return found


def addresses(text: str) -> list[str]:
    return [line for line in text.splitlines() if ADDRESS.search(line) and not line.lstrip().startswith("#")]


def layers_broken(folder: Path) -> str:
    """Return what import-linter says of the contracts in `folder`, or nothing if they are kept."""
    run = subprocess.run(
        [
            sys.executable,
            "-c",
            "from importlinter.cli import lint_imports_command; lint_imports_command()",
            "--no-cache",
        ],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    return run.stdout + run.stderr if run.returncode else ""


def complaints(rule: str, found: dict[Path, list[str]]) -> str:
    return "\n".join([rule, *(f"{path.relative_to(ROOT)}: {line}" for path, lines in found.items() for line in lines)])


def each_module(check: object) -> dict[Path, list[str]]:
    assert callable(check)
    return {path: lines for path in MODULES if (lines := check(path.read_text()))}


def test_a_module_imports_only_from_below() -> None:
    assert layers_broken(ROOT) == ""


def test_an_import_from_above_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(
        '[tool.importlinter]\nroot_package = "house"\n[[tool.importlinter.contracts]]\nname = "layers"\n'
        'type = "layers"\nlayers = ["house.roof", "house.cellar"]\n'
    )
    package = tmp_path / "house"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "roof.py").touch()
    (package / "cellar.py").write_text("import house.roof\n")
    assert "house.cellar -> house.roof" in layers_broken(tmp_path)


def test_files_are_short() -> None:
    found = each_module(long_files)
    assert not found, complaints(f"more than {MAX_FILE} lines: split it", found)


def test_a_long_file_is_noticed() -> None:
    assert long_files("\n" * 500) == []
    assert long_files("\n" * 501) == ["501 lines"]


def test_functions_are_short() -> None:
    found = each_module(long_functions)
    assert not found, complaints(f"more than {MAX_FUNCTION} lines: split it", found)


def test_a_long_function_is_noticed() -> None:
    assert long_functions("def f():\n" + "    1\n" * 39) == []
    assert long_functions("class A:\n async def f():\n" + "    1\n" * 40) == ["f has 41 lines"]


def test_everything_public_has_a_docstring() -> None:
    found = each_module(missing_docstrings)
    assert not found, complaints("say what it does", found)


def test_a_missing_docstring_is_noticed() -> None:
    assert missing_docstrings("class A:\n  def f(self): ...\n  def _g(self): ...\n") == [
        "the module has no docstring",
        "A has no docstring",
        "f has no docstring",
    ]


def test_no_code_names_a_provider() -> None:
    rows = tomllib.loads((SOURCE / "upstreams" / "providers.toml").read_text())
    providers = {name for name in rows if not name.startswith("demo")} - PROTOCOL_WORDS
    assert len(providers) >= 16
    found: dict[Path, list[str]] = {}
    for path in MODULES:
        module = path.relative_to(SOURCE).as_posix()
        if not module.startswith(DEMO_TEXT) and (named := providers_named(path.read_text(), providers, module)):
            found[path] = named
    assert not found, complaints("a provider is a row in providers.toml, and its behaviour is a named quirk", found)


@pytest.mark.parametrize(
    "code",
    [
        'if provider == "deepseek": ...',
        "def fix_deepseek(chunk): ...",
        "class Deepseek: ...",
        "deepseek_url = 1",
        "quirks.deepseek = 1",
        'URL = "https://api.deepseek.com"',
        'PREFIX = b"deepseek-"',
    ],
)
def test_a_provider_in_code_is_noticed(code: str) -> None:
    assert providers_named(code, {"deepseek", "llama-cpp"})


def test_a_provider_in_a_docstring_or_a_comment_is_a_source() -> None:
    code = '"""As deepseek does."""\n# deepseek\nLIMIT = 1\n"""What deepseek allows."""\nx = "put together"\n'
    assert providers_named(code, {"deepseek", "together"}) == []
    assert providers_named('x = "together"', {"together"})


def test_http_stays_where_it_belongs() -> None:
    found = {
        path: lines
        for path in MODULES
        if (lines := misplaced_http(path.read_text(), path.relative_to(SOURCE).as_posix()))
    }
    assert not found, complaints("only the two connections, the simulator and the commands know HTTP libraries", found)


def test_misplaced_http_is_noticed() -> None:
    assert misplaced_http("from aiohttp import web", "gateway/relay.py") == ["imports aiohttp.web"]
    assert misplaced_http("from aiohttp.web import Request", "upstreams/transport.py")
    assert misplaced_http("import aiohttp", "server/app.py") == ["imports aiohttp"]
    assert misplaced_http("from aiohttp import ClientSession", "gateway/relay.py")
    assert misplaced_http("import httptools", "gateway/relay.py") == ["imports httptools"]
    assert misplaced_http("import httptools", "upstreams/connection.py") == []
    assert misplaced_http("import httptools", "server/connection.py") == []
    assert misplaced_http("import httptools", "server/endpoints.py")
    assert misplaced_http("from aiohttp import web", "server/app.py")
    assert misplaced_http("from aiohttp import web", "simulator/app.py") == []


def test_no_lock_file_has_a_download_address() -> None:
    locks: list[Path] = []
    for folder, folders, files in os.walk(ROOT):
        folders[:] = [name for name in folders if name not in NOT_OURS]
        locks += [Path(folder, name) for name in files if LOCKS.fullmatch(name)]
    assert ROOT / "constraints.txt" in locks
    found = {path: lines for path in locks if (lines := addresses(path.read_text()))}
    assert not found, complaints("versions only: whoever installs says from where", found)


def test_a_download_address_is_noticed() -> None:
    assert addresses("a==1\nb @ file\n") == ["b @ file"]
    assert addresses('"resolved": "https://example.org/a.tgz"')
    assert addresses("registry=http://example.org")
    assert addresses("# see https://example.org\na==1") == []
    assert all(LOCKS.fullmatch(name) for name in ["uv.lock", "package-lock.json", "pnpm-lock.yaml", "constraints.txt"])
