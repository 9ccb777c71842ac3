#!/bin/sh
# Has Flink's own keyed state backends write large snapshots, and measures how long they take to restore one: the baseline of
# `cargo bench --bench flink_read`.
#
#   benches/flink_restore.sh make DIR BACKEND canonical|native ENTRIES       BACKEND is hashmap or rocksdb
#   benches/flink_restore.sh restore DIR BACKEND ROUNDS OUT.jsonl [buffered]
#
# Timed is what a task waits for: the creation of its keyed backend from the snapshot's handles, one subtask for each
# operator; not the start of the JVM, of a cluster or of the job. "buffered" reads files through 64 KiB buffers, which
# Flink's local file system does not do and clients of object stores do. The process is bound to one processor, garbage
# collection and compilation included. Results are appended to OUT.jsonl.
#
# Flink's jars are fetched with pip into the user's cache. Without a Java compiler this says so and does nothing.
#
#   FLINK_VERSION=1.20.5  FLINK_LIB_DIR=DIR   the jars, if they are somewhere already
#   FLINK_HEAP=8g  FLINK_GC=Parallel  CPU=N|all  TMPDIR=DIR
set -eu

here=$(cd "$(dirname "$0")" && pwd)
version=${FLINK_VERSION:-1.20.5}
cache=${XDG_CACHE_HOME:-$HOME/.cache}/millpond
lib=${FLINK_LIB_DIR:-$cache/flinklab/$version/lib}
java=${JAVA_HOME:+$JAVA_HOME/bin/}java

[ $# -ge 5 ] || { sed -n '2,17p' "$0" | sed 's/^# \{0,1\}//' >&2; exit 2; }
command -v "${java}c" >/dev/null || { echo "flink_restore.sh: there is no Java compiler; nothing was measured" >&2; exit 0; }

if [ ! -e "$lib/flink-dist-$version.jar" ]; then
    [ -z "${FLINK_LIB_DIR:-}" ] || { echo "flink_restore.sh: there is no flink-dist-$version.jar in $lib" >&2; exit 1; }
    fetched=$(mktemp -d)
    python3 -m pip download -q --no-deps -d "$fetched" "apache-flink-libraries==$version" >&2
    mkdir -p "$lib"
    python3 - "$fetched" "$lib" <<'PY'
import glob, os, sys, tarfile, zipfile
fetched, lib = sys.argv[1:]
for path in glob.glob(fetched + "/*"):
    if path.endswith(".whl"):
        archive = zipfile.ZipFile(path)
        names, read = archive.namelist(), archive.read
    else:
        archive = tarfile.open(path)
        names, read = archive.getnames(), lambda name: archive.extractfile(name).read()
    for name in names:
        if name.endswith(".jar") and name.split("/")[-2] == "lib":
            with open(os.path.join(lib, os.path.basename(name)), "wb") as out:
                out.write(read(name))
PY
    rm -rf "$fetched"
fi

classes=$cache/flink-bench/classes-$version
if [ ! -e "$classes/FlinkRestore.class" ] || [ "$here/flink_read/FlinkRestore.java" -nt "$classes/FlinkRestore.class" ]; then
    mkdir -p "$classes"
    "${java}c" -proc:none -nowarn -Xlint:none -d "$classes" -cp "$lib/*" "$here/flink_read/FlinkRestore.java"
fi

bound=
cpu=${CPU:-$(($(nproc) - 1))}
if [ "$cpu" != all ] && command -v taskset >/dev/null; then bound="taskset -c $cpu"; fi
opens=
for package in lang lang.reflect util util.concurrent util.concurrent.atomic text time math net io nio; do
    opens="$opens --add-opens=java.base/java.$package=ALL-UNNAMED"
done
# shellcheck disable=SC2086 # lists of words
exec $bound "$java" "-Xms${FLINK_HEAP:-8g}" "-Xmx${FLINK_HEAP:-8g}" "-XX:+Use${FLINK_GC:-Parallel}GC" $opens \
    "-Dlog4j2.level=OFF" "-Dorg.slf4j.simpleLogger.defaultLogLevel=off" \
    "-Dmillpond.directory=${TMPDIR:-/tmp}" -cp "$classes:$lib/*" FlinkRestore "$@"
