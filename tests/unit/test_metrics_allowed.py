"""Whose address may read /metrics; the rest of it is in tests/acceptance/test_s41_probes.py."""

import pytest
from django.http import Http404
from django.test import RequestFactory

from usercenter.health import metrics


def is_shown_to(peer: str) -> bool:
    try:
        return metrics(RequestFactory().get("/metrics", REMOTE_ADDR=peer)).status_code == 200
    except Http404:
        return False


@pytest.mark.parametrize("peer", ["127.0.0.1", "10.1.2.3", "::1", "fd00::7", "::ffff:10.1.2.3", "::ffff:127.0.0.1"])
def test_inner_addresses_see_them_also_where_one_socket_takes_both_kinds(peer: str) -> None:
    assert is_shown_to(peer)


@pytest.mark.parametrize("peer", ["198.51.100.7", "::ffff:198.51.100.7", "2001:db8::7", "", "unix"])
def test_others_do_not(peer: str) -> None:
    assert not is_shown_to(peer)
