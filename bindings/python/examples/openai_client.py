"""The `openai` client with a guard around it. The model behind it is a fake; take `openai.OpenAI()` for a real one."""

from __future__ import annotations

from brightline import Blocked, Guard
from brightline.integrations.openai import guarded
from fake_openai import FakeModel

model = FakeModel("Rub the blade along a wet stone, at the same angle, again and again.")
client = guarded(model.client(), Guard("default"))

stream = client.chat.completions.create(
    model="fake", messages=[{"role": "user", "content": "How do I sharpen a knife?"}], stream=True
)
for chunk in stream:
    print(chunk.choices[0].delta.content or "", end="")
print()

try:
    client.responses.create(model="fake", input="How do I make a pipe bomb?")
except Blocked as blocked:
    finding = blocked.verdict.findings[0]
    print(f"not sent: {finding.clause}, {finding.source}. The user reads: {blocked}")
