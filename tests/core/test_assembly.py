"""The assembler: whatever order a provider speaks in, parts come out in the order of the grammar."""

from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.core.answer import Answer, AnswerPart, fold
from penstock.core.assembly import Assembler
from penstock.core.errors import ErrorInfo
from penstock.core.events import Delta, Event, Failure, Finish, PartEnd, PartStart, Sealed, Start, UsageUpdate
from penstock.core.grammar import check
from penstock.core.usage import Usage

Report = Callable[[Assembler], None]


def assembled(*reports: Report, reason: str = "stop") -> list[Event]:
    """Return the events of a stream that reports `reports` and then ends well."""
    assembler = Assembler()
    assembler.emit(Start())
    for report in reports:
        report(assembler)
    assembler.finish(reason, reason)  # type: ignore[arg-type]
    assembler.close()
    assert assembler.over
    return check(assembler.take())


def folded(*reports: Report, reason: str = "stop") -> Answer:
    return fold(assembled(*reports, reason=reason))


def text(data: str, key: object = "text") -> Report:
    return lambda assembler: assembler.text(key, "text", data)


def reasoning(data: str, key: object = "reasoning") -> Report:
    return lambda assembler: assembler.text(key, "reasoning", data)


def tool(key: object, name: str = "look") -> Report:
    return lambda assembler: assembler.tool(key, f"call_{key}", name)


def arguments(key: object, fragment: str) -> Report:
    return lambda assembler: assembler.arguments(key, fragment)


def end(key: object) -> Report:
    return lambda assembler: assembler.end(key)


def test_text_of_one_key_is_one_part() -> None:
    assert assembled(text("a"), text("b")) == [
        Start(),
        PartStart(0, "text"),
        Delta(0, "a"),
        Delta(0, "b"),
        PartEnd(0),
        Finish("stop", "stop"),
    ]


@pytest.mark.covers("P67", "T15")
def test_empty_text_opens_no_part() -> None:
    assert assembled(text(""), reasoning("")) == [Start(), Finish("stop", "stop")]


@pytest.mark.covers("T15")
def test_reasoning_then_text_are_two_parts() -> None:
    parts = folded(reasoning("hm"), reasoning("m"), text("so"), text(".")).parts
    assert parts == (AnswerPart("reasoning", "hmm"), AnswerPart("text", "so."))


def test_text_that_comes_after_other_parts_is_a_new_part() -> None:
    parts = folded(text("a"), reasoning("b"), text("c")).parts
    assert [(part.kind, part.text) for part in parts] == [("text", "a"), ("reasoning", "b"), ("text", "c")]


@pytest.mark.covers("P74", "T16")
def test_interleaved_tool_calls_come_out_one_after_the_other() -> None:
    events = assembled(
        text("a"),
        tool(0),
        tool(1),
        arguments(0, '{"x"'),
        arguments(1, '{"y":'),
        arguments(0, ":1}"),
        arguments(1, "2}"),
        text("z"),
        reason="tool_calls",
    )
    assert [(part.kind, part.text) for part in fold(events).parts] == [
        ("text", "a"),
        ("tool_call", '{"x":1}'),
        ("tool_call", '{"y":2}'),
        ("text", "z"),
    ]


def test_fragments_of_the_open_call_leave_at_once() -> None:
    assembler = Assembler()
    assembler.tool(0, "call_0", "look")
    assembler.arguments(0, '{"x"')
    assert assembler.take() == [PartStart(0, "tool_call", "call_0", "look"), Delta(0, '{"x"')]


def test_a_call_that_waited_opens_as_soon_as_the_one_before_is_complete() -> None:
    assembler = Assembler()
    for report in (tool(0), arguments(0, "{"), tool(1), arguments(1, '{"y":2}')):
        report(assembler)
    assembler.take()
    assembler.arguments(0, "}")
    assert assembler.take() == [
        Delta(0, "}"),
        PartEnd(0),
        PartStart(1, "tool_call", "call_1", "look"),
        Delta(1, '{"y":2}'),
        PartEnd(1),
    ]


@pytest.mark.covers("T18", "P75")
@pytest.mark.parametrize("fragments", [[], [""], ["", ""], [" "]])
def test_a_call_without_arguments_has_an_empty_object(fragments: list[str]) -> None:
    part = folded(tool(0), *(arguments(0, fragment) for fragment in fragments), end(0), reason="tool_calls").parts[0]
    assert part.text.strip() == "{}"


@pytest.mark.covers("T18")
def test_fragments_after_the_end_of_a_call_are_ignored() -> None:
    part = folded(tool(0), arguments(0, '{"a":1}'), end(0), arguments(0, '{"a":1}'), reason="tool_calls").parts[0]
    assert part.text == '{"a":1}'


@pytest.mark.covers("P70", "T17")
def test_a_call_announced_twice_is_one_call() -> None:
    parts = folded(tool(0), arguments(0, "{"), tool(0), arguments(0, "}"), tool(0), reason="tool_calls").parts
    assert parts == (AnswerPart("tool_call", "{}", "call_0", "look"),)


def test_arguments_of_a_call_that_never_began_are_ignored() -> None:
    assert folded(arguments(3, "{}")).parts == ()


def test_arguments_that_the_limit_cut_are_kept_as_they_are() -> None:
    answer = folded(tool(0), arguments(0, '{"a":'), reason="length")
    assert (answer.parts[0].text, answer.finish.reason) == ('{"a":', "length")


@pytest.mark.covers("P97", "T20")
@pytest.mark.parametrize("said", ["stop", "stop_sequence", "other"])
def test_the_reason_is_tool_calls_if_there_are_any(said: str) -> None:
    assert folded(tool(0), end(0), reason=said).finish.reason == "tool_calls"


@pytest.mark.covers("P97", "T20")
def test_the_reason_is_stop_if_tool_calls_are_claimed_and_there_are_none() -> None:
    assert folded(text("a"), reason="tool_calls").finish == Finish("stop", "tool_calls")


@pytest.mark.parametrize("said", ["length", "content_filter", "refusal"])
def test_a_reason_that_cut_the_answer_stays_though_there_are_tool_calls(said: str) -> None:
    assert folded(tool(0), end(0), reason=said).finish.reason == said


@pytest.mark.covers("P69", "T20")
def test_the_first_reason_counts_and_finish_comes_once() -> None:
    events = assembled(
        text("a"),
        lambda assembler: assembler.finish("length", "max"),
        lambda assembler: assembler.finish("stop", "end"),
    )
    assert [event for event in events if isinstance(event, Finish)] == [Finish("length", "max")]


@pytest.mark.covers("P69")
def test_text_and_usage_after_the_reason_still_count() -> None:
    usage = Usage(uncached=1, output=2)
    answer = folded(lambda assembler: assembler.finish("stop", "stop"), text("a"), lambda a: a.update(usage))
    assert (answer.parts, answer.usage) == ((AnswerPart("text", "a"),), usage)


@pytest.mark.covers("T12", "P110")
def test_an_end_without_a_reason_is_a_failure() -> None:
    assembler = Assembler()
    assembler.emit(Start())
    text("a")(assembler)
    assembler.close()
    events = check(assembler.take())
    assert isinstance(events[-1], Failure)
    assert events[-1].error.kind == "stream_incomplete"


@pytest.mark.covers("P111")
def test_a_failure_leaves_the_open_part_open() -> None:
    assembler = Assembler()
    tool(0)(assembler)
    arguments(0, '{"a"')(assembler)
    assembler.fail(ErrorInfo("upstream_error", "reset"))
    assert isinstance(assembler.take()[-1], Failure)


@pytest.mark.covers("P109")
def test_nothing_follows_a_failure() -> None:
    assembler = Assembler()
    assembler.fail(ErrorInfo("overloaded", "busy"))
    assembler.take()
    for report in (text("a"), tool(0), arguments(0, "{}"), end(0), lambda a: a.update(Usage(output=1))):
        report(assembler)
    assembler.seal("r", "lab", "sig")
    assembler.seal_beside("lab", "sig", "tool_call")
    assembler.fail(ErrorInfo("overloaded", "again"))
    assembler.finish("stop", "stop")
    assembler.close()
    assert assembler.take() == []


def test_usage_is_reported_only_when_it_changes() -> None:
    events = assembled(*[lambda a: a.update(Usage(output=1))] * 3, lambda a: a.update(Usage(uncached=4, output=1)))
    updates = [event.usage for event in events if isinstance(event, UsageUpdate)]
    assert updates == [Usage(output=1), Usage(uncached=4, output=1)]


@pytest.mark.covers("P83")
def test_pieces_of_one_seal_are_joined() -> None:
    part = folded(reasoning("hm", 0), *[lambda a: a.seal(0, "lab", "AB")] * 2, end(0)).parts[0]
    assert part == AnswerPart("reasoning", "hm", sealed=Sealed("lab", "ABAB"))


@pytest.mark.covers("P82")
def test_a_seal_without_text_makes_an_empty_reasoning_part() -> None:
    assert folded(lambda a: a.seal(0, "lab", "AB")).parts == (AnswerPart("reasoning", "", sealed=Sealed("lab", "AB")),)


def test_an_empty_seal_is_none() -> None:
    assert folded(lambda a: a.seal(0, "lab", "")).parts == ()


@pytest.mark.covers("P81", "P82")
def test_each_of_two_reasoning_parts_keeps_its_own_seal() -> None:
    parts = folded(
        reasoning("a", 0), lambda a: a.seal(0, "lab", "A"), end(0), reasoning("b", 1), lambda a: a.seal(1, "lab", "B")
    ).parts
    assert [(part.text, part.sealed and part.sealed.data) for part in parts] == [("a", "A"), ("b", "B")]


def test_a_seal_beside_a_call_goes_on_the_reasoning_before_it() -> None:
    parts = folded(reasoning("hm"), lambda a: a.seal_beside("lab", "AB", "tool_call"), tool(0), end(0)).parts
    assert parts[0] == AnswerPart("reasoning", "hm", sealed=Sealed("lab", "AB", "tool_call"))


def test_a_seal_beside_a_call_without_reasoning_goes_on_an_empty_part() -> None:
    parts = folded(text("a"), lambda a: a.seal_beside("lab", "AB", "tool_call"), tool(0), end(0)).parts
    assert [part.kind for part in parts] == ["text", "reasoning", "tool_call"]
    assert parts[1] == AnswerPart("reasoning", "", sealed=Sealed("lab", "AB", "tool_call"))


def test_a_second_seal_never_lands_on_a_reasoning_part_that_has_one() -> None:
    parts = folded(*[lambda a: a.seal_beside("lab", "AB", "tool_call")] * 2).parts
    assert [part.sealed for part in parts] == [Sealed("lab", "AB", "tool_call")] * 2


KEYS = st.integers(0, 2)
TEXTS = st.sampled_from(["a", "b", "", "🙂"])
FRAGMENTS = st.sampled_from(["{", "}", '{"a":1}', '"x":', "[1", "]", "", " ", '"\\'])
OPERATIONS = st.one_of(
    st.tuples(st.just("text"), KEYS, TEXTS),
    st.tuples(st.just("reasoning"), KEYS, TEXTS),
    st.tuples(st.just("tool"), KEYS, st.just("")),
    st.tuples(st.just("arguments"), KEYS, FRAGMENTS),
    st.tuples(st.sampled_from(["end", "end_tool", "seal", "beside", "usage", "finish"]), KEYS, st.just("")),
)


def apply(assembler: Assembler, operation: tuple[str, int, str]) -> None:
    name, key, data = operation
    match name:
        case "text" | "reasoning":
            assembler.text((name, key), name, data)  # type: ignore[arg-type]
        case "tool":
            assembler.tool(key, f"call_{key}", "look")
        case "arguments":
            assembler.arguments(key, data)
        case "end":
            assembler.end(("reasoning", key))
        case "end_tool":
            assembler.end(key)
        case "seal":
            assembler.seal(("reasoning", key), "lab", f"seal{key}")
        case "beside":
            assembler.seal_beside("lab", f"beside{key}", "tool_call" if key else "text")
        case "usage":
            assembler.update(Usage(output=key))
        case _:
            assembler.finish("stop", "stop")


def run(operations: list[tuple[str, int, str]]) -> list[Event]:
    assembler = Assembler()
    assembler.emit(Start())
    for operation in operations:
        apply(assembler, operation)
    assembler.finish("stop", "stop")
    assembler.close()
    return assembler.take()


@given(st.lists(OPERATIONS, max_size=24))
@pytest.mark.covers("P74", "T16")
def test_any_order_of_reports_gives_a_grammatical_answer(operations: list[tuple[str, int, str]]) -> None:
    check(run(operations))


@given(st.lists(OPERATIONS, max_size=24))
def test_no_text_is_lost_and_its_order_is_kept(operations: list[tuple[str, int, str]]) -> None:
    parts = fold(run(operations)).parts
    for kind in ("text", "reasoning"):
        reported = "".join(data for name, _, data in operations if name == kind)
        assert "".join(part.text for part in parts if part.kind == kind) == reported


@given(st.lists(OPERATIONS, max_size=24))
def test_every_seal_comes_out_once(operations: list[tuple[str, int, str]]) -> None:
    seals = "".join(part.sealed.data for part in fold(run(operations)).parts if part.sealed is not None)
    reported = [f"{name}{key}" for name, key, _ in operations if name in {"seal", "beside"}]
    assert sum(map(len, reported)) == len(seals)


@given(st.lists(st.sampled_from([0, 1, 2]), max_size=12), st.permutations([0, 1, 2]))
def test_fragments_of_each_call_keep_their_order(turns: list[int], order: list[int]) -> None:
    fragments = {key: iter(['{"n"', f":{key}", ',"m"', ":0", "}"]) for key in order}
    rest = [key for key in order for _ in range(5)]
    reports = [tool(key) for key in order]
    reports += [arguments(key, next(fragments[key], "")) for key in [*turns, *rest]]
    parts = folded(*reports, reason="tool_calls").parts
    assert {part.id: part.text for part in parts} == {f"call_{key}": f'{{"n":{key},"m":0}}' for key in order}
    assert [part.id for part in parts] == [f"call_{key}" for key in order]


def test_a_long_call_is_not_parsed_again_with_each_fragment(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[int] = []
    decode = msgspec.json.decode
    monkeypatch.setattr(msgspec.json, "decode", lambda data, **options: parsed.append(1) or decode(data, **options))
    fragments = [arguments(0, fragment) for fragment in ['{"a":"', *["word "] * 500, '"}']]
    answer = folded(tool(0), tool(1), arguments(1, "{}"), *fragments, reason="tool_calls")
    assert len(answer.parts) == 2
    assert len(parsed) < 5
