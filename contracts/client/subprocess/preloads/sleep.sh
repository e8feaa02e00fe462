#!/bin/sh
# Sleep for a time divided by CONTRACT_TIME_SCALE. It stands before the real one on PATH.
PATH=${PATH#*:}
seconds=$(awk -v scale="$CONTRACT_TIME_SCALE" 'BEGIN {
  unit["s"] = 1; unit["m"] = 60; unit["h"] = 3600; unit["d"] = 86400
  for (n = 1; n < ARGC; n++) {
    last = substr(ARGV[n], length(ARGV[n]))
    total += (last in unit) ? substr(ARGV[n], 1, length(ARGV[n]) - 1) * unit[last] : ARGV[n]
  }
  printf "%.3f", total / scale
}' "$@")
CONTRACT_TIME_SCALE=1 exec sleep "$seconds"
