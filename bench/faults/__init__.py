"""Fault runs: real processes are killed, cut off and confused while numbered events flow; then we count.

``python -m bench.faults --seed 1 --events 100000`` plays every fault in :mod:`bench.faults.catalogue`, asks
the judge (:mod:`bench.faults.judge`) and writes a report. ``--quick`` plays the most telling ones.
"""
