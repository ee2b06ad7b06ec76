"""Whatever is wrong has an error that says what and where."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from brightline import BrightlineError, Guard, InputError, ModelError, PolicyError, SettingsError


@pytest.mark.parametrize(
    ("given", "path", "says"),
    [
        (7, "", "expected a string, a list of messages or a dict, got `int`"),
        ([], "", "nothing to judge"),
        ({}, "", "nothing to judge"),
        ([{"role": "bot", "content": "x"}], "messages[0].role", "unknown role `bot`"),
        ([{"role": "user", "content": object()}], "messages[0].content", "a value of type `object`"),
        ([{"role": "user", "content": {1, 2}}], "messages[0].content", "a value of type `set`"),
        ([{"role": "user", 3: "x"}], "messages[0]", "a key of type `int`"),
        ({"request": "x", "signals": {"cost": float("nan")}}, "signals.cost", "no finite number"),
        ({"request": "x", "mesages": []}, "", "did you mean `messages`"),
        ({"request": "half \ud800"}, "request", "half a surrogate pair"),
        ({"request": "x", "settings": {"operator": {"tags": ["a"]}}}, "settings", "operator"),
        ({"messages": [{"role": "user", "content": "x"}], "target": 4}, "target", "past the last"),
    ],
)
def test_input(house: Guard, given: Any, path: str, says: str) -> None:
    with pytest.raises(InputError) as caught:
        house.check(given)
    assert caught.value.path.startswith(path)
    assert says in str(caught.value)
    assert isinstance(caught.value, BrightlineError)
    assert isinstance(caught.value, ValueError)


def test_a_field_may_not_be_given_twice(house: Guard) -> None:
    with pytest.raises(InputError, match="duplicate field `tags`"):
        house.check({"request": "x", "tags": ["a"]}, tags=["b"])


def test_a_list_that_holds_itself(house: Guard) -> None:
    messages: list[Any] = [{"role": "user", "content": "x"}]
    messages.append(messages)
    with pytest.raises(InputError, match="deep"):
        house.check(messages)


def test_an_exception_of_the_callers_code(house: Guard) -> None:
    class Broken:
        def model_dump(self, **_: object) -> dict[str, object]:
            raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        house.check([Broken()])

    def inputs() -> Any:
        yield "hello"
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        house.check_batch(inputs())


def test_policies(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match=r"cannot find the policy `no-such`; shipped are .*default"):
        Guard("no-such")
    broken = tmp_path / "broken.md"
    broken.write_text(
        "## A {#a authority=emperor}\n\n## B {#b authority=root}\n\n~~~rule\nwhen = 'nosuch(\"x\")'\n~~~\n"
    )
    with pytest.raises(PolicyError) as caught:
        Guard(broken, models=False)
    codes = {diagnostic.code: diagnostic for diagnostic in caught.value.diagnostics}
    assert codes["BL0203"].line == 1
    assert codes["BL0203"].severity == "error"
    assert len(codes) > 1
    damaged = tmp_path / "damaged.blp"
    damaged.write_bytes(b"BLP?")
    with pytest.raises(PolicyError):
        Guard(damaged)


def test_settings(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no_such"):
        Guard(models=False, settings={"operator": {"switch": {"no_such": "off"}}})
    with pytest.raises(SettingsError, match="unknown field `operater`"):
        Guard(models=False, settings={"operater": {}})
    with pytest.raises(SettingsError, match="cannot read"):
        Guard(models=False, settings=tmp_path / "none.toml")


def test_models(tmp_path: Path) -> None:
    with pytest.raises(ModelError):
        Guard(models=tmp_path)
    with pytest.raises(ModelError, match="needs models"):
        Guard(models=False, scores=True)
    with pytest.raises(ModelError, match="need one"):
        Guard(models=False, require_models=True)
    with pytest.raises(ValueError, match="`backend` is `cuda`"):
        Guard(backend="cuda")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="deadline_ms"):
        Guard(models=False, deadline_ms=-1)


def test_arguments(house: Guard) -> None:
    with pytest.raises(TypeError):
        house.check()  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        house.check("x", setings={})  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        house.check_json(7)  # type: ignore[arg-type]
