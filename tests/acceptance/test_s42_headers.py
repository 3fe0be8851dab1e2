"""S42: every answer of the API says how it may be used: not kept, not guessed at, not framed, by no other origin."""

import pytest

from tests.acceptance.web import LOGIN, ME, REGISTER, Answer, Web, bearer

API = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Frame-Options": "DENY",
}


def answers(web: Web) -> dict[str, Answer]:
    token = web.register()["token"]
    with web.without_database(token):
        unavailable = web.call("GET", ME, **bearer(token))
    return {
        "200": web.call("GET", ME, **bearer(token)),
        "400": web.call("POST", REGISTER, {}),
        "401": web.call("GET", ME),
        "404": web.call("GET", "/api/nothing"),
        "405": web.call("DELETE", LOGIN),
        "413": web.call("POST", LOGIN, b"x" * 70_000),
        "503": unavailable,
        "bad host": web.call("GET", ME, Host="evil.example"),
        "probe": web.call("GET", "/readyz"),
        "preflight": web.call("OPTIONS", LOGIN, Origin="https://evil.example", Access_Control_Request_Method="POST"),
    }


def test_every_answer_has_the_headers(web: Web) -> None:
    for name, answer in answers(web).items():
        shown = {header: answer.headers[header] for header in API}
        assert (name, shown) == (name, API)
        assert not [header for header in answer.headers if header.lower().startswith("access-control")], name
        assert "Set-Cookie" not in answer.headers, name


@pytest.mark.parametrize("path", ["/admin/login/", "/api/v1/docs"])
def test_pages_run_no_inline_script_and_are_not_framed(web: Web, path: str) -> None:
    answer = web.call("GET", path)

    assert answer.status == 200
    policy = dict(part.strip().split(" ", 1) for part in answer.headers["Content-Security-Policy"].split(";"))
    assert policy.get("script-src", policy["default-src"]) == "'self'"
    assert policy["frame-ancestors"] == "'none'"
    assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert b"<script>" not in answer.body


def test_the_docs_need_no_other_host(web: Web) -> None:
    page = web.call("GET", "/api/v1/docs").body.decode()
    schema = web.call("GET", "/api/v1/openapi.json")

    assert "//" not in page.replace("http://www.w3.org", "")
    assert web.call("GET", "/static/drf_spectacular_sidecar/swagger-ui-dist/swagger-ui-bundle.js").status == 200
    assert schema.json["openapi"].startswith("3.1")
    assert set(schema.json["paths"]) >= {REGISTER, LOGIN, ME, "/api/v1/users/{user_id}/profile"}
