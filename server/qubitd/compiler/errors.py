"""Everything that the compiler refuses, beside what the values in core refuse themselves."""

from __future__ import annotations

from qubitd.core.errors import InvalidInputError


class InvalidProgramError(InvalidInputError):
    """A compiled program breaks a rule of the lines that it plays on, such as a ceiling."""


class ProgramTooLargeError(InvalidInputError):
    """One shot of one program does not fit the controller, whatever else is left out."""


class JobTooLongError(InvalidInputError):
    """All shots of a job together take more instrument time than a job may."""
