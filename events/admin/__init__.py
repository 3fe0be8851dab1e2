"""The admin's pages of outbox and parked deliveries, for operators; `lists` is the base of other apps' pages too."""

from events.admin import pages

__all__ = ["pages"]
