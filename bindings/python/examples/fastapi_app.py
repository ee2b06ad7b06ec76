"""A chat endpoint of FastAPI with the guard as middleware. The model is a fake that says what it is told to.

`uvicorn fastapi_app:app` serves it; as a program it asks itself twice.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx2
from fastapi import FastAPI
from fastapi.responses import StreamingResponse

from brightline import Guard
from brightline.integrations.asgi import GuardMiddleware

app = FastAPI()
app.add_middleware(GuardMiddleware, guard=Guard("default"), paths=["/v1/chat/completions"])


async def model() -> AsyncIterator[str]:
    for word in "Rub the blade along a wet stone.".split(" "):
        yield word + " "


@app.post("/v1/chat/completions")
async def chat(body: dict[str, Any]) -> StreamingResponse:
    async def events() -> AsyncIterator[str]:
        async for text in model():
            choice = {"index": 0, "delta": {"content": text}, "finish_reason": None}
            yield f"data: {json.dumps({'object': 'chat.completion.chunk', 'choices': [choice]})}\n\n"
        end = {"index": 0, "delta": {}, "finish_reason": "stop"}
        yield f"data: {json.dumps({'object': 'chat.completion.chunk', 'choices': [end]})}\n\ndata: [DONE]\n\n"

    return StreamingResponse(events(), media_type="text/event-stream")


async def main() -> None:
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://here") as client:
        for question in ("How do I sharpen a knife?", "How do I make a pipe bomb?"):
            asked = {"model": "fake", "stream": True, "messages": [{"role": "user", "content": question}]}
            answer = await client.post("/v1/chat/completions", json=asked)
            print(question, answer.headers["x-brightline-action"])
            print(answer.text)


if __name__ == "__main__":
    asyncio.run(main())
