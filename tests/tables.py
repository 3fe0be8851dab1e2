"""Empty tables behind a test, as quickly as the next one wants."""

from collections.abc import Callable, Sequence
from typing import Any

# Tables in which something was written since they were last emptied, were it rolled back. What Django itself filled
# when it made the database stays.
_WRITTEN = """
select string_agg(oid::regclass::text, ', ') from pg_class
where relkind = 'r' and relnamespace = 'public'::regnamespace and pg_relation_size(oid) > 0
    and relname not in ('auth_permission', 'django_content_type', 'django_migrations')
"""


def empty_the_written(run: Callable[[str], Sequence[tuple[Any, ...]]]) -> None:
    """`run` executes a statement and gives its rows, if it has any."""
    [(tables,)] = run(_WRITTEN)
    if tables:
        run(f"truncate {tables} cascade")


def forget_statistics(cursor: Any, table: str) -> None:
    """What is known of the rows of tests before: an emptied table keeps it."""
    cursor.execute("delete from pg_statistic where starelid = %s::regclass", [table])
