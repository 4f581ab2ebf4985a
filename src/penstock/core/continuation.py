"""How an answer that broke off is taken up by another call: what was said, what forbids it, and the seam.

Text can be continued, for a model can be shown it; nothing else can. Where the model goes on from a turn that it is
given the beginning of, it is given what was said. Every other one is asked to, and to say the last words once more:
they show that it took up the right thread, and where the new begins.
"""

from collections.abc import Callable, Iterable

from msgspec import Struct
from msgspec.structs import replace

from penstock.core.errors import ErrorInfo, ErrorKind, upstream_error
from penstock.core.events import Cited, Delta, Event, NextChoice, Opaque, PartEnd, PartStart
from penstock.core.request import Ask, Media, Part, ReasoningAsk, Text, ToolResult, Turn
from penstock.core.usage import Usage, estimate_tokens

LOOK_BACK = 200
"""Characters at the end of what was said that are looked for at the beginning of what comes next."""

LEAST_REPEATED = 12
"""Characters that must be the same before they count as said twice; fewer come by chance (`hel`, then `lo`)."""

LEAST_LEFT = 16
"""Tokens of the limit of output; with fewer left there is nothing to go on for."""

LAST_WORDS = 60
"""Characters that a model is asked to repeat, at most."""

GO_ON = """\
Your last message broke off in the middle: the connection was lost. Its last words are:

{}

Begin your reply with exactly these words, and go straight on from there as if nothing had happened. No apology, no \
introduction, no summary."""

_TRANSIENT: frozenset[ErrorKind] = frozenset(
    {"rate_limited", "upstream_error", "overloaded", "timeout", "stream_incomplete"}
)


def may_be_mended(error: ErrorInfo) -> bool:
    """Whether an error says that the same request may succeed elsewhere: it is no fault of the request's."""
    return error.kind in _TRANSIENT and error.code not in {"content_filter", "total_timeout"}


def forbidden(ask: Ask) -> str:
    """Return what in a request forbids that its answer be continued; empty if nothing does."""
    bans = {
        "reasoning": ask.reasoning is not None and ask.reasoning not in _NO_THOUGHTS,
        "output_format": ask.output_format is not None,
        "choices": ask.choices > 1,
        "logprobs": ask.logprobs is not None,
        "seed": ask.seed is not None,
        "temperature": ask.temperature == 0,
        "media": any(_holds_media(part) for turn in ask.turns for part in turn.parts),
    }
    return next((name for name, holds in bans.items() if holds), "")


_NO_THOUGHTS = (ReasoningAsk(), ReasoningAsk(effort="none"), ReasoningAsk(budget=0), ReasoningAsk(show=False))


def _holds_media(part: Part) -> bool:
    return isinstance(part, Media) or (isinstance(part, ToolResult) and any(map(_holds_media, part.content)))


class Spoken:
    """State: what was said of one answer.

    Attributes:
        plain: whether it was nothing but text.
        index: of the part that is open, or of the next.
        open: whether a part is.
    """

    def __init__(self, harmless: Callable[[Opaque], bool]) -> None:
        """Watch an answer; `harmless` tells what nobody knows, and is no content for sure."""
        self.plain = True
        self.index = 0
        self.open = False
        self._harmless = harmless
        self._pieces: list[str] = []

    @property
    def text(self) -> str:
        """All of it."""
        return "".join(self._pieces)

    def hear(self, events: Iterable[Event]) -> None:
        """Take note of what was said."""
        for event in events:
            match event:
                case Delta():
                    self._pieces.append(event.text)
                case PartStart():
                    self.index, self.open = event.index, True
                    self.plain &= event.kind == "text"
                case PartEnd():
                    self.index, self.open = event.index + 1, False
                    self.plain &= event.sealed is None
                case Cited() | NextChoice():
                    self.plain = False
                case Opaque():
                    self.plain &= self._harmless(event)
                case _:
                    pass


class Seam:
    """State: the place where the text of another call meets what was said.

    Attributes:
        joined: whether it is known where the new begins; all that comes then is new.
        repeated: characters that were said twice, and left out.
    """

    def __init__(self, said: str, owed: str, *, trusted: bool) -> None:
        """Join something to `said`.

        Args:
            said: what the client has got.
            owed: the end of it that is to come again, first of all.
            trusted: whether what comes is a continuation even if it does not begin with that.
        """
        self._said = said[-LOOK_BACK:]
        self._owed = len(owed)
        self._trusted = trusted
        self._waiting = ""
        self.joined = False
        self.repeated = 0

    def feed(self, text: str) -> str:
        """Return what is new in a piece of text; what may have been said already waits.

        Raises:
            UpstreamFault: it does not go on where it should.
        """
        if self.joined:
            return text
        self._waiting += text
        return "" if self._may_repeat_more() else self.rest()

    def rest(self) -> str:
        """Return what is new in the text that waits: nothing comes behind it that could tell.

        Raises:
            UpstreamFault: as `feed`.
        """
        if self.joined:
            return ""
        self.joined = True
        self.repeated = self._repeated()
        text, self._waiting = self._waiting[self.repeated :], ""
        return text

    def _may_repeat_more(self) -> bool:
        return self._waiting in self._said[:-1]

    def _repeated(self) -> int:
        """Return how many characters at the beginning of what waits were said already."""
        longest = min(len(self._waiting), len(self._said))
        sizes = [size for size in range(longest, 0, -1) if self._said.endswith(self._waiting[:size])]
        for size in sizes:
            if size >= LEAST_REPEATED and not _periodic(self._waiting[:size]):
                return size
        if self._owed in sizes:
            return self._owed
        if not self._trusted:
            raise upstream_error("The continuation does not begin where the answer broke off.", code="no_continuation")
        return 0


def _periodic(text: str) -> bool:
    """Whether a text is one piece over and over, as rules and tables are: nobody can tell how often it was said."""
    return any(text[period:] == text[:-period] for period in range(1, len(text) // 2 + 1))


class Taken(Struct, frozen=True):
    """How an answer is taken up: what to ask, and where what comes is joined to what was said."""

    ask: Ask
    seam: Seam


def prefilled(ask: Ask, said: str) -> Taken:
    """Take up an answer with a model that goes on from the beginning of a turn, which may not end in a blank."""
    beginning = said.rstrip()
    turns = _with_said(ask.turns, beginning) if beginning else ask.turns
    return Taken(_rest_of(ask, turns, said), Seam(said, said[len(beginning) :], trusted=True))


def asked_on(ask: Ask, said: str) -> Taken:
    """Take up an answer with a model that has to be asked to go on."""
    beginning = said.rstrip()
    if not beginning:
        return prefilled(ask, said)
    at = _last_words(beginning)
    turns = (*_with_said(ask.turns, beginning), Turn("user", (Text(GO_ON.format(beginning[at:])),)))
    return Taken(_rest_of(ask, turns, said), Seam(said, said[at:], trusted=False))


def left(ask: Ask, said: str) -> int | None:
    """Return how many tokens of the limit of output are left; None if there is no limit."""
    return None if ask.max_output is None else ask.max_output - estimate_tokens(len(said.encode("utf-8", "replace")))


def one_run(before: Usage, usage: Usage, repeated: int) -> Usage:
    """Return the usage of an answer as if it had not been broken off: its input once, and the output that was shown.

    Args:
        before: of what was said before the break.
        usage: of what continued it.
        repeated: tokens of that which were not shown.
    """
    # Each piece is counted up to a whole token: what two of them lose together, one run would have had once.
    shown = (usage.output or 0) - (usage.reasoning or 0) - repeated - 1
    return replace(before, output=(before.output or 0) + max(0, shown), estimated=True)


def counted_back(before: Usage, usage: Usage) -> Usage:
    """Return the usage of what was said before a break, whose input was only estimated: of two estimates the lower.

    What continued it was given the same input and what was said, so its count of both is the other estimate.
    """
    if usage.estimated:
        return before
    given = max(1, usage.input - (before.output or 0))
    return replace(before, uncached=min(before.uncached or given, given))


def _rest_of(ask: Ask, turns: tuple[Turn, ...], said: str) -> Ask:
    return replace(ask, turns=turns, max_output=left(ask, said))


def _with_said(turns: tuple[Turn, ...], said: str) -> tuple[Turn, ...]:
    """Return a conversation with what was said; the client itself may have begun the turn."""
    last = turns[-1]
    if last.role != "assistant":
        return (*turns, Turn("assistant", (Text(said),)))
    before = last.parts[-1]
    parts = (*last.parts[:-1], Text(before.text + said)) if isinstance(before, Text) else (*last.parts, Text(said))
    return (*turns[:-1], Turn("assistant", parts))


def _last_words(said: str) -> int:
    """Return where the last words of a text begin: with a word, where there are words."""
    at = len(said) - LAST_WORDS
    if at <= 0:
        return 0
    return next((i + 1 for i in range(at, len(said) - LEAST_REPEATED) if said[i].isspace()), at)
