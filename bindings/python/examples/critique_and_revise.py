"""The critique of a verdict goes back to the model until its answer passes. The model is a fake with two answers."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from brightline import Guard
from brightline.integrations.revise import revise

POLICY = """
## Do not promise a refund {#refunds authority=developer}

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
"""

with tempfile.TemporaryDirectory() as folder:
    path = Path(folder, "shop.md")
    path.write_text(POLICY, encoding="utf-8")
    guard = Guard(path)

answers = iter(["Of course we will refund you.", "I have told the billing team, who decide about refunds."])


def model(messages: list[Any]) -> str:
    print("asked with:", messages[-1]["content"])
    return next(answers)


answer = revise(guard, [{"role": "user", "content": "I want my money back."}], model)
print("shown:", answer.text, [verdict.action for verdict in answer.tried])
