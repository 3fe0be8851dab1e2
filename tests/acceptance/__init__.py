"""The processes from outside: HTTP, Kafka, the mailbox, the log, exit codes."""
