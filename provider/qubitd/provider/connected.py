"""What holds a connection: a copy is the same thing, and nothing of it crosses to another process."""

from __future__ import annotations

from typing import Any, NoReturn, Self, SupportsIndex


class Connected:
    """Clients that copy what they are given want the same device, job or session, not another connection."""

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        """Refuse to be pickled.

        Raises:
            TypeError: always, with what to send instead.
        """
        raise TypeError(
            f"a {type(self).__name__} holds a connection to a daemon and cannot be pickled; "
            "make a QubitdProvider in the other process, and ask it for the backend by name, for a job or session by id"
        )
