"""A serializability checker: is what the clients of a database saw something that transactions one by one could show?

Transactions append unique values to lists and read whole lists. A list that is read tells in which order its elements
were appended, and so which transaction came before which: the second appended behind the first (``ww``), read what the
first appended (``wr``), appended what the first did not see (``rw``), was invoked after the first completed
(``realtime``), or follows it in its process (``process``). A cycle of these cannot be; its kind names the anomaly.
The method is that of Elle; what is written here is our own.

>>> from striate import history
>>> report = history.check([
...     history.Transaction([("append", "x", 1), ("append", "y", 1)], process=0, invoked=0, completed=9),
...     history.Transaction([("append", "x", 2), ("append", "y", 2)], process=1, invoked=0, completed=9),
...     history.Transaction([("read", "x", [1, 2]), ("read", "y", [2, 1])], process=2, invoked=0, completed=9),
... ])
>>> print(report)
3 transactions, 6 operations: not strict serializable: G0
G0: dirty write: transactions overwrite each other in both directions
  T0 -ww-> T1: T1 appended 2 to 'x' behind 1 of T0
  T1 -ww-> T0: T0 appended 1 to 'y' behind 2 of T1

Without a cycle (the reads and writes concerned say it alone):

=================== ==================================================================================================
internal            a transaction's reads contradict what it read or appended itself before
G1a                 aborted read: an element of a transaction that failed was read
G1b                 intermediate read: the state between two appends of one transaction was read
dirty update        an append behind that of a transaction that failed
duplicate element   an element is twice in a list
phantom element     an element that nobody appended
incompatible order  two reads of a key of which neither begins the other
=================== ==================================================================================================

With a cycle, which the report shows, at most one for each knot of transactions, the first in this order:

=================== ==================================================================================================
lost update         two transactions read the same version of a key and both appended to it
G0                  dirty write: only ww
G1c                 circular information flow: ww and wr
G-single            read skew: one rw, else ww and wr
G2                  write skew (anti-dependency cycle): several rw
lost append         an acknowledged append that no read has, though one was invoked later
…-process           the same with an edge of a process's order
…-realtime          the same with an edge of real time: stale reads, reads of the future
=================== ==================================================================================================

Every history that is refused is wrong (the unknown outcomes are given the benefit of the doubt), and every edge that
the reads prove is used. What no read shows is not found: end a test with transactions that read every key. In a knot of
more than some hundred thousand transactions the cycle that is shown may not be the shortest, and so have the name of a
weaker anomaly.

References: A. Adya, Weak Consistency: A Generalized Theory and Optimistic Implementations for Distributed
Transactions, PhD thesis, MIT, 1999 (G0, G1, G-single, G2). K. Kingsbury, P. Alvaro, Elle: Inferring Isolation
Anomalies from Experimental Observations, VLDB 2020 (recovering the order from lists; real time and process edges).
"""

from striate.storage.history.check import check
from striate.storage.history.model import Anomaly, Edge, EdgeKind, Model, Operation, Outcome, Report, Transaction
from striate.storage.history.recorder import Recorder, Recording, load

__all__ = [
    "Anomaly",
    "Edge",
    "EdgeKind",
    "Model",
    "Operation",
    "Outcome",
    "Recorder",
    "Recording",
    "Report",
    "Transaction",
    "check",
    "load",
]
