"""What looking for unusual logins costs: few rows and pages each, however many logins the user has behind them."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from uuid_utils.compat import uuid7

from accounts.handlers import login_log, security
from tests.integration.logins import NINE, arrive, as_told, brought, logged_in, published, told
from tests.tables import forget_statistics

pytestmark = pytest.mark.django_db

_FILL = """
insert into accounts_loginrecord (id, user_id, at, outcome, device, ip, network)
select gen_random_uuid(), one, timestamptz '2026-11-24 09:00Z' - n * interval '1 min', 'success', 'Firefox ' || n %% 3,
    '203.0.113.7', '203.0.' || n %% 200 || '.0/24'
from unnest(%s::uuid[]) as one, generate_series(1, 5000) as n
"""


def read_of(plan: dict[str, Any]) -> Counter[str]:
    """Rows of the login log that a statement came to, those it left out again included, and pages for them."""
    read: Counter[str] = Counter()
    if plan.get("Relation Name") == "accounts_loginrecord":
        left_out = plan.get("Rows Removed by Filter", 0) + plan.get("Rows Removed by Index Recheck", 0)
        read["rows"] += round(plan["Actual Loops"] * (plan["Actual Rows"] + left_out))
        read["pages"] += plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
    return sum((read_of(child) for child in plan.get("Plans", [])), read)


@contextmanager
def explained(plans: list[dict[str, Any]]) -> Iterator[None]:
    def explain(execute: Any, statement: str, params: Any, many: bool, context: Any) -> Any:  # noqa: FBT001 - Django's
        if "accounts_loginrecord" in statement:
            execute("explain (analyze, buffers, format json) " + statement, params, many, context)
            plans.append(context["cursor"].fetchone()[0][0]["Plan"])
        return execute(statement, params, many, context)

    with connection.execute_wrapper(explain):
        yield


def fill(user_id: UUID) -> None:
    """Five thousand logins of theirs, and as many of three others; nothing is known of the rows of tests before."""
    with connection.cursor() as cursor:
        cursor.execute("truncate accounts_loginrecord")
        forget_statistics(cursor, "accounts_loginrecord")
        cursor.execute(_FILL, [[*(uuid7() for _ in range(3)), user_id]])


@pytest.mark.parametrize("analyzed", [False, True], ids=["no statistics", "statistics"])
def test_a_check_looks_at_few_of_the_earlier_logins_however_many_there_are(*, analyzed: bool) -> None:
    user_id = uuid7()
    fill(user_id)
    new = [brought(logged_in(user_id, NINE + timedelta(seconds=n), device=f"{n}")) for n in range(50)]
    published(*new)
    login_log.write_login_log(new)
    plans: list[dict[str, Any]] = []

    if analyzed:
        with connection.cursor() as cursor:
            cursor.execute("analyze accounts_loginrecord")
    with explained(plans):
        arrive(new, security.check_login)

    assert told() == Counter(as_told(event, "new_device") for event, _ in new)
    [plan] = plans
    read = read_of(plan)
    assert read["rows"] <= 5 * 50
    assert read["pages"] <= 30 * 50
