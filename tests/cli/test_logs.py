"""Lines of the log: one JSON object each, whatever a client or an exception says."""

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

from penstock.cli.logs import configure_logs


class Stderr:
    """A standard error that is no terminal."""

    def __init__(self) -> None:
        self.buffer = io.BytesIO()

    def isatty(self) -> bool:
        return False

    def write(self, text: str) -> None:
        self.buffer.write(text.encode())

    @property
    def lines(self) -> list[bytes]:
        return self.buffer.getvalue().split(b"\n")[:-1]


@pytest.fixture
def stderr(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stderr]:
    before = structlog.get_config()
    stderr = Stderr()
    monkeypatch.setattr(sys, "stderr", stderr)
    root = logging.getLogger()
    handlers, root.handlers = root.handlers, []
    configure_logs("debug")
    yield stderr
    root.handlers = handlers
    structlog.configure(**before)


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

    @settings(max_examples=5000, database=None)
    @given(PAYLOADS)
    def check(payload: str) -> None:
        stderr.buffer.seek(0)
        stderr.buffer.truncate()
        log.info("refused", path=payload, model=payload)
        (line,) = stderr.lines
        assert not UNSAFE.search(line.decode())
        said = json.loads(line)
        assert (said["event"], said["path"], said["model"]) == ("refused", payload, payload)

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
