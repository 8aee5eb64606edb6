"""Run a command, then print its wall time in seconds and the peak memory in MB of the largest process among it and its
children.

python -m bench.watch COMMAND [ARGUMENT ...]
"""

from __future__ import annotations

import resource
import subprocess
import sys
import time


def main() -> None:
    begin = time.perf_counter()
    status = subprocess.run(sys.argv[1:], check=False).returncode
    seconds = time.perf_counter() - begin
    print(f"{seconds:.3f} {resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024:.0f}", flush=True)
    sys.exit(status)


if __name__ == "__main__":
    main()
