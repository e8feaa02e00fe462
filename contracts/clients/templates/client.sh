#!/bin/sh
# A client of an asynchronous video API that keeps the rules, with curl and a POSIX shell (and jq, if it is
# installed). Copy it, and put your provider's names into the block below (they are those of EvoLink).
#
#   API_KEY=... sh client.sh "A red kite over the sea"
#   contracts run --provider evolink --command 'sh client.sh'
#
# It submits once, polls until the task has ended, and downloads the file. Temporary failures are retried after
# growing waits; a final refusal ends it with the provider's reason on standard error and exit code 1. The last
# line of its output is the file name. It does not receive callbacks: a shell cannot listen.
set -u

# --- your provider ----------------------------------------------------------------------------------
BASE_URL=${CONTRACT_BASE_URL:-https://api.evolink.ai}
SUBMIT_PATH=/v1/videos/generations
QUERY_PATH=/v1/tasks/ # and the task's id
AUTH_HEADER='Authorization: Bearer' # and the key
submit_body() { printf '{"model":"gemini-omni-flash-text-to-video","prompt":"%s","duration":6}' "$1"; }
TASK_ID=id
STATUS=status
LINK=results
SUCCESS=completed
FAILURE='failed cancelled'
FIRST_WAIT_S=5
POLL_INTERVAL_S=5
MOST_POLLS=100
GIVE_UP_AFTER_S=600
# --- end of your provider ---------------------------------------------------------------------------

TRIES=4
API_KEY=${CONTRACT_API_KEY:-${API_KEY:-}}
PROMPT=${CONTRACT_PROMPT:-$*}
OUTPUT=${CONTRACT_OUTPUT:-video.mp4}

die() {
  printf '%s\n' "$*" >&2
  exit 1
}

[ -n "$API_KEY" ] && [ -n "$PROMPT" ] || die 'usage: API_KEY=... sh client.sh PROMPT'
aside=$(mktemp -d) || exit 1
trap 'rm -rf "$aside"' EXIT
trap 'exit 1' HUP INT TERM

# Find the first text under a name in the answer; for a list, its first text.
field() {
  if command -v jq >/dev/null; then
    jq -r --arg name "$1" 'first(.. | objects | select(has($name)) | .[$name] | if type == "array" then .[0] else . end
      | select(type == "string" or type == "number"))' "$aside/answer" 2>/dev/null
  else
    tr -d '\n' <"$aside/answer" | sed -n 's/.*"'"$1"'" *: *\[\{0,1\} *"\([^"]*\)".*/\1/p'
  fi
}

# Read a header of the answer.
header() { sed -n 's/^'"$1"': *\([^[:cntrl:]]*\).*/\1/Ip' "$aside/headers" | tail -n 1; }

# Wait before attempt $1 + 1: 1, 2, 4 s with jitter, or as long as Retry-After says.
pause() {
  asked=$(header Retry-After)
  case $asked in
  *[!0-9]*) # a date, which is compared with the server's Date
    asked=$(($(date -d "$asked" +%s 2>/dev/null || echo 0) - $(date -d "$(header Date)" +%s 2>/dev/null || date +%s))) ;;
  esac
  random=$(od -An -N2 -tu2 /dev/urandom)
  sleep "$(awk -v try="$1" -v asked="${asked:-0}" -v random="$random" \
    'BEGIN { wait = 2 ^ (try - 1); if (asked > wait) wait = asked; print wait + random / 131072 }')"
}

# Send one request to the API; set $code to the status, 000 without a complete answer.
request() { # METHOD PATH
  : >"$aside/headers"
  : >"$aside/answer"
  set -- "$1" "$BASE_URL$2"
  # The key is passed by a file, so that it is not visible in the process list.
  printf 'header = "%s %s"\n' "$AUTH_HEADER" "$API_KEY" >"$aside/key"
  if [ "$1" = POST ]; then
    set -- "$2" --data-binary "@$aside/body" -H 'Content-Type: application/json'
  else
    set -- "$2"
  fi
  code=$(curl -sS --max-time 30 -K "$aside/key" -D "$aside/headers" -o "$aside/answer" -w '%{http_code}' "$@" \
    2>"$aside/error") || code=000
}

reason() {
  why=$(field message)
  id=$(header X-Request-Id)
  printf '%s: %s' "$code" "${why:-$(cat "$aside/error")}${id:+ (request $id)}"
}

# Submit the job once: repeat it only after an answer that says that nothing was done.
submit_body "$(printf '%s' "$PROMPT" | tr '\n\t' '  ' | sed 's/[\\"]/\\&/g')" >"$aside/body"
try=1
while :; do
  request POST "$SUBMIT_PATH"
  case $code in
  2??) break ;;
  000) die "$(reason); the task may exist and be charged: check before repeating it" ;;
  408 | 429 | 500 | 502 | 503 | 504) [ "$try" -lt "$TRIES" ] || die "$(reason)" ;;
  *) die "$(reason)" ;;
  esac
  pause "$try"
  try=$((try + 1))
done
task=$(field "$TASK_ID")
[ -n "$task" ] || die "the answer to the submit names no task: $(reason)"

# Poll until the task has ended. An unknown status is not an end, and neither is an error.
started=$(date +%s)
sleep "$FIRST_WAIT_S"
polls=0 try=1 link=
while [ -z "$link" ]; do
  [ "$polls" -lt "$MOST_POLLS" ] && [ $(($(date +%s) - started)) -lt "$GIVE_UP_AFTER_S" ] ||
    die "$task has not ended after $GIVE_UP_AFTER_S s or $MOST_POLLS queries"
  polls=$((polls + 1))
  request GET "$QUERY_PATH$task"
  status=$(field "$STATUS" | tr '[:upper:]' '[:lower:]')
  case $code in
  404) status= ;; # not found yet
  2??) ;;
  000 | 408 | 429 | 5??) status=again ;;
  *) die "$(reason)" ;;
  esac
  if [ "$status" = again ] || { [ -z "$status" ] && [ "$code" != 404 ]; }; then
    [ "$try" -lt "$TRIES" ] || die "$(reason)"
    pause "$try"
    try=$((try + 1))
    continue
  fi
  try=1
  for word in $FAILURE; do
    [ "$status" != "$word" ] || die "the task $status: $(field code): $(field message)"
  done
  [ "$status" != "$SUCCESS" ] || link=$(field "$LINK")
  [ -n "$link" ] || sleep "$POLL_INTERVAL_S"
done

# Download the complete file from the link as given, without the key (curl checks its length).
try=1
until curl -sS --fail --max-time 300 -D "$aside/headers" -o "$OUTPUT" -w '%{http_code}' "$link" \
  >"$aside/code" 2>"$aside/error"; do
  code=$(cat "$aside/code")
  case $code in
  000 | 200 | 408 | 429 | 5??) [ "$try" -lt "$TRIES" ] ;;
  *) false ;;
  esac || { rm -f "$OUTPUT"; die "the file: $(cat "$aside/error")"; }
  pause "$try"
  try=$((try + 1))
done
printf '%s\n' "$OUTPUT"
