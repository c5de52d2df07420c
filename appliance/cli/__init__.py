"""The command line. Each command is a small file, imported only when it is asked for."""
