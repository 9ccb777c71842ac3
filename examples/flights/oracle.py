#!/usr/bin/env python3
"""The report of the flights job, computed without millpond: plain lists and sums over the whole input.

    oracle.py INPUT_DIR > report.jsonl

What is computed is defined in SEMANTICS.md, next to this file. Where the job keeps state record by record, this program
looks back at an aircraft's complete history and takes its last run.
"""

import csv
import json
import os
import sys
from collections import Counter, defaultdict

HOUR_MS = 3_600_000
THIRTY_DAYS_MS = 30 * 24 * HOUR_MS
LATEST = 5


def number(field):
    return int(field) if field else None


def last_run(records, end):
    """The records that state written by each of them would cover at the end; none if the last is 30 days old."""
    later, run = end, []
    for record in reversed(records):
        if later - record["time"] >= THIRTY_DAYS_MS:
            break
        run.append(record)
        later = record["time"]
    run.reverse()
    return run


def aircraft_line(tailnum, records, end):
    pairs = zip(records, records[1:])
    run = last_run(records, end)
    arrivals = last_run([record for record in records if record["arr_delay"] is not None], end)
    delays = [record["arr_delay"] for record in arrivals]
    by_destination = defaultdict(list)
    for record in records:
        by_destination[record["dest"]].append(record)
    runs = {destination: len(last_run(visits, end)) for destination, visits in by_destination.items()}
    profile = run and {
        "flights": len(run),
        "minutes": sum(record["air_time"] or 0 for record in run),
        "last_airport": run[-1]["dest"] if run[-1]["arr_delay"] is not None else run[-1]["origin"],
    }
    return {
        "aircraft": tailnum,
        "lifetime": {
            "flights": len(records),
            "returns": sum(after["time"] - before["time"] >= THIRTY_DAYS_MS for before, after in pairs),
        },
        "profile": profile or None,
        "destinations": {destination: count for destination, count in runs.items() if count},
        "delays": delays[-LATEST:],
        "worst": max(delays) if delays else None,
        "mean": sum(delays) / len(delays) if delays else None,
    }


def window_line(origin, start, records, names):
    return {
        "window": origin,
        "start": start,
        "flights": len(records),
        "delay_minutes": sum(record["dep_delay"] or 0 for record in records),
        "airlines": Counter(names.get(record["carrier"], record["carrier"]) for record in records),
    }


def report(flights, names):
    aircraft, windows, end = defaultdict(list), defaultdict(list), 0
    for fields in flights:
        record = dict(fields, time=int(fields["event_ms"]))
        for name in ("dep_delay", "arr_delay", "air_time"):
            record[name] = number(fields[name])
        if record["tailnum"]:
            aircraft[record["tailnum"]].append(record)
        windows[record["origin"], record["time"] - record["time"] % HOUR_MS].append(record)
        end = max(end, record["time"])
    for tailnum, records in aircraft.items():
        yield aircraft_line(tailnum, records, end)
    for (origin, start), records in windows.items():
        yield window_line(origin, start, records, names)


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: oracle.py INPUT_DIR > report.jsonl")
    with open(os.path.join(sys.argv[1], "airlines.csv"), newline="") as file:
        names = {fields["carrier"]: fields["name"] for fields in csv.DictReader(file)}
    with open(os.path.join(sys.argv[1], "flights.csv"), newline="") as file:
        lines = [json.dumps(line, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
                 for line in report(csv.DictReader(file), names)]
    sys.stdout.reconfigure(encoding="utf-8", newline="\n")
    for line in sorted(lines, key=str.encode):
        print(line)


if __name__ == "__main__":
    main()
