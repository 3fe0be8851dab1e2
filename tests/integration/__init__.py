"""Several parts of ours together, on real PostgreSQL, Kafka, Valkey and SMTP."""
