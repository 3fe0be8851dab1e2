"""Lists of breached passwords, whatever their form; names of any spelling; what a start refuses."""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from pytest_django import Settings

from accounts.conf import AccountsSettings
from accounts.errors import FieldRefused
from accounts.passwords import refuse_personal, refuse_weak

MANY = [f"word number {n}" for n in range(700)]
ABSENT = [f"absent number {n}" for n in range(300)]


def sums_of(words: Sequence[str]) -> list[str]:
    return sorted(hashlib.sha1(word.encode(), usedforsecurity=False).hexdigest() for word in words)


FORMS: dict[str, Callable[[Sequence[str]], Sequence[str]]] = {
    "plain": lambda words: words,
    "sums": sums_of,
    "sums in capitals": lambda words: [line.upper() for line in sums_of(words)],
    "counted sums": lambda words: [f"{line}:{n}" for n, line in enumerate(sums_of(words))],
}


@pytest.fixture
def listed(settings: Settings, tmp_path: Path) -> Callable[[bytes], Path]:
    """Make these bytes the list of breached passwords."""

    def listing(content: bytes) -> Path:
        file = tmp_path / "list"
        file.write_bytes(content)
        settings.ACCOUNTS = {**settings.ACCOUNTS, "PASSWORD_BREACHED_FILE": str(file)}
        return file

    return listing


def code_of(password: str, *names: str) -> str | None:
    try:
        refuse_weak(password)
        refuse_personal(password, names)
    except FieldRefused as refused:
        return refused.code
    return None


@pytest.mark.parametrize("count", [1, 2, 3, 700])
@pytest.mark.parametrize("ends_so", [0, 1])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("form", FORMS)
def test_each_word_of_a_list_is_found_and_no_other(
    listed: Callable[[bytes], Path], form: str, end: str, ends_so: int, count: int
) -> None:
    words = MANY[:count]
    listed((end.join(FORMS[form](words)) + end * ends_so).encode())

    assert AccountsSettings.current().problems() == []
    assert {code_of(word) for word in words} == {"password_breached"}
    assert {code_of(word) for word in ABSENT} == {None}
    assert code_of("word number") is None


def test_a_plain_word_across_two_pieces_of_the_file_is_found(listed: Callable[[bytes], Path]) -> None:
    word = b"lies across the border"
    for before in range(len(word) + 3):
        filler = b"x" * ((1 << 20) - before - 1) + b"\n"
        file = listed(filler + word + b"\r\nand more\n")
        assert code_of(word.decode()) == "password_breached", before
        file.rename(file.with_name(f"list {before}"))


@pytest.mark.parametrize(
    "content",
    [b"", "\n".join(reversed(sums_of(MANY))).encode(), ("\n".join(sums_of(MANY)[:300]) + "\nx" * 20_000).encode()],
    ids=["empty", "not sorted", "not only sums"],
)
def test_a_list_that_cannot_be_searched_is_told_by_its_setting(listed: Callable[[bytes], Path], content: bytes) -> None:
    listed(content)

    assert [problem.name for problem in AccountsSettings.current().problems()] == ["PASSWORD_BREACHED_FILE"]


@pytest.mark.parametrize("path", ["no/such/list", "/"])
def test_a_list_that_cannot_be_read_is_told_by_its_setting(settings: Settings, path: str) -> None:
    settings.ACCOUNTS = {**settings.ACCOUNTS, "PASSWORD_BREACHED_FILE": path}

    assert [problem.name for problem in AccountsSettings.current().problems()] == ["PASSWORD_BREACHED_FILE"]


def test_the_guides_password_is_fine_where_common_ones_are(settings: Settings) -> None:
    assert code_of("password123", "testuser", "test@example.com") is None
    settings.ACCOUNTS = {**settings.ACCOUNTS, "PASSWORD_REFUSE_COMMON": True}
    assert code_of("password123", "testuser", "test@example.com") == "password_common"


@pytest.mark.parametrize(
    ("password", "names", "expected"),
    [
        ("MARGUERITE!", ["Marguerite"], "password_personal"),
        ("the straße here", ["STRASSE"], "password_personal"),
        ("\N{FULLWIDTH LATIN CAPITAL LETTER M}arguerite!", ["marguerite"], "password_personal"),
        ("planning winter", ["xy", "ann@example.com"], None),
        ("joanna's winter", ["xy", "anna@example.com"], "password_personal"),
        ("a long winter", [""], None),
        ("a long example.com", ["somebody", "other@example.com"], None),
    ],
)
def test_names_are_compared_in_one_form(password: str, names: list[str], expected: str | None) -> None:
    assert code_of(password, *names) == expected
