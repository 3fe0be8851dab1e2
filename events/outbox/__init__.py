"""The write side: from a transaction's record to Kafka's acknowledgement."""
