"""docs/problems.md lists the very codes that the code can answer with."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from accounts.api.problems import ANSWERS, BY_STATUS, KINDS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/problems.md").read_text()
OF_DRF = {"required", "null", "blank", "null_characters_not_allowed", "invalid_choice"}
TOO_LONG = {"username_too_long", "display_name_too_long", "reason_too_long"}


def rows(heading: str) -> list[list[str]]:
    """The cells of the table under a heading."""
    section = PAGE.split(f"## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def field_codes() -> Iterator[str]:
    """The codes written out where a field is refused: FieldRefused(code, …), FieldError(place, code, …)."""
    for path in (ROOT / "accounts").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                place = {"FieldRefused": 0, "FieldError": 1}.get(ast.unparse(node.func).rpartition(".")[2])
                if place is not None and isinstance(code := node.args[place], ast.Constant):
                    yield str(code.value)


def test_the_page_has_every_code_with_its_status() -> None:
    listed = {row[0].strip("`"): int(row[1]) for row in rows("Codes")}

    assert listed == {kind.code: kind.status for kind in KINDS.values()}


def test_the_page_has_every_code_of_a_field() -> None:
    listed = [row[0].strip("`") for row in rows("Codes of fields")]

    assert len(listed) == len(set(listed))
    assert set(listed) == {*field_codes(), *OF_DRF, *TOO_LONG}


def test_every_answer_has_a_code_of_the_list() -> None:
    assert {answer.code for answer in ANSWERS.values()} <= set(KINDS)
    assert {status: KINDS[code].status for status, code in BY_STATUS.items()} == {
        status: status for status in BY_STATUS
    }


def test_codes_are_words_with_one_mark_each() -> None:
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)*", code) for code in KINDS)
    assert all(re.fullmatch(r"[a-z]+(_[a-z]+)*", code) for code in field_codes())
