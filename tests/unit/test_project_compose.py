"""docker-compose.yml holds together, as far as that shows without a container engine."""

import base64
import json
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import environ
import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from jsonschema import Draft202012Validator
from jsonschema.validators import validator_for

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if service["image"] == "usercenter:local"}
ONE_SHOT = {"migrate", "secrets"}
EXAMPLE = dict(re.findall(r"^#?([A-Z][A-Z0-9_]+)=(.*)$", (ROOT / ".env.example").read_text(), flags=re.MULTILINE))


def words(service: dict[str, Any]) -> str:
    return " ".join(service["command"])


def test_it_is_a_compose_file_by_the_compose_schema() -> None:
    schema = json.loads((ROOT / "tests/unit/compose-spec/compose-spec.json").read_text())
    assert validator_for(schema) is Draft202012Validator
    assert [error.message for error in Draft202012Validator(schema).iter_errors(COMPOSE)] == []
    assert list(Draft202012Validator(schema).iter_errors(COMPOSE | {"services": {"web": {"imagee": "x"}}})) != []


def test_all_processes_and_parts_are_there() -> None:
    assert set(OURS) == {"web", "relay", "consumer", "worker", "beat"} | ONE_SHOT
    assert set(SERVICES) - set(OURS) == {"postgres", "kafka", "valkey", "mailpit", "prometheus", "grafana"}


def test_nothing_is_published_beyond_loopback() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert all(port.startswith("127.0.0.1:") for ports in published.values() for port in ports)
    assert published["web"] == ["127.0.0.1:8080:8080"]
    assert {"postgres", "kafka", "valkey", "relay", "consumer"}.isdisjoint(published)


@pytest.mark.parametrize("name", OURS)
def test_our_services_set_only_known_settings_and_no_secret(name: str) -> None:
    environment = OURS[name].get("environment", {})
    assert set(environment) <= set(EXAMPLE)
    assert "DEBUG" not in environment
    assert {"SECRET_KEY", "JWT_SIGNING_KEYS", "DATABASE_URL"}.isdisjoint(environment)


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_has_a_health_check_or_ends_by_itself(name: str) -> None:
    assert ("healthcheck" in SERVICES[name]) is (name not in ONE_SHOT)


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_waits_for_health_or_for_the_end_of_a_one_shot(name: str) -> None:
    for needed, how in SERVICES[name].get("depends_on", {}).items():
        ends = needed in ONE_SHOT
        assert how["condition"] == ("service_completed_successfully" if ends else "service_healthy")


def test_the_processes_wait_for_their_tables_and_topics() -> None:
    waiting = {name for name, service in SERVICES.items() if "migrate" in service.get("depends_on", {})}
    assert waiting == set(OURS) - ONE_SHOT


def test_ports_are_the_defaults_that_the_example_tells() -> None:
    ports = {"web": EXAMPLE["PORT"], "relay": EXAMPLE["RELAY_PORT"], "consumer": EXAMPLE["CONSUMER_PORT"]}
    assert ports == {"web": "8080", "relay": "9101", "consumer": "9102"}
    for name, port in ports.items():
        assert f"http://127.0.0.1:{port}/healthz" in SERVICES[name]["healthcheck"]["test"][-1]
    scraped = yaml.safe_load(COMPOSE["configs"]["prometheus"]["content"])["scrape_configs"]
    assert scraped[0]["static_configs"][0]["targets"] == [f"{name}:{port}" for name, port in ports.items()]


def test_the_web_process_answers_the_names_that_it_is_called_by() -> None:
    assert OURS["web"]["environment"]["ALLOWED_HOSTS"].split(",") == ["localhost", "127.0.0.1", "web"]


@pytest.mark.parametrize("name", OURS)
def test_each_manage_command_exists(name: str) -> None:
    ours = {path.stem for path in ROOT.glob("*/management/commands/*.py")}
    named = set(re.findall(r"manage\.py (\w+)", words(OURS[name]))) - {"migrate"}
    assert named <= ours


def test_each_process_runs_its_own_command() -> None:
    assert {name: words(service) for name, service in OURS.items()} == {
        "web": "gunicorn -c python:usercenter.gunicorn usercenter.wsgi",
        "relay": "python manage.py relay_outbox",
        "consumer": "python manage.py consume_events",
        "worker": "celery -A usercenter worker",
        "beat": "celery -A usercenter beat",
        "migrate": "sh -c python manage.py migrate --no-input && python manage.py kafka topics create",
        "secrets": "python /make_secrets.py /secrets",
    }


def test_every_mounted_file_is_in_the_repository() -> None:
    mounted = [volume for service in SERVICES.values() for volume in service.get("volumes", []) if volume[0] == "."]
    assert mounted
    assert all((ROOT / volume.split(":")[0]).is_file() for volume in mounted)


def test_the_dashboard_shows_metrics_that_exist() -> None:
    dashboard = json.loads((ROOT / "deploy/grafana-dashboard.json").read_text())
    shown = {name for panel in dashboard["panels"] for name in re.findall(r"kafka_\w+", panel["targets"][0]["expr"])}
    metrics = set(
        re.findall(r'(?:Counter|Gauge|Histogram)\(\s*"(kafka_\w+)"', (ROOT / "events/observe.py").read_text())
    )
    assert {name.removesuffix("_bucket") for name in shown} == metrics


def test_the_image_builds_from_what_it_copies(tmp_path: Path) -> None:
    build, _, _ = (ROOT / "Dockerfile").read_text().partition("\nFROM python:3.11-slim\n")
    for source, target in re.findall(r"^COPY (\S+) (\S+)$", build, flags=re.MULTILINE):
        copy = shutil.copytree if (ROOT / source).is_dir() else shutil.copy
        copy(ROOT / source, tmp_path / target)
    ours = re.findall(r"^RUN (python (?!-m venv).+)$", build, flags=re.MULTILINE)
    environ = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "DEBUG": "on"}
    environ |= {"DATABASE_URL": "postgres://nobody@127.0.0.1:1/none"}

    for command in [*ours, "python manage.py check"]:
        subprocess.run(command, shell=True, cwd=tmp_path, env=environ, check=True, timeout=60)  # noqa: S602 - our own
    assert list(tmp_path.glob("accounts/__pycache__/*.pyc"))


def make_secrets(folder: Path) -> dict[str, bytes]:
    command = [sys.executable, str(ROOT / "deploy/make_secrets.py"), str(folder)]
    subprocess.run(command, check=True, timeout=30)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_secrets_are_made_once_and_kept(tmp_path: Path) -> None:
    first = make_secrets(tmp_path)
    assert set(first) == {".env", "postgres-password"}
    assert {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in first} == {0o600}
    assert make_secrets(tmp_path) == first


def test_secrets_left_half_made_are_made_again(tmp_path: Path) -> None:
    make_secrets(tmp_path)
    (tmp_path / ".env").rename(tmp_path / ".env.unfinished")
    assert set(make_secrets(tmp_path)) == {".env", "postgres-password"}


def test_the_made_secrets_are_what_the_settings_ask_for(tmp_path: Path) -> None:
    password = make_secrets(tmp_path)["postgres-password"].decode()
    made = dict(line.split("=", 1) for line in (tmp_path / ".env").read_text().splitlines())
    assert set(made) == {"SECRET_KEY", "JWT_SIGNING_KEYS", "DATABASE_URL"}
    assert len(made["SECRET_KEY"]) >= 50
    database = environ.Env.db_url_config(made["DATABASE_URL"])
    assert (database["USER"], database["PASSWORD"], database["HOST"]) == ("usercenter", password, "postgres")
    pem = base64.b64decode(made["JWT_SIGNING_KEYS"])
    assert isinstance(load_pem_private_key(pem, password=None), Ed25519PrivateKey)
