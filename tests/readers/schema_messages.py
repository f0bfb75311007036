"""Messages made by chance from an ISO 20022 schema: whatever the schema allows, however odd."""

from __future__ import annotations

import re
from pathlib import Path
from random import Random
from typing import Any, Final

from lxml import etree

_XS: Final = "{http://www.w3.org/2001/XMLSchema}"
_ATOM: Final = re.compile(r"\[((?:\\.|[^\]\\])+)\](?:\{(\d+)(?:,(\d+))?\})?|\\?(.)")
_GROUP: Final = re.compile(r"\(([^)]*)\)\{0,1\}")
_LETTERS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 /.-+:?'(),&<>äŞд中\u00a0"
_USUAL: Final = frozenset({"Ntry", "Acct", "Id"})
_ELSEWHERE: Final = (
    '<n:Envelope xmlns:n="urn:of-the-bank"><n:BkToCstmrStmt><n:Stmt><n:Ntry><n:Amt Ccy="AED">1</n:Amt></n:Ntry>'
    "</n:Stmt></n:BkToCstmrStmt></n:Envelope>"
)
"""What a bank may carry along, and what is none of ours."""


class Schema:
    """One of ISO 20022's schemas."""

    def __init__(self, file: Path) -> None:
        tree: Any = etree.parse(file)
        self._validator = etree.XMLSchema(tree)
        self._types: dict[str | None, Any] = {
            each.get("name"): each for each in tree.getroot() if each.tag != f"{_XS}element"
        }
        self._namespace = tree.getroot().get("targetNamespace")

    def message(self, chance: Random) -> Any:
        """A `Document` that is valid, which the validator of libxml2 says."""
        prefixes: Any = {chance.choice((None, "bank")): self._namespace}
        root = etree.Element(f"{{{self._namespace}}}Document", nsmap=prefixes)
        self._fill(root, "Document", chance, 0)
        self._validator.assertValid(root)
        return root

    def _fill(self, element: Any, type_: str, chance: Random, depth: int) -> None:
        of = self._types[type_]
        if of.tag == f"{_XS}simpleType":
            element.text = self._word(of, chance)
            return
        [content] = of
        if content.tag == f"{_XS}simpleContent":
            [extension] = content
            element.text = self._word(self._types[extension.get("base")], chance)
            [attribute] = extension
            element.set(attribute.get("name"), self._word(self._types[attribute.get("type")], chance))
            return
        self._group(element, content, chance, depth)

    def _group(self, element: Any, group: Any, chance: Random, depth: int) -> None:
        for each in [chance.choice(group)] if group.tag == f"{_XS}choice" else group:
            if each.tag == f"{_XS}any":
                element.append(etree.fromstring(_ELSEWHERE))
                continue
            for _ in range(_times(each, chance, depth)):
                if each.tag == f"{_XS}element":
                    child = etree.SubElement(element, f"{{{self._namespace}}}{each.get('name')}")
                    self._fill(child, each.get("type"), chance, depth + 1)
                else:
                    self._group(element, each, chance, depth)

    def _word(self, of: Any, chance: Random) -> str:
        [restriction] = of
        said = {str(each.tag).removeprefix(_XS): str(each.get("value")) for each in restriction}
        if words := [each.get("value") for each in restriction if each.tag == f"{_XS}enumeration"]:
            return "BOOK" if "BOOK" in words and chance.random() < 0.7 else chance.choice(words)
        match restriction.get("base"):
            case "xs:decimal":
                return _blanks(chance, _decimal(said, chance))
            case "xs:boolean":
                return _blanks(chance, chance.choice(("true", "false", "1", "0")))
            case "xs:date":
                return _day(chance) + _zone(chance)
            case "xs:dateTime":
                fraction = chance.choice(("", ".1", ".123456789"))
                return f"{_day(chance)}T{chance.randrange(24):02}:59:00{fraction}{_zone(chance)}"
            case "xs:gYear":
                return f"{chance.randrange(1990, 2040)}"
            case "xs:gYearMonth":
                return f"{chance.randrange(1990, 2040)}-{chance.randrange(1, 13):02}"
        if pattern := said.get("pattern"):
            return _matching(pattern, chance)
        least, most = int(said.get("minLength", 0)), int(said.get("maxLength", 400))
        if most == 4 and chance.random() < 0.5:
            return "BOOK"  # a status, among other codes
        length = chance.choice((least, most, chance.randint(least, most)))
        return "".join(["W", *chance.choices(_LETTERS, k=length)][:length])


def _times(element: Any, chance: Random, depth: int) -> int:
    least = int(element.get("minOccurs", 1))
    most = element.get("maxOccurs", "1")
    if element.get("name") in _USUAL and depth < 4 and chance.random() < 0.95:
        least = 1
    if not least and chance.random() < (0.4, 0.4, 0.4, 0.3, 0.3, 0.3, 0.2)[min(depth, 6)]:
        return 0 if chance.random() < 0.5 else 1
    if most == "1":
        return least
    return chance.randint(least, 3 if most == "unbounded" else min(int(most), 3))


def _matching(pattern: str, chance: Random) -> str:
    """A word of a pattern: the schemas' are classes and letters, each so many times, and ends that may be missing."""
    pattern = _GROUP.sub(lambda found: chance.choice(("", found[1])), pattern)
    word = []
    for letters, least, most, letter in _ATOM.findall(pattern):
        among = (
            [chr(code) for code in range(32, 127) if re.fullmatch(f"[{letters}]", chr(code))] if letters else [letter]
        )
        times = chance.randint(int(least), int(most or least)) if least else 1
        word += chance.choices(among, k=times)
    return "".join(word)


def _decimal(said: dict[str, str], chance: Random) -> str:
    """In any form that XML Schema has for it (part 2, 3.2.3.1)."""
    places = chance.choice((0, 2, int(said["fractionDigits"])))
    places = min(places, int(said["fractionDigits"]))
    whole = str(chance.randrange(10 ** chance.randint(1, min(12, int(said["totalDigits"]) - places))))
    fraction = "".join(chance.choices("0123456789", k=places))
    sign = chance.choice(("", "", "", "+") if "minInclusive" in said else ("", "", "+", "-"))
    if not fraction:
        return sign + whole + chance.choice(("", "", "."))
    return f"{sign}{chance.choice((whole, whole, '0' + whole, ''))}.{fraction}"


def _day(chance: Random) -> str:
    return f"{chance.randrange(1990, 2040)}-{chance.randrange(1, 13):02}-{chance.randrange(1, 29):02}"


def _zone(chance: Random) -> str:
    return chance.choice(("", "Z", "+04:00", "-11:30"))


def _blanks(chance: Random, word: str) -> str:
    """Around what is no string blanks mean nothing."""
    return chance.choice((word, word, f" {word}", f"{word}\n"))
