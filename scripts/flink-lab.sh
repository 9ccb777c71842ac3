#!/usr/bin/env bash
# Has real Apache Flink restore what millpond writes, and compares what it finds with what has to be there.
#   scripts/flink-lab.sh [VERSION...]       versions of Flink; 1.20.5 and 2.3.0 without
#   MILLPOND_LAB_SHORT=1 scripts/flink-lab.sh     about half as many restores
# Needs ../shared/flink (or MILLPOND_SHARED), a JDK 17 and python3 with pip, by which Flink's jars are fetched into the cache
# directory once. Whatever is missing is said, and then nothing is done. Flink runs inside one process and listens on the
# loopback device only; every process ends with its restore.
set -euo pipefail
cd "$(dirname "$0")/.."
CACHE="${XDG_CACHE_HOME:-$HOME/.cache}/millpond"
SHARED="$(realpath "${MILLPOND_SHARED:-../shared}" 2>/dev/null || true)"
LAB="$SHARED/flink/lab/run.sh"
export FLINKLAB_CACHE="${FLINKLAB_CACHE:-$CACHE/flinklab}" FLINKLAB_TIMEOUT="${FLINKLAB_TIMEOUT:-300}"
VERSIONS=("$@"); [ $# -gt 0 ] || VERSIONS=(1.20.5 2.3.0)

skip() { echo "flink-lab: skipped: $*"; exit 0; }

[ -n "$SHARED" ] && [ -x "$LAB" ] || skip "there is no lab at ${MILLPOND_SHARED:-../shared}/flink/lab"
"${JAVA_HOME:+$JAVA_HOME/bin/}java" -version >/dev/null 2>&1 || skip "there is no Java"
"${JAVA_HOME:+$JAVA_HOME/bin/}javac" -version >/dev/null 2>&1 || skip "there is no Java compiler"
python3 -m pip --version >/dev/null 2>&1 || skip "there is no python3 with pip"

WORK="$CACHE/flink-lab"
rm -rf "$WORK"
mkdir -p "$WORK"
for version in "${VERSIONS[@]}"; do
  "$LAB" build "$version" >"$WORK/build-$version.log" 2>&1 || { tail -3 "$WORK/build-$version.log"; skip "Flink $version cannot be had"; }
done

echo "flink-lab: writing what is to be restored"
# shellcheck disable=SC2086 # CARGO_FLAGS is a list of words
MILLPOND_LAB="$WORK" MILLPOND_SHARED="$SHARED" cargo test --locked --quiet ${CARGO_FLAGS:---features cli,test-util,zstd} --test main -- \
  --ignored --exact flink::lab::write_what_the_lab_restores >"$WORK/write.log" 2>&1 || { tail -20 "$WORK/write.log"; exit 1; }

good=0; bad=0; started=$(date +%s)
while IFS=$'\t' read -r version snapshot backend parallelism job expected options; do
  case " ${VERSIONS[*]} " in *" $version "*) ;; *) continue ;; esac
  name="$version $snapshot on $backend at parallelism $parallelism"
  out="$WORK/$version-$snapshot-$backend-$parallelism"
  began=$(date +%s)
  # shellcheck disable=SC2086 # options are a list of words
  if "$LAB" restore "$version" "$WORK/$snapshot" "$backend" "$parallelism" "$job" "$out.json" $options >"$out.log" 2>&1 </dev/null &&
     "$LAB" compare "$expected" "$out.json" >>"$out.log" 2>&1; then
    good=$((good + 1)); echo "ok   $name ($(($(date +%s) - began)) s): $(tail -1 "$out.log")"
  else
    bad=$((bad + 1)); echo "BAD  $name: see $out.log"; tail -3 "$out.log"
  fi
done <"$WORK/restores.tsv"
echo "flink-lab: $good restores equal, $bad not, in $(($(date +%s) - started)) s (Flink ${VERSIONS[*]})"
[ "$bad" -eq 0 ]
