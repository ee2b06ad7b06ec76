"""Runs the Python blocks of Markdown pages, each on its own.

With `--model` first, clients of OpenAI's API reach a fake model in this process.
"""

from __future__ import annotations

import io
import json
import os
import re
import sys
import threading
from contextlib import redirect_stdout
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


def serve_model() -> None:
    """Starts the model, and leads clients there as a user's settings would."""
    sys.path.append(str(Path(__file__).parent.parent / "examples"))
    from fake_openai import FakeModel

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            kind, text = FakeModel("Rub the blade along a wet stone.").reply(self.path, body)
            self.send_response(200)
            self.send_header("content-type", kind)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    os.environ |= {"OPENAI_BASE_URL": f"http://127.0.0.1:{server.server_port}/v1", "OPENAI_API_KEY": "none"}


pages = sys.argv[1:]
if pages[:1] == ["--model"]:
    serve_model()
    pages = pages[1:]
for name in pages:
    page = Path(name).read_text(encoding="utf-8")
    for block in BLOCK.finditer(page):
        line = page.count("\n", 0, block.start()) + 1
        code = compile("\n" * line + block[1], name, "exec")
        with redirect_stdout(io.StringIO()):
            exec(code, {"__name__": "__main__"})
    print(f"{Path(name).name}: {len(BLOCK.findall(page))} blocks run")
