"""Errors of the plain client keep their kind, text and facts where they become Qiskit's, too."""

from __future__ import annotations

import pickle
from collections.abc import Iterator

import pytest
from qiskit.exceptions import QiskitError

from qubitd.client import BusyError, ClientError, RefusedError, UnreachableError
from qubitd.core.errors import Problem
from qubitd.provider import JobRefusedError
from qubitd.provider.of_qiskit import raises_qiskit_errors, translation

BUSY = BusyError(message="full", retry_after=2.0)
REFUSED = RefusedError(
    message="2 problems", problems=[Problem(where="a", what="is 1"), Problem(where="b", what="is 2")]
)
AWAY = UnreachableError(address="lab:1", reason="connection refused", advice="start it")


@pytest.mark.parametrize("error", [BUSY, REFUSED, AWAY])
def test_an_error_is_of_both_kinds_and_says_the_same(error: ClientError) -> None:
    both = translation(error)
    assert isinstance(both, type(error))
    assert isinstance(both, QiskitError)
    assert str(both) == str(error)
    assert translation(both) is both
    for made in (both, pickle.loads(pickle.dumps(both))):
        assert vars(made) == {"message": str(error)} | vars(error)
        assert (type(made), str(made)) == (type(both), str(error))


def test_methods_properties_and_generators_raise_it() -> None:
    @raises_qiskit_errors
    class Lab:
        def ask(self) -> None:
            raise AWAY

        @property
        def state(self) -> str:
            raise BUSY

        @classmethod
        def found(cls) -> None:
            raise AWAY

        def news(self) -> Iterator[int]:
            yield 1
            raise BUSY

        def wrong(self) -> None:
            raise JobRefusedError([Problem(where="a", what="is 1")])

        def _inner(self) -> None:
            raise AWAY

    lab = Lab()
    for call in (lab.ask, lambda: lab.state, Lab.found, lambda: list(lab.news())):
        with pytest.raises(QiskitError) as caught:
            call()
        assert isinstance(caught.value, ClientError)
        assert caught.value.__cause__ in (AWAY, BUSY)
    with pytest.raises(JobRefusedError, match="a: is 1"):
        lab.wrong()
    with pytest.raises(UnreachableError) as plain:
        lab._inner()
    assert plain.value is AWAY
