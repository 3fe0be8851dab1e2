"""What the pages name is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
NAMED_PATH = re.compile(r"`((?:accounts|events|usercenter|devstack|tests|docs|deploy|security|benchmarks)/[\w./-]*)`")


def named_paths(page: Path) -> list[str]:
    return NAMED_PATH.findall(page.read_text())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_path_that_a_page_names_exists(page: Path) -> None:
    missing = [path for path in named_paths(page) if not (ROOT / path).exists() and not (ROOT / f"{path}.py").exists()]

    assert missing == []


def test_the_flow_page_follows_one_registration_through_every_layer() -> None:
    folders = {path.rsplit("/", 1)[0] for path in named_paths(ROOT / "docs/flow.md")}

    assert folders >= {
        "accounts/api", "accounts/services", "events/outbox", "events/inbox", "accounts/handlers", "accounts/outside",
    }  # fmt: skip
