# The verb that stops a job: marker, TERM, grace, KILL, and a look at what is left.

step() { say "step $*"; }

verb_stop() {
  place
  ready_base
  [ -d "$D" ] || { fence; step "it was not there; fenced, so that it never starts"; }
  if first "$D"/exit.*; then
    case $FOUND in
    *.-.whole | *.-.cut)
      step "it had ended before"
      say "looked ended"
      say "gone 1"
      return
      ;;
    esac
  elif mv "$D/nostop" "$D/stop.$WHY" 2>/dev/null; then
    step "wrote marker"
  elif first "$D"/stop.*; then
    step "marker was there"
  elif ! first "$D/done" && ! first "$D/void"; then
    : >"$D/stop.$WHY" || fail disk "cannot write into $D"
    step "wrote marker"
  fi
  state_of "$D"
  if [ -z "$RUN_PID" ]; then
    fence
    state_of "$D"
  fi
  if [ -z "$RUN_PID" ]; then
    step "fenced before its start"
    say "looked unstarted"
    say "gone 1"
    return
  fi
  rest
  count "$REST"
  if [ "$COUNT" -gt 0 ]; then
    signal TERM
    now
    UNTIL=$((NOW + GRACE_MS))
    while rest && [ -n "$REST" ] && now && [ "$NOW" -lt "$UNTIL" ]; do nap 0.1; done
    if [ -n "$REST" ]; then
      count "$REST"
      step "$COUNT processes after $((GRACE_MS / 1000)) s"
      signal KILL
      now
      UNTIL=$((NOW + 5000))
      while rest && [ -n "$REST" ] && now && [ "$NOW" -lt "$UNTIL" ]; do nap 0.1; done
    fi
  else
    step "nothing of it was alive"
  fi
  # The supervisor still records the code.
  now
  UNTIL=$((NOW + 4000))
  while ! first "$D"/exit.* && alive "$SUP_PID" "$SUP_START" && now && [ "$NOW" -lt "$UNTIL" ]; do nap 0.05; done
  rest
  if ! [ -r /proc/self/stat ]; then
    say "looked groups"
  elif [ "$(id -u)" = 0 ]; then
    say "looked all"
  else
    say "looked own"
  fi
  if [ -z "$REST" ]; then
    step "gone"
    say "gone 1"
    return
  fi
  count "$REST"
  step "$COUNT processes survive"
  printf '%s\n' "$REST" | while read -r PID _ NAME; do say "survivor $PID $NAME"; done
  say "gone 0"
}

# rest: REST, what of the job is alive: groups, sessions, and on Linux whatever carries its QD_COMMAND.
rest() {
  state_of "$D"
  IN_GROUP=$(members whole)
  REST=$IN_GROUP
  [ -r /proc/self/stat ] || return 0
  for FILE in $(grep -l "QD_COMMAND=$COMMAND" /proc/[0-9]*/environ 2>/dev/null); do
    PID=${FILE#/proc/}
    PID=${PID%/environ}
    [ "$PID" != $$ ] && [ "$PID" != "$SUP_PID" ] || continue
    case "
$REST" in *"
$PID "*) continue ;; esac
    stat_of "$PID" || continue
    case $STATE in [ZX]*) continue ;; esac
    [ "$SESS" != "$SUP_PID" ] || continue
    NAME=${LINE#*\(}
    REST="$REST${REST:+
}$PID $START ${NAME%\)*}"
  done
}

# signal NAME: to the groups as a whole, then to what is left of REST outside of them, each looked at again before.
signal() {
  for GROUP_AND_START in "$RUN_PID $RUN_START" "$CHECK_PID $CHECK_START"; do
    group_of ${GROUP_AND_START}
    [ -n "$GROUP" ] && [ -n "$IN_GROUP" ] || continue
    if kill -s "$1" -- "-$GROUP" 2>/dev/null; then step "$1 to group $GROUP"; fi
  done
  printf '%s\n' "$REST" | while read -r PID START_WAS NAME; do
    [ "${PID:-0}" -gt 1 ] && stat_of "$PID" && [ "$START" = "$START_WAS" ] || continue
    case $PGRP in
    "$RUN_PID" | "${CHECK_PID:-none}")
      # A group's TERM succeeds when it reached one of many.
      HOW=0 OUTSIDE=
      ;;
    *) HOW=$1 OUTSIDE=' outside of the group' ;;
    esac
    if WRONG=$(kill -s "$HOW" "$PID" 2>&1); then
      [ -z "$OUTSIDE" ] || step "$1 to process $PID ($NAME)$OUTSIDE"
    else
      case $WRONG in *ermitted*) step "$1 to process $PID ($NAME)$OUTSIDE was not permitted" ;; esac
    fi
  done
}
