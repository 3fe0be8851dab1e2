"""Two transactions that wait for each other: PostgreSQL ends one, and a service runs again by itself."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from django.db import OperationalError, connection, transaction
from django.utils import timezone

from accounts import passwords
from accounts.models import Session, User
from accounts.models.session import Client
from accounts.names import parse_email, parse_username
from accounts.services.passwords import change_password
from accounts.services.registration import NewUser, register
from accounts.services.sessions import log_out
from accounts.services.transactions import in_transaction
from tests.waiting import wait_for

CLIENT = Client(device="", ip=None)


@pytest.fixture
def session(transactional_db: None) -> Session:
    new = NewUser(username=parse_username("ann"), email=parse_email("ann@example.com"))
    return register(new=new, password="long enough", client=CLIENT, now=timezone.now()).session


@pytest.fixture
def other(session: Session) -> Iterator[psycopg.Connection]:
    """A session of the database that is not ours, and not the first to notice a deadlock: who does so gives way."""
    with psycopg.connect(**connection.get_connection_params()) as one:
        one.execute("set deadlock_timeout = '60s'")
        yield one


def test_a_service_that_gave_way_in_a_deadlock_is_done_all_the_same(
    session: Session, other: psycopg.Connection
) -> None:
    other.execute("select from accounts_session where id = %s for update", [session.pk])
    with ThreadPoolExecutor(1) as beside:
        waits = beside.submit(_log_out, session)
        wait_for(_somebody_waits_for_a_row)
        other.execute("select from accounts_user where id = %s for update", [session.user_id])
        other.commit()
        waits.result()

    session.refresh_from_db()
    assert session.ended_at is not None


def test_a_password_is_changed_all_the_same(session: Session) -> None:
    gives_way_once = """
        create sequence once;
        create function gives_way_once() returns trigger language plpgsql as $$ begin
            if nextval('once') = 1 then raise exception using errcode = '40P01'; end if;
            return new;
        end $$;
        create trigger gives_way_once before update of password on accounts_user
            for each row execute function gives_way_once();
    """
    with connection.cursor() as cursor:
        cursor.execute(gives_way_once)
    try:
        change_password(
            session=session, current_password="long enough", new_password="longer than before", client=CLIENT,
            now=timezone.now(),
        )  # fmt: skip
    finally:
        with connection.cursor() as cursor:
            cursor.execute("drop function gives_way_once cascade; drop sequence once")

    user = User.objects.get(pk=session.user_id)
    assert passwords.is_right("longer than before", user.password)


def test_inside_anothers_transaction_it_is_not_run_again(transactional_db: None) -> None:
    runs: list[int] = []

    @in_transaction
    def gives_way() -> None:
        runs.append(1)
        with connection.cursor() as cursor:
            cursor.execute("do $$ begin raise exception using errcode = '40P01'; end $$")

    with pytest.raises(OperationalError), transaction.atomic():
        gives_way()
    assert len(runs) == 1
    with pytest.raises(OperationalError):
        gives_way()
    assert len(runs) == 3


def _log_out(session: Session) -> None:
    """It looks for a deadlock but once as it waits, and by then the other must wait, too."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("set deadlock_timeout = '3s'")
        log_out(user_id=session.user_id, session_id=session.pk, now=timezone.now())
    finally:
        connection.close()


def _somebody_waits_for_a_row() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("select exists (select from pg_stat_activity where wait_event_type = 'Lock')")
        [(waits,)] = cursor.fetchall()
    return bool(waits)
