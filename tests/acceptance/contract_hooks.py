"""What schemathesis cannot know of this API: who asks, which things there are, and the words of our own formats.

Loaded by the `schemathesis` process (SCHEMATHESIS_HOOKS). A user asks or, where the path is the administration's, a
superuser; who has left or was signed out by a case is replaced before the next one. Every second request that is meant
to be taken is about what is there. How often each operation gave which answer is written at the end, to
CONTRACT_ANSWERS.
"""

import atexit
import json
import os
from collections import Counter
from collections.abc import Callable, Mapping
from itertools import count
from pathlib import Path
from typing import Any

import requests
import schemathesis
from hypothesis import strategies as st
from schemathesis import AuthContext, Case, HookContext, Response

AnyCase = Case[Any]

API = os.environ["CONTRACT_URL"] + "/api/v1"
STAFF, PASSWORD = os.environ["CONTRACT_STAFF"], os.environ["CONTRACT_PASSWORD"]
ADMINISTRATION = "/api/v1/admin/"
# What leaves who asks without a session, or with another password.
ENDING = {"logout", "logout_all", "delete_me", "change_password"}
# What leaves who was asked about in another status.
MOVING = {"suspend_user", "delete_user"}
REFUSED = 400

# One draw each: those that make up a word letter by letter take most of a run, in search of lengths that there are not.
for name, form in {
    "username": "ann.lee-{:x}",
    "email": "ann_{:x}@mail.example.com",
    "password": "purple MONKEY {:x}",
}.items():
    schemathesis.openapi.format(name, st.integers(1, 1 << 64).map(form.format))
schemathesis.openapi.format("time-zone", st.sampled_from(["UTC", "Europe/Zurich", "America/New_York"]))

_numbers, _turns = count(1), count(1)
_answers: Counter[str] = Counter()


def posted(path: str, *, token: str = "", **body: str) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    answer = requests.post(f"{API}/{path}", json=body, headers=headers, timeout=60)
    answer.raise_for_status()
    told: dict[str, Any] = answer.json()
    return told


def signed_in(name: str) -> dict[str, Any]:
    return posted("users/login", identifier=name, password=PASSWORD)


def somebody() -> dict[str, Any]:
    name = f"{STAFF}.{next(_numbers)}"
    return posted("users/register", username=name, email=f"{name}@example.com", password=PASSWORD)


def somebody_after(move: str) -> dict[str, Any]:
    """Whom the superuser has moved: `suspend`, `delete`."""
    opened = somebody()
    posted(f"admin/users/{opened['user']['id']}/{move}", token=people.staff["token"], reason="a test")
    return opened


class People:
    """Who is there, each as the answer that opened their session."""

    def __init__(self) -> None:
        self.staff = signed_in(STAFF)
        self.user, self.other = somebody(), somebody()

    def asking(self, path: str) -> dict[str, Any]:
        return self.staff if path.startswith(ADMINISTRATION) else self.user

    def replace(self, path: str) -> None:
        """Whoever asked for this."""
        if path.startswith(ADMINISTRATION):
            self.staff = signed_in(STAFF)
        else:
            self.user = somebody()


people = People()


@schemathesis.auth(refresh_interval=None)
class Bearer:
    """The token of who asks."""

    def get(self, case: AnyCase, context: AuthContext) -> str:
        return str(people.asking(case.operation.path)["token"])

    def set(self, case: AnyCase, data: str, context: AuthContext) -> None:
        case.headers["Authorization"] = f"Bearer {data}"


def members_of(case: AnyCase) -> dict[str, Any]:
    """Of its body; of none where there is none."""
    return case.body if isinstance(case.body, dict) else {}


def name_session(case: AnyCase, opened: Mapping[str, Any]) -> None:
    """In the path: the user and, where it has a place, the session."""
    there = {"user_id": opened["user"]["id"], "session_id": opened["session_id"]}
    case.path_parameters.update({name: there[name] for name in case.path_parameters})


def name_nobody(case: AnyCase) -> None:
    """A name that is free."""
    name = f"{STAFF}.{next(_numbers)}"
    body = members_of(case)
    known = {"password": PASSWORD} if "password" in body else {}
    case.body = body | known | {"username": name, "email": f"{name}@example.com"}
    case.headers.pop("Idempotency-Key", None)


def say(**members: Callable[[], str]) -> Callable[[AnyCase], None]:
    """A body with these members, and of the generated ones those that go with them."""

    def change(case: AnyCase) -> None:
        kept = {name: value for name, value in members_of(case).items() if name == "new_password"}
        case.body = kept | {name: value() for name, value in members.items()}

    return change


def say_who_left(case: AnyCase) -> None:
    case.body = {"identifier": somebody_after("delete")["user"]["email"], "password": PASSWORD}


KNOWN: Mapping[str, Callable[[AnyCase], None]] = {
    "register": name_nobody,
    "create_user": name_nobody,
    "login": say(identifier=lambda: people.user["user"]["email"], password=lambda: PASSWORD),
    "reauthenticate": say(password=lambda: PASSWORD),
    "change_password": say(current_password=lambda: PASSWORD),
    "refresh": say(refresh_token=lambda: people.user["refresh_token"]),
    "logout": say(refresh_token=lambda: people.user["refresh_token"]),
    "restore_me": say_who_left,
    "end_session": lambda case: name_session(case, people.user | signed_in(people.user["user"]["email"])),
    "get_user_session": lambda case: name_session(case, somebody()),
    "reactivate_user": lambda case: name_session(case, somebody_after("suspend")),
    "restore_user": lambda case: name_session(case, somebody_after("delete")),
}


@schemathesis.hook
def before_call(context: HookContext, case: AnyCase, kwargs: dict[str, Any]) -> None:
    """Every second request that is meant to be taken names what is there, and nothing that cannot be."""
    operation = case.operation.definition.raw["operationId"]
    if case.meta is None or case.meta.generation.mode.is_negative or next(_turns) % 2:
        return
    if "user_id" in case.path_parameters:
        name_session(case, people.other)
    if "If-Match" in case.headers:
        case.headers["If-Match"] = "*"
    for invented in ("cursor", "group"):
        (case.query or {}).pop(invented, None)
    for invented in ("groups", "until"):
        members_of(case).pop(invented, None)
    if operation in KNOWN:
        KNOWN[operation](case)


def code_of(response: Response) -> str:
    """Of a problem; empty where it is none, which is for the checks to judge."""
    is_problem = response.headers.get("content-type") == ["application/problem+json"] and response.content
    return str(json.loads(response.content)["code"]) if is_problem else ""


@schemathesis.hook
def after_call(context: HookContext, case: AnyCase, response: Response) -> None:
    """Who has left or may not come in any more is replaced."""
    operation, status = case.operation.definition.raw["operationId"], int(response.status_code)
    code = code_of(response)
    _answers[f"{operation}/{status}/{code}"] += 1
    done = status < REFUSED
    if operation == "refresh" and done:
        people.user |= json.loads(response.content)
    elif operation in MOVING and done:
        people.other = somebody()
    elif code == "session-revoked" or (operation in ENDING and done):
        people.replace(case.operation.path)


@atexit.register
def tell() -> None:
    Path(os.environ["CONTRACT_ANSWERS"]).write_text(json.dumps(_answers))
