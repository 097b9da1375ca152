"""The start method of multiprocessing, forced on every Python program of a command.

Python imports this file as `sitecustomize` where its folder is on PYTHONPATH
(https://docs.python.org/3/library/site.html); the variable PERF_MATRIX_START_METHOD names the method. Standard library
only, Python 3.6 syntax.
"""

import os
from typing import Any, Tuple


def force_start_method(method: str) -> None:
    """Make every process pool of this interpreter use `method`; `serial` means no pool at all."""
    if method == "serial":
        import concurrent.futures  # noqa: PLC0415 - only where it is asked for

        # The part of ProcessPoolExecutor's interface that the generator of event tables uses.
        class SerialPool:
            def __init__(self, initializer: Any = None, initargs: Tuple[Any, ...] = (), **_: Any) -> None:
                if initializer:
                    initializer(*initargs)

            def __enter__(self) -> "SerialPool":
                return self

            def __exit__(self, *_: Any) -> None:
                return None

            map = staticmethod(map)

        concurrent.futures.ProcessPoolExecutor = SerialPool  # type: ignore[misc,assignment] # a class of ours, as is meant
    else:
        import multiprocessing  # noqa: PLC0415 - only where it is asked for

        multiprocessing.set_start_method(method, force=True)


if __name__ == "sitecustomize" and os.environ.get("PERF_MATRIX_START_METHOD"):
    force_start_method(os.environ["PERF_MATRIX_START_METHOD"])
