"""The guard inside of other packages. Each module needs the package it is for, and no other does.

| module | for |
| --- | --- |
| `brightline.integrations.openai` | the `openai` client: chat completions and responses, sync, async, streamed |
| `brightline.integrations.asgi` | FastAPI, Starlette and other ASGI applications: middleware |
| `brightline.integrations.litellm` | LiteLLM: a guardrail of its proxy |
| `brightline.integrations.agents` | `openai-agents`: guardrails of agents and tools |
| `brightline.integrations.langchain` | LangChain 1: middleware of agents |
| `brightline.integrations.revise` | any model: critique and revision |
"""
