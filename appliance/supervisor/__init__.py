"""`depotbox run`: the role table as processes of one foreground program.

`loop` starts, watches and stops; `unit` is the life of one role and `restarts` its patience, both without processes
and clock; `child` is a process and everything it started; `preflight` is what must be true before the first start;
`statusfile` is what others may know.
"""
