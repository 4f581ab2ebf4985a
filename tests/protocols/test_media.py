"""Base64 and data URLs in all the spellings that clients use."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.core.errors import ClientFault
from penstock.protocols.media import is_data_url, join_data_url, split_data_url, standard_base64, standard_media_type


@given(st.binary(), st.booleans(), st.booleans(), st.sampled_from(["", "\n", " \r\n"]))
@pytest.mark.covers("P60")
def test_every_spelling_of_base64_becomes_the_standard_one(data: bytes, url: bool, pad: bool, space: str) -> None:
    spelled = (base64.urlsafe_b64encode if url else base64.b64encode)(data).decode()
    spelled = spelled if pad else spelled.rstrip("=")
    spelled = space.join(spelled[start : start + 5] for start in range(0, len(spelled), 5)) + space
    assert standard_base64(spelled, "x") == base64.b64encode(data).decode()


@pytest.mark.parametrize("text", ["a", "ab!d", "é===", "AAAAA", "<svg/>"])
def test_what_is_not_base64_is_a_400_with_its_param(text: str) -> None:
    with pytest.raises(ClientFault, match="not base64") as raised:
        standard_base64(text, "messages[0].content[1]")
    assert raised.value.info.param == "messages[0].content[1]"


@pytest.mark.covers("P60")
@pytest.mark.parametrize(
    ("url", "media_type"),
    [
        ("data:image/png;base64,aGk=", "image/png"),
        ("data:image/jpg;base64,aGk=", "image/jpeg"),
        ("data:IMAGE/PNG;BASE64,aGk", "image/png"),
        ("DATA:image/png;charset=utf-8;base64,aG\n k=", "image/png"),
        (" data:image/png;base64,aGk=\n", "image/png"),
        ("data:;base64,aGk=", ""),
    ],
)
def test_a_data_url_gives_its_media_type_and_its_content(url: str, media_type: str) -> None:
    assert is_data_url(url.strip())
    assert split_data_url(url, "x") == (media_type, "aGk=")


@pytest.mark.parametrize("url", ["data:image/png,hi", "data:image/png;base64", "data:", "data:image/png;base64,a"])
def test_a_data_url_that_cannot_be_read_is_a_400(url: str) -> None:
    with pytest.raises(ClientFault) as raised:
        split_data_url(url, "messages[0]")
    assert raised.value.info.param == "messages[0]"


def test_a_url_is_not_a_data_url() -> None:
    assert not is_data_url("https://example.org/data:image/png;base64,aGk=")


def test_a_data_url_is_what_it_was_made_of() -> None:
    assert split_data_url(join_data_url("image/png", "aGk="), "x") == ("image/png", "aGk=")
    assert join_data_url("", "aGk=") == "data:application/octet-stream;base64,aGk="


@pytest.mark.covers("P60")
@pytest.mark.parametrize(
    ("given", "standard"),
    [
        ("image/jpg", "image/jpeg"),
        ("Image/PNG; q=1", "image/png"),
        ("audio/mp3", "audio/mpeg"),
        ("a/b", "a/b"),
        ("", ""),
    ],
)
def test_a_media_type_has_its_registered_name(given: str, standard: str) -> None:
    assert standard_media_type(given) == standard
