"""Places in a JSON answer, as JSONPath (RFC 9535) says them."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from token_engine.banks.answers import Answer

if TYPE_CHECKING:
    from jsonpath import JSONPathEnvironment


@cache
def _strict() -> JSONPathEnvironment:
    # Here, so that whoever has no such bank does not pay for it.
    from jsonpath import JSONPathEnvironment

    return JSONPathEnvironment(strict=True)


class JsonPath:
    """A place: from the whole answer (`$…`), or from one balance in it (`@…`). `name` is the setting's, for texts.

    Raises ValueError, naming the setting, when the path is none.
    """

    def __init__(self, path: str, name: str) -> None:
        self._text = path
        self._name = name
        self._relative = path.startswith("@")
        if not path.startswith(("$", "@")):
            raise ValueError(f"{name}: {path!r} begins neither with $ (the answer) nor with @ (a balance in it)")
        from jsonpath import JSONPathError

        self._error = JSONPathError
        try:
            self._path = _strict().compile("$" + path[1:])
        except JSONPathError as error:
            raise ValueError(f"{name}: {path!r} is no JSONPath: {str(error).partition(chr(10))[0]}") from None

    def all(self, answer: Answer, balance: Any) -> list[Any]:
        """Everything that stands there. Raises NotObservedError when the answer is nested too deep to look."""
        start = balance if self._relative else answer.content
        if self._text in ("$", "@"):
            return [start]
        if not isinstance(start, dict | list):
            return []  # nothing stands within a text or a number
        try:
            return list(self._path.findall(start))
        except (self._error, RecursionError) as error:
            raise answer.unreadable(f"{self._name}: {type(error).__name__} at {self._text}") from None

    def one(self, answer: Answer, balance: Any, place: str) -> Any:
        """The one value that stands there. Raises NotObservedError when there are none or several."""
        found = self.all(answer, balance)
        if len(found) != 1:
            raise answer.unreadable(f"{place}, {self._name}: {len(found)} values at {self._text}")
        return found[0]
