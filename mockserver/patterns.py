"""Regular expressions that come from outside: RE2's, which takes time linear in the text whatever the pattern.

RE2 knows no look-around and no back-references; the rest is written as in Python.
"""

from __future__ import annotations


class InvalidPatternError(ValueError):
    """A text is not a regular expression of RE2."""


class LinearPattern:
    """A compiled regular expression.

    Raises:
        InvalidPatternError: the text is none.
    """

    LONGEST = 10_000

    __slots__ = ("_compiled", "pattern")

    def __init__(self, pattern: str, *, ignore_case: bool = False) -> None:
        import re2  # noqa: PLC0415 - commands that serve nothing need no pattern

        if len(pattern) > self.LONGEST:
            raise InvalidPatternError(f"longer than {self.LONGEST} characters")
        options = re2.Options()
        options.log_errors = False
        options.case_sensitive = not ignore_case
        try:
            self._compiled = re2.compile(pattern.encode(), options)
        except (re2.error, UnicodeEncodeError) as error:
            why = error.args[0] if isinstance(error, re2.error) else "a lone surrogate"
            said = why.decode("utf-8", "replace") if isinstance(why, bytes) else str(why)
            raise InvalidPatternError(said) from None
        self.pattern = pattern

    def search(self, text: str) -> bool:
        """Tell whether it occurs in a text."""
        return self._compiled.search(text.encode("utf-8", "replace")) is not None

    def fullmatch(self, text: str) -> bool:
        """Tell whether a whole text is one; a text with a lone surrogate is none."""
        try:
            return self._compiled.fullmatch(text.encode()) is not None
        except UnicodeEncodeError:
            return False
