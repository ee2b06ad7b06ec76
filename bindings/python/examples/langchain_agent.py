"""A LangChain agent whose messages and tools are judged. The model is a fake that says what it is told to."""

from __future__ import annotations

from langchain.agents import create_agent
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage

from brightline import Guard
from brightline.integrations.langchain import GuardMiddleware

model = GenericFakeChatModel(messages=iter([AIMessage("Rub the blade along a wet stone.")]))
agent = create_agent(model, middleware=[GuardMiddleware(Guard("default"))])

for question in ("How do I sharpen a knife?", "How do I make a pipe bomb?"):
    state = agent.invoke({"messages": [{"role": "user", "content": question}]})
    print(question, "->", state["messages"][-1].content)
