"""What a client does for one of its methods, decided in one place and done in two.

`Steps` are a generator: it yields what is to be done next and is sent what came of it, or has gRPC's error thrown into
it. `blocking.py` does it for threads, `aio.py` for asyncio.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from qubitd.client.errors import RefusedError

ResultT = TypeVar("ResultT")
CallT = TypeVar("CallT", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Send:
    """Make a call; what comes of it is its answer."""

    method: Callable[..., Any]
    """Of a stub on the shell's own channel."""
    request: Any
    """Its message, or an iterator of them."""
    seconds: float
    """Its deadline."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """Wait, or until the client is closed."""

    seconds: float


Step = Send | Pause
Steps = Generator[Step, Any, ResultT]


@contextmanager
def writing() -> Generator[None]:
    """Write what was given into a message.

    Raises:
        RefusedError: it cannot be, such as a number in the place of a text.
    """
    try:
        yield
    except (TypeError, ValueError) as error:
        raise _unwritable(error) from error


def first(steps: Steps[ResultT]) -> Step:
    """Take the first step, in which a message is written.

    Raises:
        RefusedError: as `writing`.
    """
    try:
        return next(steps)
    except (TypeError, ValueError) as error:
        raise _unwritable(error) from error


def _unwritable(error: Exception) -> RefusedError:
    return RefusedError(message=f"what was given cannot be sent: {error}", problems=())


def presented(call: CallT, method: Callable[..., Any], form: str = "{}") -> CallT:
    """Give a call the text and the signature of the method that decides for it, as its user sees them.

    Args:
        call: what is called.
        method: what decides; its return annotation is `Kind[what is given]`.
        form: in which it is given.
    """
    functools.update_wrapper(call, method)
    signature = inspect.signature(method)
    given = str(signature.return_annotation).partition("[")[2].removesuffix("]")
    seen = signature.replace(return_annotation=form.format(given))
    call.__signature__ = seen  # type: ignore[attr-defined]  # inspect looks there
    return call
