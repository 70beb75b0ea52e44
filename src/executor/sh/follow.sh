# What became of a job: its evidence, its output from an offset, and the fence that makes `never` final.

verb_follow() {
  place
  follow
}

# ended: the job has come to an end that its folder shows; EVIDENCE is the line for it.
ended() {
  if first "$D"/exit.*; then
    words "${FOUND##*/exit.}" .
    EVIDENCE="exit $WORDS"
  elif first "$D/done"; then
    EVIDENCE="done"
  elif first "$D"/busy.*; then
    words "${FOUND##*/busy.}" +
    EVIDENCE="locked ${WORDS%% *}/${WORDS#* }"
  elif first "$D"/never.*; then
    EVIDENCE="never"
  elif first "$D"/failed.*; then
    EVIDENCE="failed"
  elif [ -e "$D/void" ] && ! first "$D"/run.*; then
    # Looked for in this order: a start seen after the fence is a start.
    EVIDENCE="never"
  else
    return 1
  fi
}

# look: EVIDENCE for a job that is there, after whatever fence there is.
look() {
  ended && return
  state_of "$D"
  if [ -z "$RUN_PID" ]; then
    EVIDENCE="nothing its folder is there, but it has not started"
    return
  fi
  boot_id
  SUPERVISED=0
  if [ "$SUP_BOOT" = "$BOOT" ] && alive "$SUP_PID" "$SUP_START"; then SUPERVISED=1; fi
  LIVING=$(members)
  if [ "$SUPERVISED" = 0 ] && [ -z "$LIVING" ]; then
    # An exit that was published between the two looks counts.
    ended && return
    STOP=-
    if first "$D"/stop.*; then STOP=${FOUND##*/stop.}; fi
    EVIDENCE="lost $STOP"
    return
  fi
  count "$LIVING"
  if [ "$COUNT" = 0 ] && [ -e "$D/void" ] && [ "${LOOKS:-0}" -lt 20 ]; then
    # Between its claim and its look for the fence, or between its end and the publication: a moment.
    LOOKS=$((${LOOKS:-0} + 1))
    nap 0.05
    look
    return
  fi
  age
  EVIDENCE="running $SUPERVISED $COUNT $AGE"
}

age() {
  now
  AGE=$((NOW - RUN_AT))
  [ "$AGE" -ge 0 ] || AGE=0
}

# pour: sends what the output has beyond OFFSET; POURED says whether there was anything.
pour() {
  POURED=
  [ -e "$D/out" ] || return
  SIZE=$(($(wc -c <"$D/out")))
  while [ "$SIZE" -gt "$OFFSET" ]; do
    POURED=1
    LENGTH=$((SIZE - OFFSET))
    [ "$LENGTH" -le 1048576 ] || LENGTH=1048576
    say "data $OFFSET $LENGTH"
    tail -c "+$((OFFSET + 1))" "$D/out" | head -c "$LENGTH" || exit 0
    printf '\nwhole %s\n' "$NONCE" || exit 0
    OFFSET=$((OFFSET + LENGTH))
  done
}

follow() {
  at
  if ! [ -d "$D" ]; then
    say "evidence nothing its folder is not there"
    return
  fi
  now
  BEGAN=$NOW BEAT=$NOW CHECKED=$NOW STARTED= PAUSE=0.02
  while :; do
    # The end first, the output after it: what is sent before the last word is all there is.
    ENDED=
    if ended; then ENDED=1; fi
    if [ -z "$STARTED" ] && first "$D"/run.*; then
      state_of "$D"
      age
      say "started $AGE"
      STARTED=1
    fi
    # Before the start there is no output.
    [ -z "$STARTED$ENDED" ] || pour
    if [ -n "$ENDED" ]; then
      [ "$EVIDENCE" != failed ] || no_room
      say "evidence $EVIDENCE"
      return
    fi
    now
    if [ $((NOW - BEAT)) -ge 3000 ]; then
      BEAT=$NOW
      if [ -n "$STARTED" ]; then age; say "alive $AGE"; else say "waiting"; fi
    fi
    if [ -z "$STARTED" ]; then
      state_of "$D"
      if [ $((NOW - BEGAN)) -ge 15000 ]; then fail lost "the start was not acknowledged"; fi
    elif [ $((NOW - CHECKED)) -ge 1000 ] && ! { boot_id; [ "$SUP_BOOT" = "$BOOT" ] && alive "$SUP_PID" "$SUP_START"; }; then
      CHECKED=$NOW
      look
      case $EVIDENCE in
      lost*)
        nap 0.3
        pour
        say "evidence $EVIDENCE"
        return
        ;;
      esac
    fi
    if [ -n "$POURED" ]; then
      PAUSE=0.05 QUIET=$NOW
    elif [ -n "$STARTED" ]; then
      case $((NOW - ${QUIET:-$BEGAN})) in
      [0-9] | [0-9][0-9] | [0-4][0-9][0-9]) PAUSE=0.05 ;;
      [0-9][0-9][0-9] | 1???) PAUSE=0.1 ;;
      ????) PAUSE=0.2 ;;
      *) PAUSE=1 ;;
      esac
    else
      # A machine that takes its time over a start is not helped by being asked.
      case $PAUSE in
      0.02) PAUSE=0.05 ;;
      0.05) PAUSE=0.1 ;;
      *) PAUSE=0.2 ;;
      esac
    fi
    nap "$PAUSE"
  done
}

# fence: after it nothing of this job starts that has not started before.
fence() {
  TRIES=0
  while :; do
    mkdir "$D" 2>/dev/null
    mv "$D/ready" "$D/void" 2>/dev/null
    { : >>"$D/void"; } 2>/dev/null && return
    TRIES=$((TRIES + 1))
    [ $TRIES -lt 50 ] || fail disk "cannot write into $D"
  done
}

verb_ask() {
  place
  if [ -n "$FENCE" ]; then
    ready_base
    fence
  fi
  at
  if [ -d "$D" ]; then look; else EVIDENCE="nothing its folder is not there"; fi
  [ "$EVIDENCE" != failed ] || EVIDENCE=never
  say "evidence $EVIDENCE"
}
