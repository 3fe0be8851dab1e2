"""Users: their accounts, sessions and what follows from each change of them.

`api` parses a request and calls one of `services`; a service changes the user and publishes the event in one
transaction; `handlers` do what the event leads to, on the consumer's side.
"""
