"""Finds the library of an installed `onnxruntime`."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

from brightline._errors import ModelError

VARIABLE = "ORT_DYLIB_PATH"


def locate() -> None:
    """Points `ORT_DYLIB_PATH` to the library in the installed package, unless it is set."""
    if os.environ.get(VARIABLE):
        return
    found = find_spec("onnxruntime")
    places = found.submodule_search_locations if found else None
    for place in places or ():
        folder = Path(place, "capi")
        for pattern in ("libonnxruntime.so*", "libonnxruntime*.dylib", "onnxruntime.dll"):
            for library in sorted(folder.glob(pattern)):
                os.environ[VARIABLE] = str(library)
                return
    raise ModelError("`onnxruntime` is not installed: `pip install onnxruntime`, or name its library in ORT_DYLIB_PATH")
