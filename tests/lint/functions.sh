#!/bin/bash
# Long functions are where a reader gets lost (STYLE: aim at 15 lines, think at 60): none is longer than 100 lines, and 99 of 100 are not longer
# than 60. Counted from the line with the name to the closing brace, in all C sources including the tests. Names every one over 60.
set -u
cd "$(dirname "$0")/../.."
find hub transports webhooks signaling redis clients tests -name node_modules -prune -o -name '*.[ch]' -print 2>/dev/null | sort | xargs awk '
    FNR == 1    { open = 0 }
    /^\{$/      { open = FNR; name = last }
    /^\}$/ && open {
        lines = FNR - open + 2; open = 0
        functions++; short += lines <= 60
        if (lines > longest) longest = lines
        if (lines > 60) printf "function: %d lines%s  %s  %s:%d\n", lines, (lines > 100 ? " (100 at most)" : ""), name, FILENAME, FNR - lines + 1
    }
    /^[a-z].*\) \{ .*\}$/ { functions++; short++ }      # in one line
    { last = $0 }
    END {
        printf "functions: %d, the longest %d lines, %.2f %% at most 60\n", functions, longest, 100 * short / functions
        exit longest > 100 || short < 0.99 * functions
    }'
