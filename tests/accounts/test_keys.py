"""Keys: their form."""

import re
import secrets

import pytest

from penstock.accounts.directory import KeyDirectory
from penstock.accounts.keys import StaticKey, digest_of, fingerprint, generate, id_of, well_formed

PEPPER = b"p" * 32


def test_a_generated_key_has_a_prefix_an_id_190_random_bits_and_a_checksum():
    key = generate(secrets.randbelow).reveal()
    assert re.fullmatch("pen_[0-9A-Za-z]{46}", key)
    assert well_formed(key)


def test_a_generated_key_is_made_of_nothing_but_the_random_function():
    assert generate(lambda n: 0).reveal() == "pen_" + "0" * 40 + "2kaqcA"


def test_a_key_can_be_made_for_an_id():
    key = generate(secrets.randbelow, "a1B2c3D4")
    assert id_of(key) == "a1B2c3D4"
    assert well_formed(key.reveal())


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


def test_a_digest_depends_on_the_pepper():
    assert digest_of(PEPPER, "secret") != digest_of(b"q" * 32, "secret")


def test_a_fingerprint_tells_peppers_apart_and_fits_a_database():
    prints = {fingerprint(bytes([n]) * 32) for n in range(256)}
    assert len(prints) == 256
    assert all(0 <= one < 2**62 for one in prints)


def test_no_representation_shows_a_key():
    key = generate(secrets.randbelow)
    static = StaticKey("team-a", key)
    for shown in (repr(key), str(key), f"{key}", repr(static), repr(KeyDirectory(PEPPER, [static]))):
        assert key.reveal() not in shown
    assert repr(static) == "StaticKey(name='team-a', key=***, grants=None)"
