"""Seals in transit."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.core.envelope import MARK, unwrap, wrap
from penstock.core.events import Sealed

FORMS = st.sampled_from(["reasoning", "redacted", "tool_call", "text"])
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)
SEALED = st.builds(Sealed, origin=TEXTS, data=TEXTS, form=FORMS)


@given(SEALED)
@pytest.mark.covers("T21")
def test_a_seal_comes_out_of_its_envelope_as_it_went_in(sealed: Sealed) -> None:
    assert unwrap(wrap(sealed)) == sealed


@given(SEALED)
def test_an_envelope_is_valid_standard_base64_and_begins_with_the_mark(sealed: Sealed) -> None:
    envelope = wrap(sealed).encode()
    assert base64.b64encode(base64.b64decode(envelope, validate=True)) == envelope
    assert envelope.startswith(MARK)


def test_the_same_seal_always_has_the_same_envelope() -> None:
    assert wrap(Sealed("lab", "sig")) == wrap(Sealed("lab", "sig"))


@given(st.text())
@pytest.mark.covers("P59")
def test_what_is_no_envelope_has_no_seal(text: str) -> None:
    assert unwrap(text) is None


@given(SEALED, st.data())
def test_a_damaged_envelope_never_raises(sealed: Sealed, data: st.DataObject) -> None:
    envelope = wrap(sealed)
    position = data.draw(st.integers(0, len(envelope) - 1))
    damaged = envelope[:position] + data.draw(st.characters()) + envelope[position + 1 :]
    assert unwrap(damaged) is None or isinstance(unwrap(damaged), Sealed)
    assert unwrap(envelope[:position]) is None


@pytest.mark.parametrize(
    "content", [b"", b"[]", b'["lab","reasoning",""]', b'["lab","nonsense","x"]', b"\xff", b"[1,2,3]"]
)
def test_an_envelope_with_other_content_has_no_seal(content: bytes) -> None:
    assert unwrap(base64.b64encode(b"penstock\x01" + content).decode()) is None
