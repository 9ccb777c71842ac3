#!/bin/sh
# Measures a backend of Flink's with the operations that the benchmarks here measure, and puts the two side by side.
#
#   benches/flink.sh OURS.jsonl [FLINK.jsonl]    OURS comes from `cargo bench --bench state_access -- --json OURS.jsonl`
#   BACKEND=rocksdb benches/flink.sh OURS.jsonl  OURS comes from `cargo bench --bench rocksdb_access -- --json OURS.jsonl`
#
# Flink's results are appended to FLINK.jsonl (default: flink.jsonl beside OURS); operations that it holds already are not
# run again, so that an interrupted run can be continued. The harness is taken from MILLPOND_SHARED/bench/flink, or from
# ../shared/bench/flink beside the checkout; it fetches Flink's jars with pip into the user's cache. Without the harness or
# a Java compiler this says so and does nothing.
#
#   N=1m,5m        numbers of keys
#   ITERS=5 ITER_MS=600 WARMUP=3 FLINK_HEAP=8g FLINK_CPU=1
set -eu

here=$(cd "$(dirname "$0")" && pwd)
shared=${MILLPOND_SHARED:-$here/../../shared}
ours=${1:?usage: benches/flink.sh OURS.jsonl [FLINK.jsonl]}
flink=${2:-$(dirname "$ours")/flink.jsonl}

skip() {
    echo "flink.sh: $1; nothing was measured" >&2
    exit 0
}

[ -f "$shared/bench/flink/bench.sh" ] || skip "there is no harness in $shared/bench/flink (set MILLPOND_SHARED)"
command -v "${JAVA_HOME:+$JAVA_HOME/bin/}javac" >/dev/null || skip "there is no Java compiler (set JAVA_HOME)"
command -v bash >/dev/null || skip "the harness needs bash"

# The harness builds beside its sources, which may be read-only.
harness=${XDG_CACHE_HOME:-$HOME/.cache}/millpond/flink-harness
mkdir -p "$harness"
cp -R "$shared/bench/flink/bench.sh" "$shared/bench/flink/conf" "$shared/bench/flink/src" "$harness/"
chmod -R u+w "$harness"

touch "$flink"
has() {
    grep -q "\"op\":\"$1\",\"key\":\"$2\",\"value\":\"$3\",\"n\":$4," "$flink"
}

case ${BACKEND:-heap} in
heap) options="--backend hashmap --gc parallel --heap ${FLINK_HEAP:-8g}" ;;
rocksdb) options="--backend rocksdb --gc g1 --heap ${FLINK_HEAP:-4g} --rocksdb-memory 512mb" ;;
*) skip "there is no backend $BACKEND" ;;
esac

# run OPERATIONS KEY VALUE [DIVISOR]: the number of keys is divided by DIVISOR.
run() {
    for n in $(echo "${N:-1m,5m}" | tr ',' ' '); do
        count=$(($(echo "$n" | sed 's/m$/000000/; s/k$/000/') / ${4:-1}))
        if has "$(echo "$1" | sed 's/.*,//')" "$2" "$3" "$count"; then continue; fi
        # shellcheck disable=SC2086
        bash "$harness/bench.sh" $options --ops "$1" --key "$2" --value "$3" --n "$count" --warmup "${WARMUP:-3}" \
            --iters "${ITERS:-5}" --iter-ms "${ITER_MS:-600}" --cpu "${FLINK_CPU:-}" --json "$flink" || echo "flink.sh: $1 $2 $3 $n failed" >&2
    done
}

if [ "${BACKEND:-heap}" = heap ]; then
    run valueGet,valueUpdate,valueAdd long long
    run valueGet,valueUpdate,valueAdd long bytes100
    run valueGet,valueUpdate,valueAdd string long
    run reducingAdd long long
    run aggregatingAdd long long
    run timerAdd,timerPoll,timerPollAdd long long
    run listGetAndIterate,listAdd,listAddNew long long
    run mapGet,mapContains,mapIterator,mapPut,mapPutNewKey long long
else
    run valueGet,valueUpdate long long
    run valueGet,valueUpdate long bytes100
    run reducingAdd long long
    run listAdd long long
    # Ten entries in each map.
    run mapPut,mapIterator long long 10
fi
python3 "$here/ratios.py" "$ours" "$flink" "${BACKEND:-heap}"
