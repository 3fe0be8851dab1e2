"""`python -m benchmarks NAME [--quick] …`: hands over to the module of that name, which says what it takes.

Each module has `main(argv) -> int`, tells its progress on stderr, and reports through `report`.
"""

import importlib
import pkgutil
import sys
from pathlib import Path

_NOT_RUNS = {"__main__", "frame", "report"}


def main(argv: list[str]) -> int:
    """Run the named one; its exit code. 2 where there is none of that name."""
    names = sorted({module.name for module in pkgutil.iter_modules([str(Path(__file__).parent)])} - _NOT_RUNS)
    if not argv or argv[0] not in names:
        print(f"usage: python -m benchmarks {{{','.join(names)}}} [--quick] …", file=sys.stderr)
        return 2
    code: int = importlib.import_module(f"benchmarks.{argv[0]}").main(argv[1:])
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
