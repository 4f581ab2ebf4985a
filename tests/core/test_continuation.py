"""How an answer that broke off is taken up."""

import pytest

from penstock.core.continuation import LEAST_REPEATED, Seam, asked_on, forbidden, left, prefilled
from penstock.core.errors import UpstreamFault
from penstock.core.request import Ask, Media, OutputFormat, ReasoningAsk, Text, Turn

TEXT = (
    "The sea was calm when the boat left the harbour, and nobody on board had any idea of what the night would bring. "
    "Anna stood at the rail, holding her hat; the wind tugged at it.\n\n"
    "```python\nfor item in items:\n    print(item, end='')\n```\n\n"
    "Später, viel später, wird es Nacht. 船は静かに進み、星が出た。 And then — at last — all was still, all was well."
)
QUESTION = Ask("m", (Turn("user", (Text("Tell me."),)),))


def joined(seam: Seam, text: str, step: int) -> str:
    pieces = [seam.feed(text[at : at + step]) for at in range(0, len(text), step)]
    return "".join(pieces) + seam.rest()


@pytest.mark.parametrize("step", [1, 3, 17, 1000])
def test_what_goes_on_exactly_is_joined_as_it_is_at_every_place(step: int) -> None:
    for cut in range(1, len(TEXT)):
        said = TEXT[:cut]
        shown = said.rstrip()
        seam = prefilled(QUESTION, said).seam
        assert said + joined(seam, TEXT[len(shown) :], step) == TEXT, cut


@pytest.mark.parametrize("repeats", [LEAST_REPEATED, 20, 33, 50])
def test_what_is_said_twice_is_left_out(repeats: int) -> None:
    for cut in range(repeats, len(TEXT)):
        seam = prefilled(QUESTION, TEXT[:cut]).seam
        assert TEXT[:cut] + joined(seam, TEXT[cut - repeats :], 5) == TEXT, cut


@pytest.mark.parametrize("repeats", range(0, 51, 5))
def test_who_repeats_the_last_words_may_repeat_more(repeats: int) -> None:
    for cut in range(1, len(TEXT)):
        taken = asked_on(QUESTION, TEXT[:cut])
        asked = taken.ask.turns[-1].parts[0]
        assert isinstance(asked, Text)
        words = asked.text.partition(":\n\n")[2].rpartition("\n\nBegin")[0]
        at = max(0, len(TEXT[:cut].rstrip()) - len(words) - repeats)
        assert TEXT[:cut] + joined(taken.seam, TEXT[at:], 7) == TEXT, cut


def test_who_was_asked_for_the_last_words_and_says_others_has_lost_the_thread() -> None:
    seam = asked_on(QUESTION, TEXT[:200]).seam
    with pytest.raises(UpstreamFault):
        joined(seam, "Certainly! Here is the rest of the story: the night was long.", 4)


def test_a_rule_that_goes_on_is_no_repetition() -> None:
    said = "| a | b |\n" + "-" * 40
    assert said + joined(prefilled(QUESTION, said).seam, "-" * 30 + "\n", 3) == said + "-" * 30 + "\n"


def test_the_turn_that_a_client_began_goes_on() -> None:
    ask = Ask("m", (Turn("user", (Text("Tell me."),)), Turn("assistant", (Text("Once"),))))
    assert prefilled(ask, " upon a ").ask.turns[1:] == (Turn("assistant", (Text("Once upon a"),)),)


def test_what_was_said_counts_against_the_limit() -> None:
    ask = Ask("m", QUESTION.turns, max_output=100)
    assert left(ask, "x" * 40) == 90
    assert prefilled(ask, "x" * 40).ask.max_output == 90


@pytest.mark.parametrize(
    ("what", "ask"),
    [
        ("reasoning", Ask("m", QUESTION.turns, reasoning=ReasoningAsk(effort="low"))),
        ("output_format", Ask("m", QUESTION.turns, output_format=OutputFormat())),
        ("choices", Ask("m", QUESTION.turns, choices=2)),
        ("logprobs", Ask("m", QUESTION.turns, logprobs=0)),
        ("seed", Ask("m", QUESTION.turns, seed=1)),
        ("temperature", Ask("m", QUESTION.turns, temperature=0)),
        ("media", Ask("m", (Turn("user", (Media("image", url="https://example.com/a.png"),)),))),
    ],
)
def test_what_text_alone_cannot_promise_is_not_continued(what: str, ask: Ask) -> None:
    assert forbidden(ask) == what
    assert forbidden(QUESTION) == ""
