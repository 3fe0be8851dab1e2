"""S42: every answer of the API says how it may be used: not kept, not guessed at, not framed, by no other origin."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser

import pytest

from tests.acceptance import browsing
from tests.acceptance.serving import serving
from tests.acceptance.web import LOGIN, ME, PASSWORD, REGISTER, Answer, Call, Web, bearer

JWKS = "/.well-known/jwks.json"

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
        "406": web.call("GET", ME, Accept="x" * 2000),
        "415": web.call("POST", LOGIN, b"{}", Content_Type="text/plain"),
        "probe": web.call("GET", "/readyz"),
        "preflight": web.call("OPTIONS", LOGIN, Origin="https://evil.example", Access_Control_Request_Method="POST"),
    }


def test_public_keys_may_be_kept_for_a_while_and_are_guarded_like_the_rest(web: Web) -> None:
    answer = web.call("GET", JWKS)

    expected = API | {"Cache-Control": "public, max-age=300"}
    assert (answer.status, {name: answer.headers[name] for name in API}) == (200, expected)


def test_every_answer_has_the_headers(web: Web) -> None:
    for name, answer in answers(web).items():
        shown = {header: answer.headers[header] for header in API}
        assert (name, shown) == (name, API)
        assert not [header for header in answer.headers if header.lower().startswith("access-control")], name
        assert "Set-Cookie" not in answer.headers, name


class Page(HTMLParser):
    """What a page names of other places, and what in it could run without one."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.inline: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Addresses by whichever attribute; a script of the page's own, a handler, a frame."""
        named = dict(attrs)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "action", "spec-url")]
        handlers = [name for name in named if name.startswith("on") or name == "style"]
        if handlers or tag in ("iframe", "object", "embed", "base") or (tag == "script" and "src" not in named):
            self.inline.append(f"{tag} {handlers}")


DESCRIPTION, DOCS = "/api/v1/openapi.json", ["/api/v1/docs", "/api/v1/redoc"]
# Style alone may be inline: the pages' scripts make it.
SOURCES = {"'none'", "'self'", "data:", "blob:"}


def policy_of(answer: Answer) -> dict[str, set[str]]:
    parts = [part.split() for part in answer.headers["Content-Security-Policy"].split(";")]
    return {name: set(sources) for name, *sources in parts}


@pytest.mark.parametrize("path", ["/admin/login/", *DOCS])
def test_pages_run_no_inline_script_load_from_here_alone_and_are_not_framed(web: Web, path: str) -> None:
    answer = web.call("GET", path)
    page, policy = Page(answer.body.decode()), policy_of(answer)

    assert (answer.status, answer.headers.get_content_type()) == (200, "text/html")
    assert page.inline == []
    assert page.addresses
    assert all(address == "" or re.match(r"[/#?](?!/)", address) for address in page.addresses)
    assert policy.get("script-src", policy["default-src"]) == {"'self'"}
    assert policy["frame-ancestors"] == {"'none'"}
    for name, sources in policy.items():
        assert sources <= SOURCES | ({"'unsafe-inline'"} if name == "style-src" else set()), name
    assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("path", DOCS)
def test_the_docs_are_whole_by_what_is_served_here(web: Web, path: str) -> None:
    page = Page(web.call("GET", path).body.decode())

    served = {address: web.call("GET", address) for address in page.addresses}
    assert {answer.status for answer in served.values()} == {200}
    kinds = {answer.headers.get_content_type() for answer in served.values()}
    assert "text/javascript" in kinds
    ours = {at: answer.body for at, answer in served.items() if at.startswith(path)}
    assert [at for at in served if at.startswith("/static/drf_spectacular_sidecar/")]
    assert all(re.search(rb"https?://", body) is None for body in ours.values())


HOSTILE_QUERIES = [
    "url=https://evil.example/a.json", "configUrl=//evil.example", "spec-url=//evil.example", "x=%00%FF",
    "lang=%22%3E%3Cscript%3Ealert(1)", "urls.primaryName=%3C/script%3E", "version=%27%22);alert(1)//",
]  # fmt: skip


@pytest.mark.parametrize("path", DOCS)
def test_nobody_has_the_docs_show_another_thing(web: Web, path: str) -> None:
    def shown(query: str) -> list[object]:
        """The page and its own script but for texts, and which addresses they name but for queries."""
        answer = web.call("GET", f"{path}?{query}")
        page = Page(answer.body.decode())
        scripts = [web.call("GET", at).body for at in page.addresses if at.startswith(path)]
        named = [at.partition("?")[0] for at in page.addresses]
        described = [re.findall(rb'url: "([^"?]*)', script) for script in scripts]
        texts = [re.sub(rb'"[^"]*"', b"", text) for text in (answer.body, *scripts)]
        return [answer.status, page.inline, named, described, texts]

    usual = shown("")
    for query in HOSTILE_QUERIES:
        assert shown(query) == usual, query
    assert web.call("POST", path, {}).told == (405, "method-not-allowed")
    assert web.call("GET", path, Accept="image/png").told == (406, "not-acceptable")


def test_the_description_is_served(web: Web) -> None:
    schema = web.call("GET", DESCRIPTION)

    assert schema.json["openapi"].startswith("3.1")
    assert set(schema.json["paths"]) >= {REGISTER, LOGIN, ME, "/api/v1/users/{user_id}/profile"}


@pytest.mark.parametrize("query", ["version=%00", "version=9%0d%0aX-A:b", "version=%22;a=b", "lang=de", "format=yaml"])
def test_no_parameter_has_a_say_in_the_description(web: Web, query: str) -> None:
    usual, answer = web.call("GET", DESCRIPTION), web.call("GET", f"{DESCRIPTION}?{query}")

    assert (answer.status, answer.body) == (200, usual.body)
    assert set(answer.headers) == set(usual.headers)


@pytest.mark.parametrize("path", [DESCRIPTION, *DOCS])
def test_a_query_of_a_thousand_parameters_is_refused_beside_the_operations_too(web: Web, path: str) -> None:
    assert web.call("GET", f"{path}?" + "&" * 1_100).told == (400, "malformed-request")


# other origins -----------------------------------------------------------------------------------------------

GOOD = "https://good"
HTTPS = {"X-Forwarded-Proto": "https"}
STRANGERS = [
    "https://evil", "null", "https://good.evil", "http://good", "https://evilgood", "https://good:8443", "https://GOOD",
    "https://user@good", "https://good, https://evil", "https://[", "good", "",
]  # fmt: skip
EXPOSED = "ETag, Link, Location, Retry-After, X-Request-ID, RateLimit, RateLimit-Policy"


@pytest.fixture(scope="module")
def opened(django_db_setup: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    """To two origins, behind a proxy that speaks https for it."""
    settings = {
        "CORS_ALLOWED_ORIGINS": f"{GOOD},http://localhost:3000",
        "TRUSTED_PROXIES": "127.0.0.0/8",
        "HTTPS_ONLY": "on",
    }
    with serving(tmp_path_factory.mktemp("opened") / "log", **settings) as web:
        yield web


def asked(web: Web, method: str, path: str, body: object = None, **headers: str) -> Answer:
    """Over https, as the proxy says."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    [answer] = web.race([Call(method, path, body, HTTPS | named)])
    return answer


def preflight(web: Web, origin: str, path: str = ME) -> Answer:
    wanted = {"Access_Control_Request_Method": "PATCH", "Access_Control_Request_Headers": "authorization,if-match"}
    return asked(web, "OPTIONS", path, Origin=origin, **wanted)


def cors_of(answer: Answer) -> dict[str, str]:
    return {name.lower(): value for name, value in answer.headers.items() if name.lower().startswith("access-control")}


@pytest.mark.django_db
@pytest.mark.parametrize("origin", [GOOD, "http://localhost:3000"])
@pytest.mark.parametrize("path", [LOGIN, ME, JWKS])
def test_a_preflight_of_an_allowed_origin_is_told_what_it_may(opened: Web, origin: str, path: str) -> None:
    answer = preflight(opened, origin, path)

    assert answer.status == 200
    assert cors_of(answer) == {
        "access-control-allow-origin": origin,
        "access-control-allow-methods": "DELETE, GET, PATCH, POST",
        "access-control-allow-headers": (
            "accept, authorization, content-type, idempotency-key, if-match, traceparent, x-request-id"
        ),
        "access-control-expose-headers": EXPOSED,
        "access-control-max-age": "600",
    }
    assert {name: answer.headers[name] for name in API} == API
    assert "origin" in answer.headers["Vary"].lower()
    assert answer.headers["X-Request-ID"]
    assert answer.headers["Strict-Transport-Security"] == "max-age=31536000"


@pytest.mark.django_db
@pytest.mark.parametrize("origin", STRANGERS)
def test_a_stranger_may_neither_ask_nor_read(opened: Web, origin: str) -> None:
    for answer in (preflight(opened, origin), asked(opened, "GET", ME, Origin=origin), asked(opened, "GET", JWKS)):
        assert cors_of(answer) == {}
        assert "origin" in answer.headers["Vary"].lower()


@pytest.mark.django_db
def test_an_allowed_origin_may_read_every_answer_of_the_api(opened: Web) -> None:
    body = {"username": "origin", "email": "origin@example.com", "password": PASSWORD}
    registered = asked(opened, "POST", REGISTER, body, Origin=GOOD)
    answers = {
        201: registered,
        200: asked(opened, "GET", ME, Origin=GOOD, **bearer(registered.json["token"])),
        400: asked(opened, "POST", REGISTER, {}, Origin=GOOD),
        401: asked(opened, "GET", ME, Origin=GOOD),
        404: asked(opened, "GET", "/api/nothing", Origin=GOOD),
        405: asked(opened, "DELETE", LOGIN, Origin=GOOD),
        406: asked(opened, "GET", ME, Origin=GOOD, Accept="x" * 2000),
        409: asked(opened, "POST", REGISTER, body, Origin=GOOD),
        413: asked(opened, "POST", LOGIN, b"x" * 70_000, Origin=GOOD),
        415: asked(opened, "POST", LOGIN, {}, Origin=GOOD, Content_Encoding="gzip"),
    }

    for status, answer in answers.items():
        assert answer.status == status
        assert cors_of(answer) == {
            "access-control-allow-origin": GOOD,
            "access-control-expose-headers": EXPOSED,
        }
        assert {name: answer.headers[name] for name in API} == API, status
        assert answer.headers["Strict-Transport-Security"] == "max-age=31536000"


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/admin/login/", "/healthz", "/readyz", "/metrics", "/apix", "/nothing"])
def test_pages_and_probes_are_no_other_origins_business(opened: Web, path: str) -> None:
    for answer in (asked(opened, "GET", path, Origin=GOOD), preflight(opened, GOOD, path)):
        assert cors_of(answer) == {}


@pytest.mark.django_db
def test_no_preflight_lets_a_secret_out_over_plain_http(opened: Web) -> None:
    answer = opened.call("OPTIONS", ME, Origin=GOOD, Access_Control_Request_Method="GET")

    assert (answer.status, answer.json["detail"]) == (403, "Use https.")
    assert cors_of(answer) == {}


@pytest.mark.django_db
def test_the_admins_cookies_are_for_this_host_alone_and_never_go_in_the_clear(opened: Web) -> None:
    body = {"username": "cookies", "email": "cookies@example.com", "password": PASSWORD}
    user = asked(opened, "POST", REGISTER, body).json["user"]
    opened.unguarded("update accounts_user set is_staff = true where id = %s", user["id"])
    browser = browsing.Browser(opened, X_Forwarded_Proto="https", Host="localhost", Referer="https://localhost/")
    browser.get(browsing.LOGIN)

    answer = browser.sign_in("cookies")

    cookies = {line.split("=")[0]: line.split("; ")[1:] for line in answer.headers.get_all("Set-Cookie") or []}
    assert (answer.status, set(cookies)) == (302, {"__Host-sessionid", "__Host-csrftoken"})
    for attributes in cookies.values():
        assert {"Secure", "HttpOnly", "SameSite=Lax", "Path=/", "Max-Age=28800"} <= set(attributes)
        assert not [one for one in attributes if one.startswith("Domain")]
    assert browser.is_in()
