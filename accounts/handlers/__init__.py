"""What events lead to, on the consumer's side; `accounts/routes.py` says which goes where.

Each handler runs inside the consumer's transaction, may see an event again, and writes no column of accounts_user.
"""
