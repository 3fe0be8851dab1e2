"""House sizes: a function fits one look, a file one sitting."""

import ast
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
FUNCTION_LINES_MOST = 40
FILE_LINES_MOST = 300


def our_files() -> list[Path]:
    """What git tracks or would: never an environment's files, never generated migrations."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.py"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    return [ROOT / name for name in listed if "/migrations/" not in name and (ROOT / name).exists()]


def long_functions(path: Path) -> list[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    return [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}: {lines} lines"
        for node in functions
        if (lines := (node.end_lineno or node.lineno) - node.lineno + 1) > FUNCTION_LINES_MOST
    ]


def test_no_file_is_long() -> None:
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in our_files()}
    assert len(lengths) > 5
    assert [f"{path.name}: {lines}" for path, lines in lengths.items() if lines > FILE_LINES_MOST] == []


def test_no_function_is_long() -> None:
    assert [line for path in our_files() for line in long_functions(path)] == []
