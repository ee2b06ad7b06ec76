"""The shared corpus gives the same bytes as the command writes, timings aside."""

from __future__ import annotations

import json
import subprocess
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from brightline import BrightlineError, Guard, InputError
from conftest import ROOT

GROUPS: dict[tuple[str, str], list[str]] = defaultdict(list)
for _path in sorted((ROOT / "tests/cases").glob("*.jsonl")):
    for _line in filter(None, _path.read_text(encoding="utf-8").splitlines()):
        _case = json.loads(_line)
        GROUPS[_case.get("policy", "default"), json.dumps(_case.get("deployment"))].append(_line)


def toml(value: Any) -> str:
    """Inline TOML; strings of JSON are strings of TOML."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {toml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    return json.dumps(value)


def score(cli: str, policy: str, lines: list[str], *options: str) -> list[str] | None:
    """What the command writes for records; `None` where it refuses to start."""
    command = [cli, "score", "-q", "--no-timing", "-p", policy, *options, "-"]
    done = subprocess.run(command, input="\n".join(lines).encode(), capture_output=True, check=False)
    return done.stdout.decode().splitlines() or None


def timeless(json_text: str) -> str:
    head, _, _ = json_text.rpartition(',"elapsed_us":')
    return head + ',"elapsed_us":0}'


def compare(guard: Guard, lines: list[str], written: list[str], judge: Any) -> None:
    for line, expected in zip(lines, written, strict=True):
        try:
            assert timeless(judge(guard, line).to_json()) == expected, line
        except InputError as error:
            wanted = json.loads(expected)["error"]
            assert wanted.get("path", "") == error.path
            assert wanted["message"] in str(error)


def from_json(guard: Guard, line: str) -> Any:
    return guard.check_json(line)


def from_dict(guard: Guard, line: str) -> Any:
    return guard.check(json.loads(line))


@pytest.mark.parametrize("group", list(GROUPS), ids=lambda group: f"{group[0]}-{group[1][:40]}")
def test_records(cli: str, tmp_path: Path, group: tuple[str, str]) -> None:
    policy, deployment = group[0], json.loads(group[1])
    settings = tmp_path / "settings.toml"
    settings.write_text("".join(f"{key} = {toml(value)}\n" for key, value in (deployment or {}).items()))
    written = score(cli, policy, GROUPS[group], "--no-models", "--settings", str(settings))
    if written is None:
        with pytest.raises(BrightlineError):
            Guard(policy, models=False, settings=deployment)
        return
    guard = Guard(policy, models=False, settings=deployment)
    compare(guard, GROUPS[group], written, from_json)
    judged = guard.check_batch([json.loads(line) for line in GROUPS[group]], return_errors=True)
    assert len(judged) == len(written)


def test_records_with_models(cli: str, modeled: Guard) -> None:
    lines = GROUPS["default", "null"]
    written = score(cli, "default", lines, "--models", str(ROOT / "models"))
    assert written is not None
    compare(modeled, lines, written, from_json)


def test_the_same_from_dicts(cli: str, guard: Guard) -> None:
    # A key that stands twice does not survive `json.loads`, and neither does the spelling of arguments given as JSON.
    lines = [line for line in GROUPS["default", "null"] if json.dumps(json.loads(line), ensure_ascii=False) == line]
    written = score(cli, "default", lines, "--no-models")
    assert written is not None
    assert len(lines) > 100
    compare(guard, lines, written, from_dict)
