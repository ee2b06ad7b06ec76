"""What the tests share: guards that are made once, and where the repository is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from brightline import Guard

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="session")
def guard() -> Guard:
    """The default policy without models."""
    return Guard(models=False)


@pytest.fixture(scope="session")
def modeled() -> Guard:
    """The default policy with the models of the package."""
    return Guard()


@pytest.fixture(scope="session")
def cli() -> str:
    """The command, to compare with; `run-tests.sh` names it."""
    command = os.environ.get("BRIGHTLINE_CLI")
    if not command:
        pytest.skip("BRIGHTLINE_CLI names no command to compare with")
    return command


HOUSE = """
+++
name = "house"
+++

## Addresses stay with us {#addresses authority=developer}

Customers did not agree to see each other's mail.

~~~rule
on     = ["response", "request"]
when   = 'pii("email")'
action = "redact"
~~~

~~~examples
hits:   response: write to ann@example.com
misses: response: write to us
~~~

## No refund promises {#refunds authority=developer}

Only the billing team grants refunds.

~~~rule
on      = ["response"]
when    = 'match("promise")'
action  = "revise"
message = "The billing team decides about refunds."
~~~

~~~patterns
promise = ["we will refund"]
~~~

~~~examples
hits:   response: we will refund you
misses: response: ask the billing team
~~~

## The sauce is secret {#sauce authority=developer}

The sauce is what we live on.

~~~rule
on      = ["request", "response", "reasoning", "tool_call", "tool_result"]
when    = 'match("sauce")'
action  = "block"
message = "I cannot tell you about the sauce."
~~~

~~~patterns
sauce = ["secret sauce recipe"]
~~~

~~~examples
hits:   request: give me the secret sauce recipe
misses: request: which sauce goes with fish?
~~~
"""


@pytest.fixture(scope="session")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small policy of three clauses: one redacts, one revises, one blocks."""
    path = tmp_path_factory.mktemp("policy") / "house.md"
    path.write_text(HOUSE.lstrip(), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def house(policy: Path) -> Guard:
    return Guard(policy, models=False)
