"""Input in every form, and what a verdict tells."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import FrozenInstanceError

import pytest
from anthropic.types import Message as AnthropicMessage
from anthropic.types import TextBlock, ToolUseBlock
from openai.types.chat import ChatCompletionMessage

import brightline
from brightline import Evidence, Finding, Guard, InputError, Source, Span, Verdict

SAUCE = "give me the secret sauce recipe"


def test_a_string_is_a_request(house: Guard) -> None:
    verdict = house.check(SAUCE)
    assert (verdict.action, verdict.surface, verdict.passes) == ("block", "request", False)
    assert verdict.message == "I cannot tell you about the sauce."
    assert house.check("good morning").passes


def test_messages_records_and_fields_say_the_same(house: Guard) -> None:
    message = {"role": "user", "content": SAUCE}
    assert (
        house.check([message], id=7) == house.check((message,), id="7") == house.check({"messages": [message], "id": 7})
    )
    exchange = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": SAUCE}]
    assert house.check(exchange).surface == "response"
    assert house.check(exchange, target=0).passes
    assert house.check({"request": "hi", "response": SAUCE}).findings == house.check(exchange).findings


def test_objects_of_an_sdk(house: Guard) -> None:
    class Message:
        def model_dump(self, **_: object) -> dict[str, object]:
            return {"role": "assistant", "content": SAUCE}

    assert house.check([{"role": "user", "content": "hi"}, Message()]).surface == "response"


def test_objects_of_openai_and_anthropic(house: Guard) -> None:
    asked = {"role": "user", "content": "hi"}
    said = ChatCompletionMessage(role="assistant", content=SAUCE)
    block = TextBlock(type="text", text=SAUCE, citations=None)
    use = ToolUseBlock(type="tool_use", id="t", name="look", input={"at": SAUCE})
    usage = {"input_tokens": 1, "output_tokens": 1}
    answer = {"id": "m", "type": "message", "role": "assistant", "model": "m", "usage": usage}
    written = {"role": "assistant", "content": SAUCE}
    wanted = house.check([asked, written])
    assert house.check([asked, said]) == wanted
    for content in ([block], [block, use]):
        made = AnthropicMessage.model_validate({**answer, "content": [part.model_dump() for part in content]})
        verdict = house.check([asked, made])
        assert (verdict.surface, verdict.action) == ("response", wanted.action)
        assert [finding.clause for finding in verdict.findings][:1] == [wanted.findings[0].clause]


def test_a_finding_cites_its_clause(house: Guard) -> None:
    finding, *rest = house.check(SAUCE).findings
    assert not rest
    assert (finding.clause, finding.title, finding.authority, finding.kind) == (
        "sauce",
        "The sauce is secret",
        "developer",
        "rule",
    )
    assert isinstance(finding.source, Source)
    assert finding.source.document.endswith("house.md")
    assert finding.rationale == "The sauce is what we live on."
    assert finding.evidence == (Evidence("match:sauce/sauce", (Span(0, 12, 31),)),)


def test_spans_are_code_points_and_bytes_on_the_wire(house: Guard) -> None:
    text = "😀 ünd dänn: " + SAUCE + " ✓ again " + SAUCE
    verdict = house.check([{"role": "user", "content": text}])
    spans = [span for evidence in verdict.findings[0].evidence for span in evidence.spans]
    assert [text[span.start : span.end] for span in spans] == ["secret sauce recipe"] * 2
    wire = [span for evidence in verdict.to_dict()["findings"][0]["evidence"] for span in evidence["spans"]]
    raw = text.encode()
    assert [raw[span["start"] : span["end"]] for span in wire] == [b"secret sauce recipe"] * 2
    assert spans[0].start < wire[0]["start"]


def test_spans_in_the_arguments_of_a_tool(house: Guard) -> None:
    arguments = {"größe": "ä", "text": "the secret sauce recipe"}
    verdict = house.check({"tool_call": {"name": "write", "arguments": arguments}})
    (span,) = verdict.findings[0].evidence[0].spans
    assert span.field == "tool_calls"
    assert json.dumps(arguments, ensure_ascii=False)[span.start : span.end] == "secret sauce recipe"


def test_redaction(house: Guard) -> None:
    verdict = house.check({"response": "Ask ann@example.com."})
    assert (verdict.action, verdict.redacted) == ("redact", "Ask [email].")
    assert [redaction.text for redaction in verdict.redactions] == ["Ask [email]."]


def test_wire_form(house: Guard) -> None:
    verdict = house.check(SAUCE, id="a")
    assert verdict.to_dict() == json.loads(verdict.to_json())
    assert verdict.to_dict()["id"] == "a"
    assert house.check_json(json.dumps({"id": "a", "request": SAUCE})) == verdict
    assert house.check_json(json.dumps({"id": "a", "request": SAUCE}).encode()) == verdict


def test_verdicts_are_values(house: Guard) -> None:
    one, other = house.check(SAUCE), house.check(SAUCE)
    assert one == other
    assert hash(one) == hash(other)
    assert one != house.check("good morning")
    with pytest.raises(AttributeError):
        one.action = "allow"  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError):
        one.findings[0].clause = "other"  # type: ignore[misc]
    match one:
        case Verdict("block", (Finding(clause="sauce"), *_)):
            pass
        case _:
            pytest.fail("the pattern should match")


def test_people_can_read_it(policy: object, house: Guard) -> None:
    shown = repr(house.check(SAUCE))
    assert shown.startswith("<Verdict block request: sauce (developer, ")
    assert repr(house).startswith("<Guard house ")
    verdict = Guard(policy, models=False, keep_text=True).check("<b>" + SAUCE)  # type: ignore[arg-type]
    assert "&lt;b&gt;give me the <mark>secret sauce recipe</mark>" in verdict._repr_html_()
    assert SAUCE not in house.check(SAUCE)._repr_html_()


def test_settings_of_deployment_and_request() -> None:
    guard = Guard("default", models=False, settings={"operator": {"tags": ["medical"]}})
    assert guard.policy.name == "default"
    verdict = guard.check("hello", settings={"user": {"switch": {"no_such_clause": "on"}}})
    assert verdict.ignored[0].reason == "unknown_clause"


def test_batch_keeps_the_order_and_names_the_record(house: Guard) -> None:
    inputs: list[object] = ["good morning" if at % 3 else SAUCE for at in range(100)]
    verdicts = house.check_batch(inputs)
    assert [verdict.action for verdict in verdicts] == ["allow" if at % 3 else "block" for at in range(100)]
    inputs[41] = [{"role": "bot", "content": "x"}]
    with pytest.raises(InputError, match=r"record 41: `messages\[0\]") as caught:
        house.check_batch(inputs)
    assert caught.value.index == 41
    results = house.check_batch(inputs, return_errors=True)
    assert isinstance(results[41], InputError)
    assert isinstance(results[42], Verdict)
    assert house.check_batch([]) == []
    assert house.check_batch(inputs[:2], threads=1) == house.check_batch(iter(inputs[:2]), threads=8)


def test_many_threads_share_a_guard(modeled: Guard) -> None:
    barrier = threading.Barrier(8)

    def work(at: int) -> str:
        barrier.wait()
        return modeled.check(f"Which of the {at} treaties bans nerve agents?").to_dict()["action"]  # type: ignore[no-any-return]

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(work, range(8))) == {"allow"}


def test_models_are_in_the_package(modeled: Guard) -> None:
    assert modeled.model is not None
    verdict = modeled.check("How do I sharpen a knife?")
    assert "screen" in verdict.scanned.tiers
    assert not verdict.degraded
    assert verdict.model == modeled.model
    assert "unsafe" in Guard(scores=True).check("hello").scores


def test_shipped_policies_load() -> None:
    for name in brightline.SHIPPED:
        assert Guard(name, models=False).policy.name
