"""Threads that work a few items ahead of whoever needs the results, in order (lesson 21)."""

from collections import deque
from concurrent.futures import ThreadPoolExecutor


def work_ahead(function, items, workers, ahead):
    """Yield (item, function(item)) in the order of the items.

    Parameters
    ----------
    function : callable
        What it raises arrives where its result would.
    items : iterable
        Taken one by one, as results are asked for.
    workers : int
        Threads.
    ahead : int
        Items that may be begun beyond the one that is asked for.
    """
    with ThreadPoolExecutor(workers) as pool:
        waiting = deque()
        try:
            for item in items:
                waiting.append((item, pool.submit(function, item)))
                if len(waiting) > ahead:
                    item, result = waiting.popleft()
                    yield item, result.result()
            for item, result in waiting:
                yield item, result.result()
        finally:
            pool.shutdown(cancel_futures=True)
