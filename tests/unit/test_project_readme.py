"""What README.md tells a reader to type is understood by what would read it (what it does: tests/integration)."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.management import get_commands, load_command_class

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text().replace("\\\n", " ")


def typed(program: str) -> list[str]:
    """What stands behind the program's name, to the end of the code or its pipe."""
    return [words.strip() for words in re.findall(rf"{program} ([a-z][^`|)\n]*)", README)]


@pytest.mark.parametrize("words", sorted({*typed(r"manage\.py")}))
def test_every_command_of_manage_py_takes_its_words(words: str) -> None:
    name, *arguments = words.split()
    parser = load_command_class(get_commands()[name], name).create_parser("manage.py", name)

    # Raises CommandError, as none is called from a command line.
    parser.parse_args(arguments)


def test_every_command_of_devstack_and_target_of_make_is_there() -> None:
    command = [sys.executable, "-m", "devstack", "--help"]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True).stdout
    commands = re.findall(r"^    ([a-z-]+)\b", told, flags=re.MULTILINE)
    targets = re.findall(r"^([a-z-]+):.* ## ", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)

    assert {words.split()[0] for words in typed("-m devstack")} - {*commands} == set()
    in_code = re.findall(r"(?:`|^)make ([a-z-]+)", README, flags=re.MULTILINE)
    assert {*in_code} > {"demo", "run", "test", "lint"}
    assert {*in_code} - {*targets} == set()
