"""How long light commands take from the shell's point of view.

python benchmarks/startup.py [RUNS]: the best and the median wall time of each command, in ms, as
one line a command. Best is what the program needs; the median is what this machine adds today.
"""

import statistics
import subprocess
import sys
import time

COMMANDS = (["--help"], ["--version"], ["list"], ["info", "ocr"], ["list", "--json"])


def seconds(command: list[str]) -> float:
    """Wall time of one run, with its output thrown away."""
    began = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "paddlesrv", *command], stdout=subprocess.DEVNULL, check=True
    )
    return time.perf_counter() - began


def main() -> None:
    """Measure each command in turn."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    print(f"{'command':<16} {'best':>6} {'median':>6}   ms, {runs} runs")
    for command in COMMANDS:
        seconds(command)
        times = [seconds(command) * 1e3 for _ in range(runs)]
        name = " ".join(command)
        print(f"{name:<16} {min(times):6.0f} {statistics.median(times):6.0f}")


if __name__ == "__main__":
    main()
