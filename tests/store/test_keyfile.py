"""The pepper on disk, and the file of keys of the first versions."""

import os
import stat
from pathlib import Path

import pytest

from penstock.core.errors import ConfigError
from penstock.store.keyfile import KeyFile, KeyRecord

RECORD = KeyRecord("a1b2c3d4", "ci", "0" * 64, 1_700_000_000)
WRITTEN = (
    '{"version": 1, "keys": [{"id": "a1b2c3d4", "name": "ci", "digest": "' + "0" * 64 + '", "created": 1700000000}]}'
)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_keys_are_read_as_they_were_written(tmp_path: Path):
    (tmp_path / "keys.json").write_text(WRITTEN)
    assert KeyFile(tmp_path).load() == (RECORD,)


def test_keys_that_were_put_aside_are_not_read_again(tmp_path: Path):
    (tmp_path / "keys.json").write_text(WRITTEN)
    file = KeyFile(tmp_path)
    file.put_aside()
    file.put_aside()
    assert file.load() == ()
    assert (tmp_path / "keys.json.imported").read_text() == WRITTEN


def test_no_file_means_no_keys(tmp_path: Path):
    assert KeyFile(tmp_path / "nowhere").load() == ()
    assert not (tmp_path / "nowhere").exists()


def test_pepper_and_directory_belong_to_their_owner_alone(tmp_path: Path):
    directory = tmp_path / "data" / "penstock"
    KeyFile(directory).pepper(os.urandom)
    assert mode(directory) == 0o700
    assert mode(directory / "pepper") == 0o600


def test_a_wide_umask_does_not_widen_them(tmp_path: Path):
    before = os.umask(0)
    try:
        KeyFile(tmp_path).pepper(os.urandom)
    finally:
        os.umask(before)
    assert mode(tmp_path / "pepper") == 0o600


def test_the_pepper_stays_the_same(tmp_path: Path):
    pepper = KeyFile(tmp_path).pepper(os.urandom)
    assert len(pepper) == 32
    assert KeyFile(tmp_path).pepper(os.urandom) == pepper


def test_of_two_processes_that_start_at_once_the_first_pepper_counts(tmp_path: Path):
    first = KeyFile(tmp_path)

    def other_process_is_faster(size: int) -> bytes:
        first.pepper(lambda n: b"a" * n)
        return b"b" * size

    assert KeyFile(tmp_path).pepper(other_process_is_faster) == b"a" * 32


def test_nothing_is_left_beside_the_pepper(tmp_path: Path):
    KeyFile(tmp_path).pepper(os.urandom)
    assert [path.name for path in tmp_path.iterdir()] == ["pepper"]


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "null", '{"version":1}', '{"version":1,"keys":[{"id":"x"}]}', '{"version":2,"keys":[]}']
)
def test_a_damaged_file_is_an_error_that_names_it(tmp_path: Path, content: str):
    (tmp_path / "keys.json").write_text(content)
    with pytest.raises(ConfigError, match=r"keys\.json: "):
        KeyFile(tmp_path).load()


def test_a_damaged_pepper_is_an_error_that_names_it(tmp_path: Path):
    (tmp_path / "pepper").write_bytes(b"short")
    with pytest.raises(ConfigError, match=r"pepper: damaged"):
        KeyFile(tmp_path).pepper(os.urandom)


def test_a_directory_that_cannot_be_made_is_an_error_that_names_it(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"pepper: cannot be"):
        KeyFile(tmp_path / "file").pepper(os.urandom)
