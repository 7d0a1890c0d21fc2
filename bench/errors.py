"""What can go wrong with a bench, as opposed to what it measures."""


class BenchError(Exception):
    """The bench cannot run or cannot vouch for its figures; the message says what to do."""
