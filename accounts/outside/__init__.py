"""What leaves the house: mails and webhooks. A handler owes one, a worker makes the call (`mail`, `webhooks`).

In order: `notices.request` or `handlers.webhooks` writes an OutsideCall in the handler's transaction; `queue` tells a
worker after the commit, best effort; `accounts.tasks` runs `attempts`, for one call or as a sweep over all that are
due.
"""
