"""Benchmarks of striate against plain files, LMDB and RocksDB.

``python -m bench.log`` measures every bar of the commit log and prints one table; ``python -m pytest -m
bench bench`` runs the same work as pytest-benchmark cases. Read in this order: ``workload`` (what is
written and read), ``contenders`` (who does it), ``rounds`` (how it is timed and compared), ``cases``
and ``limits`` (the bars), ``report`` (the table).

A machine's speed may change by a factor of two for seconds at a time, so a bar is always a *paired*
figure: all contenders run in the same process, rounds outermost (A, B, A, B, ...), one ratio per round,
and the median counts.
"""
