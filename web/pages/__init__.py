"""The pages that people use, one file an address of the rail."""
