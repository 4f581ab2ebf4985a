"""Settings are strict: they mean what they say or are refused."""

import pytest

from penstock.core.errors import ClientFault
from penstock.simulator.settings import Settings, parse_settings, split_model


def test_every_setting_can_be_given_as_text():
    text = "ttft=0.2,gap=0.05,length=200,fault=error-before,fault_at=7,status=429,retry_after=3,cache_read=5,cache_write=6,tag=t1"
    assert parse_settings(text, Settings(), "model") == Settings(
        ttft=0.2,
        gap=0.05,
        length=200,
        fault="error-before",
        fault_at=7,
        status=429,
        retry_after=3,
        cache_read=5,
        cache_write=6,
        tag="t1",
    )


def test_what_is_not_given_keeps_its_default():
    assert parse_settings("gap=1", Settings(ttft=2), "model") == Settings(ttft=2, gap=1)


def test_no_text_changes_nothing():
    defaults = Settings(gap=0.5)
    assert parse_settings("  ", defaults, "model") is defaults


def test_white_space_around_names_and_values_is_nothing():
    assert parse_settings(" ttft = 1 , gap = 2 ", Settings(), "model") == Settings(ttft=1, gap=2)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("tfft=1", "did you mean 'ttft'"),
        ("nonsense=1", "there are ttft, gap"),
        ("ttft", "not name=value"),
        ("ttft=1,,gap=1", "not name=value"),
        ("ttft=1,ttft=2", "given twice"),
        ("ttft=soon", "ttft: expected `float`"),
        ("ttft=-1", ">= 0.0"),
        ("ttft=nan", "ttft:"),
        ("gap=inf", "<= 600.0"),
        ("length=0", ">= 1"),
        ("length=1.5", "length:"),
        ("fault=explode", "explode"),
        ("status=200", ">= 400"),
    ],
)
def test_a_mistake_is_refused_with_its_place_and_its_reason(text: str, said: str):
    with pytest.raises(ClientFault, match="x-penstock-sim") as caught:
        parse_settings(text, Settings(), "x-penstock-sim")
    assert said in caught.value.info.message
    assert caught.value.info.kind == "invalid_request"
    assert caught.value.info.param == "x-penstock-sim"


@pytest.mark.parametrize(
    ("model", "expected"),
    [("poet", ("poet", "")), ("poet@gap=0.1,fault=cut", ("poet", "gap=0.1,fault=cut")), ("a@b@c", ("a", "b@c"))],
)
def test_settings_stand_behind_the_at_sign_of_a_model_name(model: str, expected: tuple[str, str]):
    assert split_model(model) == expected
