"""MQTT in and out: topics, payload decoding, ingest."""
