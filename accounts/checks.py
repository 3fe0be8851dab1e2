"""The problems of ACCOUNTS as Django system checks."""

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.core.checks import CheckMessage, Error, register

from accounts.conf import AccountsSettings


@register
def check_accounts_settings(app_configs: Sequence[AppConfig] | None, **options: Any) -> list[CheckMessage]:
    """ACCOUNTS as a whole, each problem as an error of its own."""
    return [Error(str(problem), id="accounts.E001") for problem in AccountsSettings.current().problems()]
