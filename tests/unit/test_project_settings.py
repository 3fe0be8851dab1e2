"""`.env.example` and the code that reads the environment name the same settings, with the same defaults."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLE = (ROOT / ".env.example").read_text()
READS = re.compile(r"env|env\.\w+|os\.environ\.get")
SECRET = re.compile(r"SECRET|SIGNING|PASSWORD$|TOKEN$")


def listed() -> dict[str, str]:
    """Each name in the example, commented out or not, and its value."""
    return dict(re.findall(r"^#?([A-Z][A-Z0-9_]+)=(.*)$", EXAMPLE, flags=re.MULTILINE))


def reads() -> Iterator[ast.Call]:
    """Every call in usercenter/ that reads one name: env.int("NAME", …), os.environ.get("NAME", …)."""
    for path in (ROOT / "usercenter").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and READS.fullmatch(ast.unparse(node.func)) and name_of(node).isupper():
                yield node


def name_of(call: ast.Call) -> str:
    name = call.args[0]
    return str(name.value) if isinstance(name, ast.Constant) else ""


def written(default: object) -> str:
    if isinstance(default, bool):
        return "on" if default else "off"
    return ",".join(map(str, default)) if isinstance(default, list) else str(default)


def literal_defaults() -> Iterator[tuple[str, str]]:
    """Name and default of each read whose default is written out where it is read."""
    for call in reads():
        given = call.args[1:2] + [keyword.value for keyword in call.keywords if keyword.arg == "default"]
        for default in given:
            if isinstance(default, ast.Constant | ast.List):
                yield name_of(call), written(ast.literal_eval(default))


def test_the_example_lists_each_setting_once() -> None:
    names = re.findall(r"^#?([A-Z][A-Z0-9_]+)=", EXAMPLE, flags=re.MULTILINE)
    assert sorted(names) == sorted(set(names))


def test_the_example_lists_what_the_code_reads_and_nothing_else() -> None:
    read = {name_of(call) for call in reads()}
    assert len(read) > 30
    assert sorted(read - set(listed())) == []
    assert sorted(set(listed()) - read) == []


def test_the_example_shows_the_codes_own_defaults() -> None:
    """Of those that are commented out: the others have to be set. A default taken from another setting is in words."""
    shown = dict(re.findall(r"^#([A-Z][A-Z0-9_]+)=(.*)$", EXAMPLE, flags=re.MULTILINE))
    wrong = {name: default for name, default in literal_defaults() if shown.get(name, default) != default}
    assert wrong == {}


def test_every_setting_is_explained_by_the_line_above_it() -> None:
    lines = EXAMPLE.splitlines()
    above = [lines[n - 1] for n, line in enumerate(lines) if re.match(r"#?[A-Z][A-Z0-9_]+=", line)]
    assert [line for line in above if not re.match(r"# \w.*\.", line)] == []


@pytest.mark.parametrize("name", sorted(name for name in listed() if SECRET.search(name)))
def test_the_example_holds_no_usable_secret(name: str) -> None:
    assert listed()[name] == ""


def test_no_address_in_the_example_carries_a_password() -> None:
    assert not re.search(r"//[^/\s]*:[^/\s]*@", EXAMPLE)
