"""The only importer of kafka-python: what we use of it, with its errors turned into ours."""

from kafka.partitioner.default import murmur2

__all__ = ["murmur2"]
