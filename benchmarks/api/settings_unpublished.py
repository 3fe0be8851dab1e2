"""The application's settings, with a changed user of whom nobody is told: what PATCH is compared with."""

from usercenter.settings import *  # noqa: F403 - all of them, since nothing else may differ

ROOT_URLCONF = "benchmarks.api.urls_unpublished"
