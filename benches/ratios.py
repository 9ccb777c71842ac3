#!/usr/bin/env python3
"""ratios.py OURS.jsonl FLINK.jsonl [BACKEND]: how many times as many operations per second as a backend of Flink's.

BACKEND is heap (default) or rocksdb. Lines are joined on operation, key type, value type and number of keys; of several runs of one side the last one counts.
Prints a Markdown table with the goal of each operation, and exits with 1 where no line has a partner.
"""

import json
import sys

GOALS = {
    "heap": {
        "valueGet": 4,
        "valueUpdate": 3,
        "listAdd": 4,
        "listAddNew": 4,
        "mapPut": 4,
        "mapPutNewKey": 4,
        "reducingAdd": 4,
        "timerAdd": 4,
        "timerPoll": 4,
        "timerPollAdd": 4,
    },
    "rocksdb": {
        "valueGet": 2,
        "valueUpdate": 2,
        "listAdd": 2,
        "mapPut": 2,
        "mapIterator": 2,
        "reducingAdd": 2,
    },
}

# What Flink's harness calls each of our backends, and the collector that its results are taken of.
FLINK = {"heap": ("hashmap", "parallel"), "rocksdb": ("rocksdb", "g1")}


def read(path, wanted):
    """The last rate of every case in a file of JSON lines."""
    rates = {}
    with open(path, encoding="utf-8") as lines:
        for line in filter(str.strip, lines):
            row = json.loads(line)
            if wanted(row) and row.get("ops_per_s"):
                key = (row["op"], row.get("key"), row.get("value"), row["n"])
                rates[key] = (row["ops_per_s"], bool(row.get("contended")))
    return rates


def main():
    backend = sys.argv[3] if len(sys.argv) == 4 else "heap"
    if len(sys.argv) not in (3, 4) or backend not in FLINK:
        sys.exit(__doc__)
    ours = read(sys.argv[1], lambda row: row["engine"] == "millpond" and row["backend"] == backend)
    flink = read(sys.argv[2], lambda row: (row.get("backend"), row.get("gc")) == FLINK[backend])
    cases = [case for case in ours if case in flink]
    print("| operation | key | value | n | millpond M/s | Flink M/s | ratio | goal |")
    print("|---|---|---|---:|---:|---:|---:|---:|")
    for case in cases:
        operation, key, value, n = case
        (mine, _), (theirs, contended) = ours[case], flink[case]
        goal = GOALS[backend].get(operation)
        size = f"{n // 1_000_000} M" if n % 1_000_000 == 0 else f"{n // 1_000} k"
        print(
            f"| {operation} | {key} | {value} | {size} | {mine / 1e6:.2f} | {theirs / 1e6:.2f}{'†' if contended else ''} "
            f"| {mine / theirs:.1f} | {f'{goal}' if goal else ''} |"
        )
    if any(flink[case][1] for case in cases):
        print("\n† the harness saw other processes on the processor; the rate has the waiting taken out.")
    return 0 if cases else 1


if __name__ == "__main__":
    sys.exit(main())
