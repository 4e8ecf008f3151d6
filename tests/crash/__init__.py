"""Crash states: what a disk may hold after the power fails at any moment, and that log and database recover from it.

``workloads`` drives the real log, or tables, over a :class:`~striate._native.simulation.SimulatedDisk`, which records
every operation. ``model`` replays a prefix of the record and knows what is durable; ``variants`` chooses
what else survived. ``check`` puts such a state into files, opens the log on it and compares with what had
been acknowledged. ``explore`` walks through states, crashes during recovery included. ``python -m
tests.crash --help`` runs them by the million.

The method is that of ALICE (Pillai et al., "All file systems are not created equal", OSDI 2014).
"""
