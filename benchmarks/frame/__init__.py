"""What several benchmarks stand on: parts and topics, processes, records, waiting, and what repeats amount to."""
