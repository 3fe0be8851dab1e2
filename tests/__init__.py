"""The test suite; `parts` gives it real PostgreSQL, Kafka, Valkey and mail."""
