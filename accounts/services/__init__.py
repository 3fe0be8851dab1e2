"""What changes a user, one transaction each: lock the row, change it, publish the event last.

Called by `api`, the admin and commands with parsed values; `events.outbox` takes over at the commit.
"""
