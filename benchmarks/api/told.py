"""The report of a run: its table, its figures by the names that others look for, and how they were measured."""

from collections.abc import Sequence

from benchmarks.api.bench import Scale
from benchmarks.api.crowd import FEW, PAGE, many
from benchmarks.api.names import (
    ALONE,
    BACKLOG,
    BARE,
    KAFKA_DOWN,
    LIST_BY_NAME,
    LIST_COUNTED,
    LIST_DEEP,
    LIST_FIRST,
    LOGIN,
    ME,
    PATCH,
    PATCH_BARE,
    PATCH_RELAYED,
    PROFILE,
    REFRESH,
    REGISTER,
    SEARCH_FEW,
    SEARCH_MANY,
    VARIANTS,
)
from benchmarks.api.people import CONNECTIONS
from benchmarks.frame.figures import Measurements
from benchmarks.frame.web import WORKERS
from benchmarks.report import Report

LOAD_CORES, UNAVAILABLE = "load_cores", "unavailable"

_TITLES = {
    BARE: "an empty DRF view that loads one row by primary key",
    ME: "GET /users/me",
    PROFILE: "GET /users/{{id}}/profile, from the cache",
    PATCH: "PATCH /users/me, published, no relay",
    PATCH_BARE: "PATCH /users/me, nothing published, no triggers",
    PATCH_RELAYED: "PATCH /users/me, published, and a relay at work",
    LIST_FIRST: "GET /admin/users, page 1",
    LIST_DEEP: "GET /admin/users, page {pages:,}",
    LIST_BY_NAME: "GET /admin/users, by username, page 1",
    SEARCH_FEW: f"GET /admin/users, a search that finds {FEW}",
    SEARCH_MANY: "GET /admin/users, a search that finds {many:,}, page 1",
    LIST_COUNTED: "GET /admin/users, page 1, and all counted",
    LOGIN: "POST /users/login",
    REFRESH: "POST /users/refresh",
    REGISTER: "POST /users/register",
    KAFKA_DOWN: "POST /users/register, Kafka down",
    BACKLOG: "POST /users/register, Kafka down and {backlog:,} records pending",
}
_FIGURES = {
    BARE: "bare",
    ME: "me",
    PROFILE: "profile",
    PATCH: "patch",
    PATCH_BARE: "patch_bare",
    PATCH_RELAYED: "patch_relayed",
    LIST_FIRST: "list_first",
    LIST_DEEP: "list_deep",
    LIST_BY_NAME: "list_by_name",
    SEARCH_FEW: "search_few",
    SEARCH_MANY: "search_many",
    LIST_COUNTED: "list_counted",
    LOGIN: "login",
    REFRESH: "refresh",
    REGISTER: "register",
}


def p99_name(variant: str) -> str:
    """What the time of a variant that 99 of 100 answers come within is kept as."""
    return f"{variant}, p99"


# Which figure of a round over which.
RATIOS = {
    "me_ratio": (ME, BARE),
    "profile_ratio": (PROFILE, ME),
    # The time of a request is the inverse of the rate.
    "publish_cost_ratio": (PATCH_BARE, PATCH),
    "publish_and_relay_cost_ratio": (PATCH_BARE, PATCH_RELAYED),
    "list_ratio": (LIST_DEEP, LIST_FIRST),
    "p99_kafka_down_ratio": (p99_name(KAFKA_DOWN), p99_name(REGISTER)),
    "p99_backlog_ratio": (p99_name(BACKLOG), p99_name(REGISTER)),
}
_RATIO_TITLES = {
    "me_ratio": "GET /users/me over the empty view, answers/s",
    "profile_ratio": "profile over GET /users/me, answers/s",
    "publish_cost_ratio": "PATCH /users/me published over nothing published, time of a request",
    "publish_and_relay_cost_ratio": "the same, with a relay and Kafka on the same cores",
    "list_ratio": "page {pages:,} over page 1, answers/s",
    "p99_kafka_down_ratio": "register, Kafka down over normal, p99",
    "p99_backlog_ratio": "register, backlog over normal, p99",
}
_NOTES = (
    f"""{{scale.rounds}} rounds; what is compared is measured one after the other within each, beginning with another
one each time. gunicorn as configured, {WORKERS} workers; {CONNECTIONS} connections that are kept, each with a user of
its own and always one request on its way. All of it, PostgreSQL and Valkey too, shares this machine's cores with the
load. Quotas are raised, and a relay runs. The first {{scale.warm_s:g}} s of each turn are not counted; then what
hashes a password is measured for {{scale.hashing_seconds:g}} s, all else for {{scale.seconds:g}} s.""",
    """A ratio is that of two turns of one round; min, median and max are those of all rounds, so they show the noise.
The empty view is served by the same process through the same middleware, without authentication; it answers nothing.
The profile is another user's. Refresh follows one family a connection.""",
    """PATCH: each request sets display_name to another value, `If-Match: *`. Published and not published are the same
view of two web processes, each on its own copy of a new database with the users who ask and no others: in one, the
event is sealed and inserted into the outbox, and at commit the triggers look for it; in the other, publish() does
nothing and the triggers are disabled. So the ratio is what the event costs the request. No relay reads either
database, since it would be elsewhere: what it and Kafka take of this machine's cores is in the second ratio, whose
PATCH runs in the database that the relay works on. Each turn's changes and events are counted: as many, or none.""",
    """Lists: {scale.users:,} users in a database of their own, made by SQL; the default order (newest first) unless it
says another, {page} users a page, one superuser on all connections. Page {scale.pages:,} is the last but one, so that
it brings a cursor as page 1 does. Its own cursor was given by the API while the users of both last pages were the only
ones beside the administrator and one more; the others came between afterwards, and by counting it was seen that the
page ends with the user number {last:,}. Whom a search finds came together (few) or stand evenly among all (many).""",
    """Kafka down: the broker is stopped, and the relay goes on in vain. With the backlog it is down as well, since a
relay that reaches it would not leave records pending; that web process and its relay have a database of their own.""",
    """The load is one process with one loop. Alone is its rate against a process that answers every request with the
same 400 bytes; its cores are the processor time that it takes a second while GET /users/me is measured.""",
)


def report(measurements: Measurements, scale: Scale) -> Report:
    """Of all rounds."""
    numbers = {"backlog": scale.backlog, "pages": scale.pages, "many": many(scale.users)}
    titles = {variant: title.format_map(numbers) for variant, title in _TITLES.items()}
    rows = [
        *((titles[variant], "answers/s", *_whole(measurements, variant)) for variant in VARIANTS),
        *((f"{titles[variant]}, p99", "ms", *measurements.summary(p99_name(variant))) for variant in VARIANTS),
        *((title.format_map(numbers), "ratio", *measurements.summary(ratio)) for ratio, title in _RATIO_TITLES.items()),
        ("answers 503 in any turn", "a turn", *_whole(measurements, UNAVAILABLE)),
        ("the load alone", "answers/s", *_whole(measurements, ALONE)),
        ("the load beside GET /users/me", "cores", *measurements.summary(LOAD_CORES)),
    ]
    return Report(
        title="API",
        columns=("what", "unit", "min", "median", "max"),
        rows=rows,
        figures=figures(measurements) | {"listed_users": scale.users},
        notes=[note.format(scale=scale, page=PAGE, last=scale.pages * PAGE) for note in _NOTES],
    )


def _whole(measurements: Measurements, name: str) -> Sequence[int]:
    return [round(value) for value in measurements.summary(name)]


def figures(measurements: Measurements) -> dict[str, float]:
    """Medians of the rounds, by the names under which they are looked for; rounded."""
    found = {}
    for variant, name in _FIGURES.items():
        found[f"{name}_per_s"] = measurements.median(variant)
        found[f"{name}_p99_ms"] = measurements.median(p99_name(variant))
    found |= {ratio: measurements.median(ratio) for ratio in RATIOS}
    found |= {"load_alone_per_s": measurements.median(ALONE), LOAD_CORES: measurements.median(LOAD_CORES)}
    found[UNAVAILABLE] = measurements.total(UNAVAILABLE)
    return {name: round(value, 3) for name, value in found.items()}
