"""Errors of the plain client become Qiskit's, too, where they leave a class that Qiskit users hold in their hands."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from qubitd.client import ClientError
from qubitd.provider.errors import ProviderError

KindT = TypeVar("KindT", bound=type)
Method = Callable[..., Any]


def raises_qiskit_errors(kind: KindT) -> KindT:
    """Let what the public methods and properties of a class raise be a `QiskitError`, whatever it was."""
    for name, member in list(vars(kind).items()):
        if name.startswith("_") and name != "__init__":
            continue
        if isinstance(member, property) and member.fget is not None:
            setattr(kind, name, property(_translating(member.fget)))
        elif isinstance(member, classmethod):
            setattr(kind, name, classmethod(_translating(member.__func__)))
        elif inspect.isgeneratorfunction(member):
            setattr(kind, name, _translating_all(member))
        elif inspect.isfunction(member):
            setattr(kind, name, _translating(member))
    return kind


def _translating(method: Method) -> Method:
    @functools.wraps(method)
    def translated(*args: Any, **fields: Any) -> Any:
        try:
            return method(*args, **fields)
        except ClientError as error:
            raise translation(error) from error

    return translated


def _translating_all(method: Method) -> Method:
    @functools.wraps(method)
    def translated(*args: Any, **fields: Any) -> Iterator[Any]:
        try:
            yield from method(*args, **fields)
        except ClientError as error:
            raise translation(error) from error

    return translated


def translation(error: ClientError) -> ClientError:
    """Give an error that is of the same kind and a `QiskitError`; one that is both is given as it is."""
    if isinstance(error, ProviderError):
        return error
    return _revived(type(error), error.args, {"message": str(error)} | error.__dict__)


def _revived(kind: type[ClientError], arguments: tuple[Any, ...], attributes: dict[str, Any]) -> ClientError:
    both = _kinds.get(kind) or _kinds.setdefault(kind, _both(kind))
    error: ClientError = both.__new__(both, *arguments)
    error.args = arguments
    error.__dict__.update(attributes)
    return error


_kinds: dict[type[ClientError], type[ClientError]] = {}
"""Made once, so that errors of one kind stay of one kind."""


def _both(kind: type[ClientError]) -> type[ClientError]:
    def reduce(self: ClientError) -> tuple[Any, ...]:
        return _revived, (kind, self.args, self.__dict__)

    # What it says is what the plain client says: Qiskit's classes would say `message`, which may be less.
    own = {"__str__": kind.__str__, "__reduce__": reduce}
    members = {"__module__": kind.__module__, "__doc__": kind.__doc__, **own}
    made: type[ClientError] = type(kind.__name__, (kind, ProviderError), members)
    return made
