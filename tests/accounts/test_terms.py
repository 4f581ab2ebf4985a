"""What a key may do, as people write it."""

import pytest
from msgspec import convert

from penstock.accounts.keys import Budget, Key, Limits
from penstock.accounts.terms import Terms, written_budget, written_moment
from penstock.config import parse
from penstock.core.errors import ClientFault, ConfigError

PLAIN = Key("A1", "ci")


def test_what_is_not_said_stays_as_it_is() -> None:
    key = Key("A1", "ci", ("demo/*",), Limits(1, 2, 3), Budget(5, "tokens", "day"), 9, ("10.0.0.0/8",), {"a": "b"})
    assert Terms().applied_to(key) == key
    assert Terms(streams=None).applied_to(key).limits == Limits(1, 2, None)
    assert Terms(budget=None, expires=None, networks=()).applied_to(key) == Key(
        "A1", "ci", ("demo/*",), Limits(1, 2, 3), labels={"a": "b"}
    )


def test_everything_can_be_said() -> None:
    said = {
        "models": ["demo/*"],
        "requests_per_minute": 60,
        "budget": {"usd": "10.50", "per": "month"},
        "expires": "2027-01-15T10:00:00+02:00",
        "networks": ["fd00::/8"],
        "labels": {"team": "搜索"},
    }
    key = convert(said, Terms).applied_to(PLAIN)
    assert key == Key(
        "A1",
        "ci",
        ("demo/*",),
        Limits(60),
        Budget(10_500_000_000, "usd", "month"),
        1_800_000_000,
        ("fd00::/8",),
        {"team": "搜索"},
    )
    assert written_budget(key.budget) == said["budget"]
    assert written_moment(key.expires) == "2027-01-15T08:00:00Z"


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"models": []}, "models: at least one"),
        ({"models": ["demo/*", "a b"]}, r"models\[1\]: 'a b'"),
        ({"streams": 0}, "streams: expected a number from 1"),
        ({"budget": {"per": "day"}}, "budget: either usd or tokens"),
        ({"budget": {"usd": 1, "tokens": 1, "per": "day"}}, "budget: either usd or tokens"),
        ({"budget": {"usd": "1e3", "per": "day"}}, "budget.usd: expected dollars"),
        ({"budget": {"tokens": -1, "per": "day"}}, "budget.tokens: "),
        ({"expires": "soon"}, "expires: 'soon' is not a date"),
        ({"expires": "9999-12-31T23:59:59-23:59"}, "expires: .* is not a date"),
        ({"networks": ["10.0.0.1/8"]}, r"networks\[0\]: .*host bits"),
        ({"networks": ["everywhere"]}, r"networks\[0\]: "),
        ({"labels": {"a b": "c"}}, "labels: 'a b'"),
        ({"labels": {"a": "c\n"}}, "labels.a: "),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_path(said: dict[str, object], told: str) -> None:
    with pytest.raises(ClientFault, match=f"^{told}"):
        convert(said, Terms).applied_to(PLAIN)


def test_keys_of_the_config_have_terms_too() -> None:
    text = """
        [[keys]]
        name = "a"
        key = "12345678"
        models = ["demo/*"]
        budget = { tokens = 5, per = "total" }
        expires = 2027-01-15
    """
    (key,) = parse(text, {}).keys
    assert key.granted() == Key(
        "config:a", "a", ("demo/*",), budget=Budget(5, "tokens", "total"), expires=1_799_971_200
    )


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('networks = ["x"]', r"keys\[0\]\.networks\[0\]: "),
        ('modles = ["x"]', r'keys\[0\]\.modles: unknown key; did you mean "models"\?'),
        ("budget = { usd = 1.5, per = 'day' }", r"keys\[0\]\.budget\.usd: "),
        ("budget = { usd = 1, per = 'week' }", r"keys\[0\]\.budget\.per: "),
        ('grants = "x"', r"keys\[0\]\.grants: unknown key"),
    ],
)
def test_mistakes_in_the_config_are_told_with_their_path(line: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        parse(f'[[keys]]\nname = "a"\nkey = "12345678"\n{line}\n', {})


@pytest.mark.parametrize("pepper", ["", "short", "g" * 64, "a" * 63])
def test_a_pepper_is_64_hexadecimal_digits(pepper: str) -> None:
    with pytest.raises(ConfigError, match=r"store\.pepper: expected 64 hexadecimal digits"):
        parse(f'[store]\npepper = "{pepper}"\n', {})
