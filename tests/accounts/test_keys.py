"""Keys: their form, and how one is recognised."""

import re
import secrets
from pathlib import Path

import pytest

from penstock.accounts.keys import Keyring, StaticKey, first_key, generate, id_of, issue, well_formed
from penstock.core.errors import ClientFault, ConfigError
from penstock.core.secret import Secret
from penstock.store.keyfile import KeyFile

PEPPER = b"p" * 32


def refusal(ring: Keyring, secret: str) -> ClientFault:
    with pytest.raises(ClientFault) as caught:
        ring.authenticate(secret)
    assert caught.value.info.kind == "unauthenticated"
    assert secret not in caught.value.info.message
    return caught.value


def test_a_generated_key_has_a_prefix_an_id_190_random_bits_and_a_checksum():
    key = generate(secrets.randbelow).reveal()
    assert re.fullmatch("pen_[0-9A-Za-z]{46}", key)
    assert well_formed(key)


def test_a_generated_key_is_made_of_nothing_but_the_random_function():
    assert generate(lambda n: 0).reveal() == "pen_" + "0" * 40 + "2kaqcA"


def test_no_two_generated_keys_are_the_same():
    assert len({generate(secrets.randbelow) for _ in range(100)}) == 100


def test_every_mistyped_character_is_noticed():
    key = generate(secrets.randbelow).reveal()
    for index in range(len(key)):
        wrong = key[:index] + ("a" if key[index] != "a" else "b") + key[index + 1 :]
        assert not well_formed(wrong)


@pytest.mark.parametrize("text", ["", "pen_", "pen_short", "sk-something", "pen_" + "a" * 200])
def test_other_text_is_not_well_formed(text: str):
    assert not well_formed(text)


def test_a_static_key_is_recognised_by_its_text():
    ring = Keyring(PEPPER, [StaticKey("team-a", Secret("any text will do"))])
    assert ring.authenticate("any text will do").name == "team-a"


def test_an_issued_key_is_recognised_and_known_by_its_id(tmp_path: Path):
    file = KeyFile(tmp_path)
    key = issue(file, PEPPER, "ci", secrets.randbelow, 1_700_000_000)
    found = Keyring(PEPPER, stored=file.load()).authenticate(key.reveal())
    assert (found.name, found.id) == ("ci", id_of(key))


def test_several_keys_live_side_by_side(tmp_path: Path):
    file = KeyFile(tmp_path)
    keys = [issue(file, PEPPER, name, secrets.randbelow, 0) for name in ("a", "b", "c")]
    ring = Keyring(PEPPER, [StaticKey("static", Secret("s" * 20))], file.load())
    assert [ring.authenticate(key.reveal()).name for key in keys] == ["a", "b", "c"]
    assert len(ring) == 4


def test_a_key_is_worth_nothing_under_another_pepper(tmp_path: Path):
    file = KeyFile(tmp_path)
    key = issue(file, PEPPER, "ci", secrets.randbelow, 0)
    refusal(Keyring(b"q" * 32, stored=file.load()), key.reveal())


def test_a_foreign_key_is_told_apart_from_a_mistyped_and_an_unknown_one():
    ring = Keyring(PEPPER)
    key = generate(secrets.randbelow).reveal()
    assert "not issued by this gateway" in refusal(ring, "sk-abcdef").info.message
    assert "mistyped" in refusal(ring, key[:-1]).info.message
    assert "revoked" in refusal(ring, key).info.message
    assert refusal(ring, key).info.code == "invalid_api_key"


def test_a_key_that_is_not_text_is_refused_like_any_other():
    refusal(Keyring(PEPPER), "pen_\udce9")


def test_the_same_key_under_two_names_is_a_mistake():
    twice = [StaticKey("a", Secret("same-secret")), StaticKey("b", Secret("same-secret"))]
    with pytest.raises(ConfigError, match='"b" and "a" are the same key'):
        Keyring(PEPPER, twice)


def test_the_first_key_is_made_once(tmp_path: Path):
    file = KeyFile(tmp_path)
    key = first_key(file, PEPPER, secrets.randbelow, 0)
    assert key is not None
    assert Keyring(PEPPER, stored=file.load()).authenticate(key.reveal()).name == "first"
    assert first_key(file, PEPPER, secrets.randbelow, 0) is None


def test_no_representation_shows_a_key(tmp_path: Path):
    key = generate(secrets.randbelow)
    static = StaticKey("team-a", key)
    issue(KeyFile(tmp_path), PEPPER, "ci", lambda n: 1, 0)
    for shown in (repr(key), str(key), f"{key}", repr(static), repr(Keyring(PEPPER, [static]))):
        assert key.reveal() not in shown
    assert repr(static) == "StaticKey(name='team-a', key=***)"
