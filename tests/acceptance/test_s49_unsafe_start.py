"""S49: outside DEBUG no process starts with an unsafe setting; each says which, and none says its value."""

import base64
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

ROOT = Path(__file__).parents[2]
LIMIT_S = 60
PROCESSES = {
    "web": ["gunicorn", "-c", "python:usercenter.gunicorn", "usercenter.wsgi"],
    "relay": [str(ROOT / "manage.py"), "relay_outbox"],
    "consumer": [str(ROOT / "manage.py"), "consume_events"],
    "worker": ["celery", "-A", "usercenter", "worker"],
    "beat": ["celery", "-A", "usercenter", "beat"],
}
KEY = Ed25519PrivateKey.generate()
PRIVATE_PEM = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
PUBLIC_PEM = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
MUST_BE_SET = ["DATABASE_URL", "SECRET_KEY", "ALLOWED_HOSTS", "PUBLIC_URL", "EVENT_SOURCE", "JWT_SIGNING_KEYS"]
# All set, and all unsafe; what must not be repeated is recognisable.
UNSAFE = {
    "SECRET_KEY": "django-insecure-CANARY-sec-" + "x" * 40,
    "ALLOWED_HOSTS": "*",
    "PUBLIC_URL": "http://users.example.com",
    "DATABASE_URL": "postgres://CANARY-sec-user:postgres@127.0.0.1:1/x",
    "JWT_SIGNING_KEYS": base64.b64encode(PUBLIC_PEM).decode() + ",CANARY-sec-path",
    "REDIS_URL": "http://:CANARY-sec-redis@localhost",
    "ACCESS_TTL_S": "soon",
    "METRICS_ALLOWED_CIDRS": "10.0.0.1/8",
}
SAFE = {
    "SECRET_KEY": base64.b64encode(os.urandom(60)).decode(),
    "ALLOWED_HOSTS": "users.example.com",
    "PUBLIC_URL": "https://users.example.com",
    "DATABASE_URL": "postgres://usercenter:gX5-only-ours@127.0.0.1:1/x",
    "JWT_SIGNING_KEYS": base64.b64encode(PRIVATE_PEM).decode(),
}


def run(command: list[str], environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """With this environment alone: what is given, even empty, goes before a `.env` that may lie here."""
    python = [sys.executable] if command[0].endswith(".py") else [sys.executable, "-m"]
    bare = {"PATH": os.environ["PATH"], "DEBUG": "off", "PORT": "0", **environ}
    return subprocess.run(
        [*python, *command], cwd=ROOT, env=bare, capture_output=True, text=True, timeout=LIMIT_S, check=False
    )


def refused(environ: dict[str, str], names: list[str]) -> dict[str, subprocess.CompletedProcess[str]]:
    with ThreadPoolExecutor(3) as pool:
        runs = pool.map(lambda name: run(PROCESSES[name], environ), names)
    return dict(zip(names, runs, strict=True))


def told(ended: subprocess.CompletedProcess[str]) -> list[str]:
    """The settings named, a line each."""
    lines = [line for line in ended.stderr.splitlines() if line.startswith("usercenter: ")]
    return [line.split(": ")[1] for line in lines]


def test_no_process_starts_without_what_must_be_set() -> None:
    for name, ended in refused(dict.fromkeys(MUST_BE_SET, ""), list(PROCESSES)).items():
        assert (name, ended.returncode, told(ended)) == (name, 1, MUST_BE_SET), ended.stderr


def test_no_process_starts_with_what_is_unsafe_or_repeats_it() -> None:
    for name, ended in refused(UNSAFE, list(PROCESSES)).items():
        assert (name, ended.returncode) == (name, 1)
        assert sorted(told(ended)) == sorted([*UNSAFE, "JWT_SIGNING_KEYS"]), ended.stderr
        assert "CANARY" not in ended.stderr + ended.stdout
        assert "Traceback" not in ended.stderr


def test_an_address_of_the_database_that_cannot_be_read_is_one_line_without_it() -> None:
    environ = {**SAFE, "DATABASE_URL": "postgres://CANARY-user:CANARY-4711/CANARY-x@CANARY-host/CANARY-db"}

    for name, ended in refused(environ, list(PROCESSES)).items():
        assert (name, ended.returncode, told(ended)) == (name, 1, ["DATABASE_URL"]), ended.stderr
        assert "must be postgres://USER:PASSWORD@HOST:PORT/NAME" in ended.stderr
        assert "CANARY" not in ended.stderr + ended.stdout
        assert "Traceback" not in ended.stderr


def test_no_process_takes_a_database_that_nobody_named() -> None:
    ended = refused({name: value for name, value in SAFE.items() if name != "DATABASE_URL"}, ["web"])["web"]

    assert (ended.returncode, told(ended)) == (1, ["DATABASE_URL"])
    assert "got nothing" in ended.stderr


def test_debug_does_not_start_where_others_can_reach_it() -> None:
    ended = refused({"DEBUG": "on", "BIND": "0.0.0.0"}, ["web"])["web"]  # noqa: S104 - that is the case

    assert (ended.returncode, told(ended)) == (1, ["DEBUG"])


def test_the_development_key_does_not_start_outside_debug(tmp_path: Path) -> None:
    from usercenter.settings import DEVELOPMENT_SIGNING_KEY  # noqa: PLC0415 - after the parts have their addresses

    as_a_file = tmp_path / "key.pem"
    as_a_file.write_bytes(base64.b64decode(DEVELOPMENT_SIGNING_KEY))

    ended = refused({**SAFE, "JWT_SIGNING_KEYS": str(as_a_file)}, ["relay"])["relay"]

    assert (ended.returncode, told(ended)) == (1, ["JWT_SIGNING_KEYS"])
    assert str(as_a_file) not in ended.stderr


def test_a_key_that_stands_twice_is_told_by_its_place_and_not_shown() -> None:
    twice = f"{SAFE['JWT_SIGNING_KEYS']},{SAFE['JWT_SIGNING_KEYS']}"

    ended = refused({**SAFE, "JWT_SIGNING_KEYS": twice}, ["web"])["web"]

    assert (ended.returncode, told(ended)) == (1, ["JWT_SIGNING_KEYS"])
    assert "number 1 again as number 2" in ended.stderr
    assert SAFE["JWT_SIGNING_KEYS"][80:] not in ended.stderr


def test_djangos_own_check_for_production_is_clean() -> None:
    ended = run([str(ROOT / "manage.py"), "check", "--deploy", "--fail-level", "WARNING"], SAFE)

    assert ended.returncode == 0, ended.stderr
    assert "no issues" in ended.stdout + ended.stderr


@pytest.mark.parametrize("name", ["SECRET_KEY", "JWT_SIGNING_KEYS", "DATABASE_URL"])
def test_the_example_of_the_settings_has_no_secret(name: str) -> None:
    lines = (ROOT / ".env.example").read_text().splitlines()

    assert f"{name}=" in lines
