from collections.abc import Iterable, Sequence
from os import PathLike
from types import TracebackType
from typing import Any, ClassVar, Literal, Self, final, overload

from typing_extensions import disjoint_base

from brightline._errors import InputError
from brightline._types import Channel, Context, Input
from brightline._verdict import (
    Action,
    Degraded,
    Field,
    Finding,
    Ignored,
    Lifted,
    ModelName,
    PolicyName,
    Redaction,
    Scanned,
    Surface,
)

__all__ = ["SHIPPED", "End", "Guard", "Step", "Stream", "Verdict", "__version__"]

SHIPPED: tuple[str, ...]
__version__: str

@disjoint_base
class Guard:
    def __new__(
        cls,
        policy: str | PathLike[str] = ...,
        *,
        settings: dict[str, Any] | str | PathLike[str] | None = None,
        models: bool | str | PathLike[str] | None = None,
        backend: Literal["rten", "onnxruntime"] = "rten",
        deadline_ms: float | None = None,
        scores: bool = False,
        require_models: bool = False,
        keep_text: bool = False,
    ) -> Self: ...
    def check(
        self,
        input: Input,
        /,
        *,
        id: str | int | None = None,
        system: str | Sequence[Any] | None = None,
        target: int | None = None,
        settings: dict[str, Any] | None = None,
        tags: Sequence[str] | None = None,
        signals: dict[str, float] | None = None,
    ) -> Verdict: ...
    def check_json(self, record: str | bytes, /) -> Verdict: ...
    @overload
    def check_batch(
        self, inputs: Iterable[Input], /, *, threads: int | None = None, return_errors: Literal[False] = False
    ) -> list[Verdict]: ...
    @overload
    def check_batch(
        self, inputs: Iterable[Input], /, *, threads: int | None = None, return_errors: bool
    ) -> list[Verdict | InputError]: ...
    def stream(
        self,
        context: Context = None,
        *,
        system: str | Sequence[Any] | None = None,
        settings: dict[str, Any] | None = None,
        tags: Sequence[str] | None = None,
        signals: dict[str, float] | None = None,
    ) -> Stream: ...
    @property
    def policy(self) -> PolicyName: ...
    @property
    def model(self) -> ModelName | None: ...

@final
class Verdict:
    __match_args__: ClassVar[tuple[str, ...]]
    @property
    def id(self) -> str | None: ...
    @property
    def action(self) -> Action: ...
    @property
    def surface(self) -> Surface: ...
    @property
    def passes(self) -> bool: ...
    @property
    def policy(self) -> PolicyName: ...
    @property
    def model(self) -> ModelName | None: ...
    @property
    def findings(self) -> tuple[Finding, ...]: ...
    @property
    def lifted(self) -> tuple[Lifted, ...]: ...
    @property
    def ignored(self) -> tuple[Ignored, ...]: ...
    @property
    def scores(self) -> dict[str, float]: ...
    @property
    def message(self) -> str | None: ...
    @property
    def redacted(self) -> str | None: ...
    @property
    def redactions(self) -> tuple[Redaction, ...]: ...
    @property
    def critique(self) -> str | None: ...
    @property
    def scanned(self) -> Scanned: ...
    @property
    def degraded(self) -> tuple[Degraded, ...]: ...
    @property
    def unverified(self) -> Literal["length", "language"] | None: ...
    @property
    def not_judged(self) -> tuple[str, ...]: ...
    @property
    def elapsed_us(self) -> int: ...
    @property
    def texts(self) -> tuple[tuple[int, Field, int | None, str], ...]: ...
    def to_dict(self) -> dict[str, Any]: ...
    def to_json(self) -> str: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...
    def _repr_html_(self) -> str: ...

@final
class Stream:
    def tool_call(self, index: int, name: str) -> None: ...
    def push(self, chunk: str, channel: Channel | None = None) -> Step: ...
    def finish(self) -> End: ...
    def close(self) -> None: ...
    @property
    def closed(self) -> bool: ...
    @property
    def held(self) -> int: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        traceback: TracebackType | None = None,
        /,
    ) -> None: ...

@final
class Step:
    __match_args__: ClassVar[tuple[str, ...]]
    @property
    def released(self) -> tuple[tuple[Channel, str], ...]: ...
    @property
    def text(self) -> str: ...
    @property
    def action(self) -> Action: ...
    @property
    def stopped(self) -> bool: ...

@final
class End:
    __match_args__: ClassVar[tuple[str, ...]]
    @property
    def released(self) -> tuple[tuple[Channel, str], ...]: ...
    @property
    def text(self) -> str: ...
    @property
    def verdict(self) -> Verdict: ...
    @property
    def stopped(self) -> bool: ...
