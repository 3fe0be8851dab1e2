"""Facts in, facts out: a transactional outbox, its relay to Apache Kafka, and a consumer with an inbox.

A reusable Django app that knows nothing of users. What happens, in order: `outbox.publish` writes a record
in the caller's transaction, `outbox.relay` sends it to Kafka, `inbox.consumer` brings it to the handlers
that a project's ROUTES name.
"""
