"""What ends between a request's first look at its session and what it does: nothing is done then."""

from collections.abc import Callable

import pytest
from django.db import connection
from django.utils import timezone

from accounts.models import RefreshToken, Session, User
from accounts.models.session import Client, SessionRevoked
from accounts.names import parse_email, parse_username
from accounts.services.passwords import change_password
from accounts.services.registration import NewUser, register
from accounts.services.sign_in import reauthenticate

PASSWORD, CLIENT = "a long enough one", Client(device="", ip=None)
pytestmark = pytest.mark.django_db


@pytest.fixture
def session() -> Session:
    """As a request that passed authentication has it in hand."""
    new = NewUser(username=parse_username("ann"), email=parse_email("ann@example.com"))
    return register(new=new, password=PASSWORD, client=CLIENT, now=timezone.now()).session


def change(session: Session) -> None:
    change_password(
        session=session, current_password=PASSWORD, new_password="quite another one", client=CLIENT, now=timezone.now()
    )


def say_again(session: Session) -> None:
    reauthenticate(session=session, password=PASSWORD, client=CLIENT, now=timezone.now())


def end(session: Session) -> None:
    Session.objects.filter(pk=session.pk).end(now=timezone.now())


def suspend(session: Session) -> None:
    with connection.cursor() as cursor:
        cursor.execute("select accounts_unguarded('a test')")
    User.objects.filter(pk=session.user_id).update(status=User.Status.SUSPENDED)


@pytest.mark.parametrize("act", [change, say_again])
@pytest.mark.parametrize("happens", [end, suspend])
def test_a_session_that_ended_or_whose_user_was_barred_changes_nothing(
    session: Session, act: Callable[[Session], None], happens: Callable[[Session], None]
) -> None:
    before = User.objects.get().password, RefreshToken.objects.get().hash, Session.objects.get().auth_time
    happens(session)

    with pytest.raises(SessionRevoked):
        act(session)

    assert (User.objects.get().password, RefreshToken.objects.get().hash, Session.objects.get().auth_time) == before
