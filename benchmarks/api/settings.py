"""The application's settings, with one view more: the floor that its own views are compared with."""

from usercenter.settings import *  # noqa: F403 - all of them, since nothing else may differ

ROOT_URLCONF = "benchmarks.api.urls"
