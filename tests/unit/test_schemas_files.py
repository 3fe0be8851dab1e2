"""`manage.py schemas`: what it refuses to write over, what it keeps, and what it writes."""

import json
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.core.management import CommandError, call_command, get_commands
from pytest_django import Settings

from accounts.event_types import UserRegistered

ROOT = Path(__file__).parents[2]
Change = Callable[[dict[str, Any]], object]


def schemas(*, check: bool = False, asyncapi: Path | None = None) -> list[str]:
    """The files that the command names."""
    named = StringIO()
    call_command("schemas", check=check, asyncapi=asyncapi, stdout=named)
    return named.getvalue().splitlines()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The accounts app's schemas, freshly written."""
    # Django looks once where each command is, and must not do so while the app seems to be elsewhere.
    get_commands()
    monkeypatch.setattr(apps.get_app_config("accounts"), "path", str(tmp_path))
    schemas()
    return tmp_path / "schemas"


@pytest.fixture
def published(folder: Path) -> Callable[[Change], Path]:
    """Let something else have been published as user.registered; gives its file."""

    def publish(change: Change) -> Path:
        path = folder / "user.registered.json"
        schema = json.loads(path.read_text("utf-8"))
        change(schema)
        path.write_text(json.dumps(schema), "utf-8")
        return path

    return publish


def members(schema: dict[str, Any]) -> dict[str, Any]:
    return dict.__getitem__(schema["$defs"]["UserRegistered"], "properties")


def test_all_that_is_committed_is_what_the_classes_say() -> None:
    assert schemas(check=True, asyncapi=ROOT / "docs/asyncapi.json") == []


def test_a_file_tells_the_version_of_its_class(folder: Path) -> None:
    assert json.loads((folder / "user.logged_in.json").read_text("utf-8"))["x-schema-version"] == 1


@pytest.mark.parametrize("check", [True, False])
def test_a_published_member_that_the_class_lacks_is_refused_with_what_is_allowed(
    published: Callable[[Change], Path], *, check: bool
) -> None:
    path = published(lambda schema: members(schema).update(nickname={"type": "string"}))
    before = path.read_bytes()

    with pytest.raises(CommandError) as refused:
        schemas(check=check)

    assert str(refused.value) == (
        "user.registered version 1: nickname: is gone. Within one version only optional members may be added: raise "
        f"schema_version to 2 and give an upcaster from 1 (or delete {path}, if that was never published)"
    )
    assert path.read_bytes() == before


def test_every_breakage_is_told_at_once(published: Callable[[Change], Path]) -> None:
    published(lambda schema: members(schema).update(locale={"type": "integer"}, at={}))

    with pytest.raises(CommandError, match=r"locale: was integer and is string.*\n.*at: is gone"):
        schemas(check=True)


def test_a_published_version_never_goes_back(published: Callable[[Change], Path]) -> None:
    published(lambda schema: schema.update({"x-schema-version": 2}))

    with pytest.raises(CommandError, match="registered version 1: version 2 is published"):
        schemas()


@pytest.fixture
def second_version(monkeypatch: pytest.MonkeyPatch) -> None:
    """The class of user.registered has gone on, and lifts what it was."""
    monkeypatch.setattr(UserRegistered, "schema_version", 2)
    monkeypatch.setattr(UserRegistered, "upcasters", {1: dict})


def test_a_higher_version_may_break_and_the_earlier_schema_is_kept(
    published: Callable[[Change], Path], second_version: None
) -> None:
    path = published(lambda schema: members(schema).update(nickname={}))
    before = path.read_text("utf-8")

    assert schemas() == [str(path.with_suffix("") / "1.json"), str(path)]
    assert (path.parent / "user.registered" / "1.json").read_text("utf-8") == before
    assert "nickname" not in path.read_text("utf-8")
    assert json.loads(path.read_text("utf-8"))["x-schema-version"] == 2
    assert schemas(check=True) == []


def test_a_version_that_was_published_needs_an_upcaster_ever_after(
    folder: Path, second_version: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused() -> str:
        with pytest.raises(CommandError) as error:
            schemas(check=True)
        return str(error.value)

    monkeypatch.setattr(UserRegistered, "upcasters", {})
    assert "user.registered version 2: no upcaster from 1" in refused()
    monkeypatch.setattr(UserRegistered, "upcasters", {1: dict})
    schemas()
    monkeypatch.setattr(UserRegistered, "upcasters", {})
    assert "user.registered version 2: no upcaster from 1" in refused()
    (folder / "user.registered" / "1.json").unlink()
    assert schemas(check=True) == []


def test_a_published_event_whose_class_is_gone_is_refused(folder: Path) -> None:
    (folder / "user.moved.json").write_text('{"x-schema-version": 1}')

    with pytest.raises(CommandError, match=r"user\.moved: .* has no event class any more"):
        schemas(check=True)


def test_a_file_whose_readers_survive_the_change_is_written_anew(published: Callable[[Change], Path]) -> None:
    path = published(lambda schema: schema["$defs"]["UserRegistered"].update(description="Other words"))

    with pytest.raises(CommandError, match="differ"):
        schemas(check=True)
    assert schemas() == [str(path)]
    assert schemas() == []


def test_the_document_is_written_where_it_is_asked_for_and_compared(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "docs" / "asyncapi.json"
    with pytest.raises(CommandError, match="differ"):
        schemas(check=True, asyncapi=path)

    assert schemas(asyncapi=path) == [str(path)]
    assert schemas(check=True, asyncapi=path) == []
    assert path.read_bytes() == (ROOT / "docs/asyncapi.json").read_bytes()


def test_the_document_is_the_same_wherever_it_is_written(settings: Settings, tmp_path: Path) -> None:
    settings.DEBUG = not settings.DEBUG
    settings.EVENTS = {
        **settings.EVENTS,
        "TOPICS": {key: f"elsewhere.{key}" for key in settings.EVENTS["TOPICS"]},
        "SOURCE": "https://elsewhere.example",
        "GROUP": "elsewhere",
    }

    assert schemas(check=True, asyncapi=ROOT / "docs/asyncapi.json") == []
