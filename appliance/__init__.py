"""The core of the depot box: configuration, storage, domain rules, roles, supervisor and command line."""

__version__ = "0.1.0"
