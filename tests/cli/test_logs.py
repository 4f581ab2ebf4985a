"""Lines of the log: one JSON object each, whatever a client or an exception says."""

import contextlib
import io
import json
import logging
import re
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from penstock.cli.logs import configure_logs
from penstock.cli.masking import Masking, masked_by, secrets_of, tell_short_secrets
from penstock.config import parse


class Stderr:
    """A standard error."""

    def __init__(self, *, terminal: bool = False) -> None:
        self.buffer = io.BytesIO()
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal

    def write(self, text: str) -> None:
        self.buffer.write(text.encode())

    def flush(self) -> None:
        pass

    @property
    def lines(self) -> list[bytes]:
        return self.buffer.getvalue().split(b"\n")[:-1]


@contextlib.contextmanager
def configured(stderr: Stderr, monkeypatch: pytest.MonkeyPatch) -> Iterator[Masking]:
    before = structlog.get_config()
    monkeypatch.setattr(sys, "stderr", stderr)
    root = logging.getLogger()
    handlers, root.handlers = root.handlers, []
    yield configure_logs("debug")
    root.handlers = handlers
    structlog.configure(**before)


@pytest.fixture
def stderr(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stderr]:
    stderr = Stderr()
    with configured(stderr, monkeypatch):
        yield stderr


def test_an_entry_that_stands_for_several_is_a_line_each(stderr: Stderr) -> None:
    structlog.get_logger().info("call", each=[{"request_id": "req_1"}, {"request_id": "req_2"}])

    lines = [json.loads(line) for line in stderr.lines]
    assert [(line["event"], line["level"], line["request_id"]) for line in lines] == [
        ("call", "info", "req_1"),
        ("call", "info", "req_2"),
    ]


def test_on_a_terminal_it_is_a_line_each_too(monkeypatch: pytest.MonkeyPatch) -> None:
    stderr = Stderr(terminal=True)
    with configured(stderr, monkeypatch):
        structlog.get_logger().info("call", each=[{"request_id": "req_1"}, {"request_id": "req_2"}])

    assert [b"req_1" in stderr.lines[0], b"req_2" in stderr.lines[1]] == [True, True]


def entry(stderr: Stderr) -> Any:
    (line,) = stderr.lines
    return json.loads(line)


PAYLOADS = st.text(
    st.one_of(st.characters(), st.sampled_from('\r\n\t\0\x1b\x7f\x85\x9b\u2028\u2029\ud800\udfff"\\'))
) | st.sampled_from(['x"}\n{"event":"call","key":"root"}', "\x1b]0;owned\x07\x1b[2J", "a\r\nb", "\\u000a", "\ud83d"])

UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")


@pytest.mark.promise("5.7")
def test_five_thousand_payloads_are_five_thousand_lines(stderr: Stderr) -> None:
    log = structlog.get_logger("test")

    @settings(max_examples=500, database=None)
    @given(st.lists(PAYLOADS, min_size=10, max_size=10))  # to draw them one by one takes as long as all else here
    def check(payloads: list[str]) -> None:
        for payload in payloads:
            logged(payload)

    def logged(payload: str) -> None:
        stderr.buffer.seek(0)
        stderr.buffer.truncate()
        log.info("refused", path=payload, model=payload)
        (line,) = stderr.lines
        assert not UNSAFE.search(line.decode())
        said = json.loads(line)
        meant = payload.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")  # two halves are a whole
        assert (said["event"], said["path"], said["model"]) == ("refused", meant, meant)

    check()


def test_what_a_library_logs_is_a_line_like_all_others(stderr: Stderr) -> None:
    logging.getLogger("somelib").warning("two\nlines")
    said = entry(stderr)
    assert (said["event"], said["level"], said["name"], said["says"]) == ("library", "warning", "somelib", "two\nlines")


def test_a_traceback_is_in_one_line(stderr: Stderr) -> None:
    try:
        raise ValueError("first\nsecond")
    except ValueError:
        structlog.get_logger("test").exception("defect")
    assert entry(stderr)["exception"].endswith("ValueError: first\nsecond")


def test_a_traceback_shows_no_values_of_variables(stderr: Stderr) -> None:
    key = "-".join(["canary", "in", "a", "variable"])
    try:
        raise ValueError(len(key))
    except ValueError:
        structlog.get_logger("test").exception("defect")
    assert key.encode() not in stderr.buffer.getvalue()


@pytest.mark.parametrize(
    ("words", "secret"),
    [
        ("cannot use sk-proj-abcdefghijklmnop0123", "abcdefghijklmnop0123"),
        ("Authorization: Bearer abcdefghijklmnop0123", "abcdefghijklmnop0123"),
        ("postgresql://penstock:hunter2canary@db/penstock refused", "hunter2canary"),
        ("redis://:hunter2canary@cache:6379/0 refused", "hunter2canary"),
    ],
)
def test_a_credential_that_an_exception_quotes_is_overwritten(stderr: Stderr, words: str, secret: str) -> None:
    try:
        raise RuntimeError(words)
    except RuntimeError:
        structlog.get_logger("test").exception("defect")
    logging.getLogger("somelib").error(words)
    assert secret.encode() not in stderr.buffer.getvalue()
    assert len(stderr.lines) == 2


# ---- secrets that the process knows ----------------------------------------------------------------------------------

ENVIRON = {
    "OPENAI_API_KEY": "odd/provider+key=of-no-known-shape",
    "TEAM_KEY": "team/key+canary",
    "ADMIN": "admin/token+canary",
    "PEPPER": "c0ffee00" * 8,
    "STORE": "postgresql://penstock:data%2Fbase+canary@127.0.0.1:1/penstock",
    "REDIS": "redis://:red%2Fis+canary@127.0.0.1:1/0",
    "HEADER": "header/of+a+provider",
}
CONFIG = """
admin.token = "${ADMIN}"
store = { url = "${STORE}", pepper = "${PEPPER}" }
shared.url = "${REDIS}"
providers.lab = { protocol = "openai-chat", base_url = "http://127.0.0.1:1/v1", headers = { x-org = "${HEADER}" } }
[[keys]]
name = "team"
key = "${TEAM_KEY}"
"""
SECRETS = [*ENVIRON.values(), "data%2Fbase+canary", "data/base+canary", "red/is+canary"]


def test_every_secret_of_the_configuration_and_the_environment_is_known() -> None:
    known = set(secrets_of(parse(CONFIG, ENVIRON), ENVIRON))
    assert set(SECRETS) <= known


@pytest.mark.parametrize("terminal", [False, True], ids=["json", "terminal"])
@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.promise("5.3")
def test_a_secret_that_is_known_is_overwritten_wherever_it_stands(
    secret: str, terminal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    stderr = Stderr(terminal=terminal)
    with configured(stderr, monkeypatch) as mask:
        mask.learn(secrets_of(parse(CONFIG, ENVIRON), ENVIRON))
        log = structlog.get_logger("test")
        try:
            raise RuntimeError(f"what is\n{secret}")
        except RuntimeError:
            log.exception("defect", path=f"/v1/{secret}", given={"deep": [secret]})
        log.debug(f"said {secret!r}")
        logging.getLogger("somelib").error("a library says %s", secret)
        written = stderr.buffer.getvalue()
    assert secret.encode() not in written
    assert json.dumps(secret)[1:-1].encode() not in written
    assert written.count(b"[key]") >= 5
    assert b"RuntimeError" in written


def test_what_others_say_on_a_terminal_is_masked_by_its_shape_too(monkeypatch: pytest.MonkeyPatch) -> None:
    stderr = Stderr(terminal=True)
    with configured(stderr, monkeypatch):
        try:
            raise RuntimeError("cannot use sk-proj-abcdefgh/ijklmnop+0123")
        except RuntimeError:
            structlog.get_logger("test").exception("defect")
    assert b"cannot use [key]" in stderr.buffer.getvalue()
    assert b"ijklmnop" not in stderr.buffer.getvalue()


def test_what_is_in_too_many_words_is_not_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    stderr = Stderr()
    with configured(stderr, monkeypatch) as mask:
        mask.learn(["none"])
        structlog.get_logger("test").info("call", error="none")
    assert json.loads(stderr.buffer.getvalue())["error"] == "none"


SHORT = """
[server]
host = "127.0.0.1"
[providers.own]
protocol = "openai-chat"
base_url = "http://127.0.0.1:1/v1"
api_key = "sk-1"
[shared]
url = "redis://:red@127.0.0.1:6379/0"
"""


def test_a_secret_that_is_too_short_to_be_masked_is_told_of_at_the_start() -> None:
    """To overwrite "sk-1" wherever it stands would spoil other words; whoever sets it has to know that it is shown."""
    mask = Masking()
    with capture_logs() as lines:
        environ = {"OPENAI_API_KEY": "short"}
        tell_short_secrets(masked_by(mask, parse(SHORT, {}), environ), environ)

    told = [line["where"] for line in lines if line["event"] == "secret_too_short"]
    assert sorted(told) == ["providers.openai.credential", "providers.own.api_key", "shared.url"]
    assert "sk-1" not in str(lines)
    assert mask.line("model task-1 of sk-1") == "model task-1 of sk-1"


def test_secrets_of_eight_characters_are_masked_and_not_told_of() -> None:
    with capture_logs() as lines:
        tell_short_secrets(parse(SHORT.replace("sk-1", "sk-12345").replace(":red@", ":red12345@"), {}), {})
    assert lines == []
