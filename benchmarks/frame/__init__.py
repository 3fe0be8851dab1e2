"""What several benchmarks stand on: parts and topics, processes, records, requests, waiting, what repeats amount to."""
