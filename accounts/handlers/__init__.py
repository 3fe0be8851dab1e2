"""What events lead to, on the consumer's side; `accounts/routes.py` says which goes where.

Each handler runs inside the consumer's transaction and may see an event again. None writes a column of accounts_user
but the clean-up, which clears the row of who is deleted past the triggers: `user.deleted` has announced it.
"""
