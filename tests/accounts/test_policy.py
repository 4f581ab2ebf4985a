"""What a key may do."""

import pytest

from penstock.accounts.keys import Key
from penstock.accounts.policy import check_key, check_model, may_ask, may_reach
from penstock.core.errors import ClientFault

NOW = 1_800_000_000


def verdict(key: Key, address: str | None = "10.1.2.3", now: float = NOW) -> str | None:
    try:
        check_key(key, address, now)
    except ClientFault as fault:
        return fault.info.code
    return None


def test_a_key_without_restrictions_may_be_used_from_anywhere_for_ever() -> None:
    assert verdict(Key("a", "a"), None, 2.0**60) is None


def test_a_key_is_refused_from_the_second_on_in_which_it_expires() -> None:
    key = Key("a", "a", expires=NOW)
    assert verdict(key, now=NOW - 0.001) is None
    assert verdict(key, now=NOW) == "key_expired"


@pytest.mark.parametrize(
    ("networks", "address", "allowed"),
    [
        (("10.0.0.0/8",), "10.255.255.255", True),
        (("10.0.0.0/8",), "11.0.0.0", False),
        (("10.0.0.0/8",), "::ffff:10.0.0.1", True),
        (("::ffff:10.0.0.0/104",), "10.0.0.1", True),
        (("::ffff:10.0.0.0/104",), "11.0.0.1", False),
        (("192.0.2.7",), "192.0.2.7", True),
        (("192.0.2.7",), "192.0.2.8", False),
        (("fd00::/8",), "fd12::1", True),
        (("fd00::/8",), "fe80::1%eth0", False),
        (("fd00::/8",), "10.0.0.1", False),
        (("0.0.0.0/0",), "fd00::1", False),
        (("10.0.0.0/8", "fd00::/8"), "fd00::1", True),
        (("0.0.0.0/0",), "nonsense", False),
        (("0.0.0.0/0",), None, False),
        (("0.0.0.0/0",), "1.2.3.4, 5.6.7.8", False),
    ],
)
def test_a_key_may_be_used_from_its_networks_alone(
    networks: tuple[str, ...], address: str | None, allowed: bool
) -> None:
    assert verdict(Key("a", "a", networks=networks), address) == (None if allowed else "network_not_allowed")


@pytest.mark.parametrize(
    ("globs", "model", "allowed"),
    [
        (("*",), "anything/at all", True),
        (("demo/*",), "demo/poet", True),
        (("demo/*",), "demo/a/b", True),
        (("demo/*",), "Demo/poet", False),
        (("demo/*",), "xdemo/poet", False),
        (("demo/poet",), "demo/poet@gap=1", False),
        (("demo/poet", "openai/gpt-5*"), "openai/gpt-5.4-mini", True),
        (("openai/gpt-?",), "openai/gpt-5", True),
        (("openai/gpt-?",), "openai/gpt-55", False),
        (("openai/gpt-[45]",), "openai/gpt-3", False),
        (("fast",), "fast", True),
        (("demo/*",), "", False),
    ],
)
def test_a_model_is_matched_with_globs_by_the_name_that_the_client_says(
    globs: tuple[str, ...], model: str, allowed: bool
) -> None:
    assert may_ask(Key("a", "a", globs), model) == allowed


def test_a_model_that_is_not_allowed_is_forbidden() -> None:
    with pytest.raises(ClientFault) as caught:
        check_model(Key("a", "a", ("demo/*",)), "openai/gpt")
    assert (caught.value.info.kind, caught.value.info.code) == ("forbidden", "model_not_allowed")


@pytest.mark.parametrize(
    ("globs", "allowed"),
    [
        (("*",), True),
        (("smart",), True),
        (("s*",), False),
        (("s*", "lab/*"), True),
        (("s*", "lab/large"), True),
        (("s*", "demo/*"), False),
    ],
)
def test_a_pattern_gives_no_model_away_behind_another_name(globs: tuple[str, ...], allowed: bool):
    assert may_reach(Key("a", "a", globs), "smart", "lab/large") == allowed


def told(key: Key, address: str | None = "10.1.2.3") -> str:
    with pytest.raises(ClientFault) as caught:
        check_key(key, address, NOW)
    return caught.value.info.message


def test_whose_key_has_expired_is_told_when_and_what_to_do() -> None:
    message = told(Key("a", "a", expires=1_767_225_600))
    assert "2026-01-01 00:00 UTC" in message
    assert "Ask whoever runs this gateway" in message


def test_who_comes_from_elsewhere_is_told_where_the_gateway_thinks_they_are() -> None:
    assert "10.1.2.3" in told(Key("a", "a", networks=("fd00::/8",)))
