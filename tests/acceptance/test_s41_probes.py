"""S41: probes and metrics tell how the service is, to who may know, and cannot be made to grow."""

import re
from pathlib import Path

import pytest

from tests.acceptance.serving import serving
from tests.acceptance.web import LOGIN, ME, Web
from tests.waiting import wait_for


def series(web: Web) -> set[str]:
    shown = web.call("GET", "/metrics").body.decode()
    return {line.rsplit(" ", 1)[0] for line in shown.splitlines() if not line.startswith("#")}


def count(web: Web, name: str) -> float:
    shown = web.call("GET", "/metrics").body.decode()
    found = re.search(rf"^{re.escape(name)} (\S+)$", shown, re.MULTILINE)
    return float(found[1]) if found else 0.0


def test_metrics_add_up_all_workers(web: Web) -> None:
    name = 'django_http_requests_total_by_method_total{method="DELETE"}'
    before = count(web, name)

    for _ in range(40):
        web.call("DELETE", ME)

    assert count(web, name) - before == 40


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
def test_a_probe_is_only_read(web: Web, path: str) -> None:
    answer = web.call("POST", path, {})

    assert (answer.status, answer.headers["Allow"], answer.json["code"]) == (405, "GET, HEAD", "method-not-allowed")


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Forwarded-For": "127.0.0.1"}, {"X-Forwarded-Proto": "https"}, {"X-Forwarded-Host": "users.example"},
        {"X-Real-IP": "10.0.0.1"}, {"Forwarded": "for=127.0.0.1"}, {"Via": "1.1 proxy"},
    ],
)  # fmt: skip
def test_metrics_are_not_there_for_what_was_forwarded(web: Web, headers: dict[str, str]) -> None:
    answer = web.call("GET", "/metrics", **headers)
    with_token = web.call("GET", "/metrics", **headers, Authorization="Bearer CANARY-sec-metrics")
    with_another = web.call("GET", "/metrics", **headers, Authorization="Bearer guessed")

    assert (answer.status, answer.json["code"]) == (404, "not-found")
    assert with_token.status == 200
    assert with_another.status == 404


def test_odd_requests_add_no_series(web: Web) -> None:
    odd = ["BREW", "GET", "POST", "OPTIONS", "PROPFIND"]
    for method in odd:  # each kind once, so that its series are there
        web.call(method, "/nothing/at/all")
        web.call(method, f"{LOGIN}/x")
    web.call("GET", "/metrics")
    before = series(web)

    for n in range(300):
        web.call(odd[n % 5] if n % 2 else f"ODD{chr(65 + n % 26)}", f"/{'api' if n % 3 else 'x'}/{n}?q={n}")
    web.call("GET", f"{ME}/{'x' * 100}")

    assert series(web) - before == set()


def test_labels_name_no_path_and_no_person(web: Web) -> None:
    user = web.register(username="somebody")["user"]
    web.call("GET", f"/api/v1/users/{user['id']}/profile")

    shown = web.call("GET", "/metrics").body.decode()

    assert 'view="api/v1/users/<uuid:user_id>/profile"' in shown
    assert user["id"] not in shown
    assert "somebody" not in shown
    assert "@" not in shown


def test_probes_name_the_part_that_is_away_and_nothing_else(web: Web) -> None:
    token = web.register()["token"]
    assert [web.call("GET", path).json for path in ("/healthz", "/readyz")] == [{"status": "ok"}] * 2

    with web.without_database(token):
        wait_for(lambda: web.call("GET", "/readyz").status == 503)
        answer = web.call("GET", "/readyz")

    assert (answer.status, answer.json["detail"]) == (503, "Not answering: database.")


@pytest.mark.django_db
def test_the_docs_are_served_by_a_setting(tmp_path: Path) -> None:
    with serving(tmp_path / "log", API_DOCS="off") as closed:
        for page in ("openapi.json", "docs", "redoc"):
            assert closed.call("GET", f"/api/v1/{page}").told == (404, "not-found")
