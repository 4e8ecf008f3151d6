"""The demo: the standard library of the running Python as a log, written through a kill and read back.

:func:`run` does the work and hands the figures of each step to an observer, who shows them; nothing here
prints. The same measurements (:mod:`striate.demo.rates`) serve ``striate bench``.
"""

from striate.demo.show import Observer, Options, run

__all__ = ["Observer", "Options", "run"]
