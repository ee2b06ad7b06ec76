"""Runs the Python blocks of Markdown pages, each on its own."""

from __future__ import annotations

import io
import re
import sys
from contextlib import redirect_stdout
from pathlib import Path

BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)

for name in sys.argv[1:]:
    page = Path(name).read_text(encoding="utf-8")
    for block in BLOCK.finditer(page):
        line = page.count("\n", 0, block.start()) + 1
        code = compile("\n" * line + block[1], name, "exec")
        with redirect_stdout(io.StringIO()):
            exec(code, {"__name__": "__main__"})
    print(f"{Path(name).name}: {len(BLOCK.findall(page))} blocks run")
