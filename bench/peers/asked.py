"""How a program that is measured is asked for pictures: a count a line, seconds each in return."""

import json
import sys
import time
from collections.abc import Callable


def answer(make: Callable[[], object]) -> None:
    """Call `make` as often as each line of the input says; answer with the seconds of each call."""
    for line in sys.stdin:
        took: list[float] = []
        for _ in range(int(line)):
            began = time.perf_counter()
            make()
            took.append(time.perf_counter() - began)
        print(json.dumps(took), flush=True)
