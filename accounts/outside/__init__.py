"""What leaves the house: mail today. A handler owes it (`notices`), a worker sends it (`attempts`, `mail`).

In order: `notices.request` writes an OutsideCall in the handler's transaction; `queue` tells a worker after the
commit, best effort; `accounts.tasks` runs `attempts`, for one call or as a sweep over all that are due.
"""
