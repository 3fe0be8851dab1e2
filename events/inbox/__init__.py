"""The read side: from Kafka's record to every handler's effect, once."""
