#!/bin/sh
# A client of EvoLink with curl; it knows of no mock.
set -eu
api=https://api.evolink.ai/v1
call() { curl -sS --fail-with-body -H "Authorization: Bearer $EVOLINK_API_KEY" "$@"; }
field() { sed -n 's/.*"'"$1"'":\[\{0,1\}"\([^"]*\)".*/\1/p'; }

task=$(call "$api/videos/generations" -H 'Content-Type: application/json' \
  -d '{"model":"gemini-omni-flash-text-to-video","prompt":"a red kite","duration":6}')
id=$(printf %s "$task" | field id)
while [ "$(printf %s "$task" | field status)" != completed ]; do
  sleep 0.05
  task=$(call "$api/tasks/$id")
done
url=$(printf %s "$task" | field results)
printf '%s %s\n' "$url" "$(curl -sS --fail "$url" | wc -c)"
