"""The admin's pages: users, who change by the services alone, and what belongs to them, to look at.

Django's own writing of a row is never used: each change is a service's, which publishes the event, with who is signed
in as the actor. Signing in is `admin_sign_in`.
"""

from accounts.admin import groups, reading, users

__all__ = ["groups", "reading", "users"]
