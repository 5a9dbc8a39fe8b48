# For the parts of bench/run: collecting samples, and printing a table of them.
#
# A sample is a number added to a file named after its figure; `row` prints the median, the least and the greatest of a
# figure's samples, beside its target.

samples=$work/samples
mkdir -p "$samples"

say() { printf '%s\n' "$*"; }

# part TITLE: a new table.
part() {
    printf '\n== %s   (load %s)\n' "$1" "$(cut -d' ' -f1-3 /proc/loadavg)"
    printf '   %-56s %10s %10s %10s  %3s  %s\n' figure median min max n target
}
command_line() { printf '   $ %s\n' "$*" | sed "s|$work/|WORK/|g;s|$build/|BUILD/|g"; }
note() { printf '   %s\n' "$*"; }

sample() { echo "$2" >>"$samples/$1"; } # FIGURE VALUE

# Takes the lines "NAME VALUE" of a benchmark program as samples of PREFIX.NAME.
sample_lines() { # PREFIX
    local name value
    while read -r name value; do sample "$1.$name" "$value"; done
}

median() { sort -g "$samples/$1" | awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'; }

# row FIGURE TEXT UNIT [<, <= or >=] [TARGET]: a line of the table; with a target, whether the median keeps to it.
row() {
    [ -s "$samples/$1" ] || { printf '   %-56s %10s\n' "$2" 'not measured'; return; }
    sort -g "$samples/$1" | awk -v text="$2" -v unit="$3" -v relation="${4-}" -v target="${5-}" '
        function shown(x) { if (unit == "bytes") return sprintf("%d", x); return sprintf(x >= 1000 || x <= -1000 ? "%.0f" : x >= 100 || x <= -100 ? "%.1f" : "%.3f", x) }
        { v[NR] = $1 }
        END {
            m = NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2
            if (target != "") {
                kept = relation == "<" ? m < target : relation == ">=" ? m >= target : m <= target
                verdict = sprintf("%s %s: %s", relation, target, kept ? "kept" : "MISSED")
            }
            printf "   %-56s %10s %10s %10s  %3d  %s\n", text (unit == "" ? "" : ", " unit), shown(m), shown(v[1]),
                shown(v[NR]), NR, verdict
        }'
}

# timed FIGURE COMMAND...: runs it with its output in $work/output and samples its wall time and its processor time, in
# seconds. Any exit code in $expect (one number, or several) will do; else the benchmark ends.
timed() {
    local figure=$1 code times start
    shift
    local TIMEFORMAT='%U %S'
    start=$EPOCHREALTIME
    { times=$( { time "$@" <"$input" >"$work/output" 2>"$work/errors"; echo $? >"$work/code"; } 2>&1); }
    wall=$(awk "BEGIN { printf \"%.6f\", $EPOCHREALTIME - $start }")
    code=$(cat "$work/code")
    case " ${expect:-0} " in
    *" $code "*) ;;
    *)
        say "bench: exit code $code, not ${expect:-0}: $*" >&2
        cat "$work/errors" >&2
        exit 1
        ;;
    esac
    read -r user system <<<"$times"
    processor=$(awk "BEGIN { print $user + $system }")
    sample "$figure.wall" "$wall"
    sample "$figure.cpu" "$processor"
}

# ratio A B: of two numbers.
ratio() { awk "BEGIN { printf \"%.5f\\n\", $2 ? $1 / $2 : 0 }"; }
input=/dev/null
