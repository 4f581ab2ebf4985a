"""The items of an answer, each reported to the answer's assembler: a message, reasoning, a call.

An item is told up to four times: in pieces, whole at the end of each piece, whole at its own end, and whole in the last
event of the stream. Servers leave out any of these (case T18). So what was said once counts, and whatever tells it
again adds only what is missing.
"""

from typing import Literal

from msgspec import Raw

from penstock.core.assembly import Assembler
from penstock.core.errors import UpstreamFault
from penstock.core.events import Citation, PartKind
from penstock.protocols.openai_logprobs import Logprob, read_tokens
from penstock.protocols.openai_responses import stream_wire as wire
from penstock.protocols.openai_responses.namespaces import joined
from penstock.wire import payload

SaidKind = Literal["text", "refusal"]
ThoughtKind = Literal["summary_text", "reasoning_text"]
CallKind = Literal["tool_call", "custom_call"]

_SECTION_BREAK = "\n\n"
_SAID: dict[str, SaidKind] = {"output_text": "text", "text": "text", "refusal": "refusal"}
_annotation = payload.ProviderDecoder(wire.Annotation)


class _Piece:
    """A text or a refusal inside a message; itself the key of its part."""

    __slots__ = ("cited", "over", "said", "told")

    def __init__(self) -> None:
        self.said = False
        self.told = False  # log probabilities came
        self.cited = 0
        self.over = False


class Message:
    """A message: texts and refusals by their index. Each is a part of its own."""

    __slots__ = ("_assembler", "_pieces", "over", "refused")

    def __init__(self, assembler: Assembler) -> None:
        self._assembler = assembler
        self._pieces: dict[tuple[SaidKind, int], _Piece] = {}
        self.refused = False
        self.over = False

    def say(self, kind: SaidKind, index: int, text: str, logprobs: list[Logprob] | None = None) -> None:
        """Take more text of a piece."""
        piece = self._piece(kind, index)
        if piece.over or self.over:
            return
        if text:
            piece.said = True
            self.refused |= kind == "refusal"
        if logprobs:
            piece.told = True
            self._assembler.text(piece, kind, text, read_tokens(logprobs))
        else:
            self._assembler.text(piece, kind, text)

    def say_all(self, index: int, content: wire.Content) -> None:
        """Take a piece that is complete, and add what was not said of it yet."""
        kind = _SAID.get(content.type)
        if kind is None or self.over:
            return
        piece = self._piece(kind, index)
        text = (content.text if kind == "text" else content.refusal or content.text) or ""
        self.say(kind, index, "" if piece.said else text, None if piece.told else content.logprobs)
        for annotation in (content.annotations or [])[piece.cited :]:
            self.cite(index, annotation)
        piece.over = piece.said

    def cite(self, index: int, annotation: Raw) -> None:
        """Take what a text rests on."""
        piece = self._piece("text", index)
        piece.cited += 1
        citation = _citation(annotation)
        if citation is not None:
            self._assembler.cite(piece, citation)

    def complete(self, item: wire.Item) -> None:
        """Take the whole message."""
        for index, content in enumerate(item.content or []):
            self.say_all(index, content)
        for piece in self._pieces.values():
            self._assembler.end(piece)
        self.over = True

    def _piece(self, kind: SaidKind, index: int) -> _Piece:
        piece = self._pieces.get((kind, index))
        if piece is None:
            piece = self._pieces[kind, index] = _Piece()
        return piece


class Thoughts:
    """A reasoning item: one part, itself the key, since there is one seal for all its sections.

    The service tells thoughts as a summary in sections, open servers tell the thoughts themselves; an item that has
    both is told by what comes first.
    """

    __slots__ = ("_assembler", "_kind", "_last", "_origin", "_sections", "over")

    def __init__(self, assembler: Assembler, origin: str) -> None:
        self._assembler = assembler
        self._origin = origin
        self._kind: ThoughtKind | None = None
        self._sections: dict[int, bool] = {}  # those of which anything was said, and whether they are complete
        self._last = 0
        self.over = False

    def say(self, kind: ThoughtKind, index: int, text: str) -> None:
        """Take more text of a section. There is a blank line between sections (pitfall 90)."""
        if not text or self.over or self._kind not in {None, kind} or self._sections.get(index):
            return
        if self._sections and index != self._last:
            text = _SECTION_BREAK + text
        self._kind, self._last, self._sections[index] = kind, index, False
        self._assembler.text(self, "reasoning", text)

    def say_all(self, kind: ThoughtKind, index: int, text: str) -> None:
        """Take a section that is complete, if nothing was said of it yet."""
        if index not in self._sections:
            self.say(kind, index, text)
        if index in self._sections and kind == self._kind:
            self._sections[index] = True

    def complete(self, item: wire.Item) -> None:
        """Take the whole item. Only now its encrypted content is complete, too."""
        for index, section in enumerate(item.summary or []):
            self.say_all("summary_text", index, section.text or "")
        for index, section in enumerate(item.content or []):
            self.say_all("reasoning_text", index, section.text or "")
        form = "reasoning" if self._sections else "redacted"
        self._assembler.seal(self, self._origin, item.encrypted_content or "", form)
        self._assembler.end(self)
        self.over = True


class CallIds:
    """The ids of an answer's calls: the server's where it gave one of its own to each call, else ones of ours."""

    def __init__(self, token: str) -> None:
        self._token = token
        self._given: set[str] = set()

    def public(self, id_: str) -> str:
        """Return the id for the next call."""
        if not id_ or id_ in self._given:
            id_ = f"call_{self._token}_{len(self._given)}"
        self._given.add(id_)
        return id_


class Call:
    """A call of a function or of a custom tool: one part, itself the key."""

    __slots__ = ("_assembler", "_begun", "_held", "_ids", "_kind", "_said", "over")

    def __init__(self, assembler: Assembler, kind: CallKind, ids: CallIds) -> None:
        self._assembler = assembler
        self._kind: PartKind = kind
        self._ids = ids
        self._begun = False  # its name is known
        self._said = False  # arguments came
        self._held = ""  # arguments that came with its beginning and may be said again, or that came before its name
        self.over = False

    def begin(self, item: wire.Item) -> None:
        """Take the beginning of the call."""
        if self._begun or not item.name:
            return
        self._begun = True
        id_, name = self._ids.public(item.call_id or item.id or ""), joined(item.namespace, item.name)
        self._assembler.tool(self, id_, name, self._kind)
        if self._said:
            self._assembler.arguments(self, self._held)
        else:
            self._held = _input(item)

    def say(self, fragment: str) -> None:
        """Take a fragment of the arguments, or of the free text."""
        if not fragment or self.over:
            return
        if self._begun:
            self._assembler.arguments(self, fragment)
        else:
            self._held = self._held + fragment if self._said else fragment
        self._said = True

    def say_all(self, arguments: wire.Arguments | None) -> None:
        """Take the whole arguments, if nothing was said of them yet. More cannot come (case T18)."""
        if not self._said:
            self.say(_json_text(arguments))
        if self._begun and self._said:
            self._assembler.end(self)

    def complete(self, item: wire.Item) -> None:
        """Take the whole call. One that never got a name cannot be called, and is left out."""
        self.begin(item)
        if self._begun:
            self.say_all(_input(item) or self._held)
            self._assembler.end(self)
        self.over = True


def _input(item: wire.Item) -> str:
    return _json_text(item.arguments) or item.input or ""


def _json_text(arguments: wire.Arguments | None) -> str:
    return payload.json_text(arguments) if isinstance(arguments, dict) else arguments or ""


def _citation(raw: Raw) -> Citation | None:
    """Return the citation of a page or a file; what else may be annotated is no source, or of a kind nobody knows."""
    try:
        annotation = _annotation.decode(raw) if wire.is_given(raw) else wire.Annotation()
    except UpstreamFault:
        return None
    title = annotation.title or annotation.filename or ""
    match annotation.type:
        case "url_citation":
            return Citation(annotation.url or "", title, start=annotation.start_index, end=annotation.end_index)
        case "container_file_citation":
            return Citation(title=title, start=annotation.start_index, end=annotation.end_index)
        case "file_citation":  # stands at one place, behind what it supports
            return Citation(title=title, start=annotation.index, end=annotation.index)
        case _:
            return None
