# The program that a channel sends: it does one verb and answers in lines and length-framed bytes.
# Set before this text: NONCE, DASHBOARD, COMMAND, JOB, HOST, SPOOL, HERE and what the verb needs.

qd_main() {
  [ $# = 2 ] || exit 0 # a last line that was cut off
  exec </dev/null
  WAS_MASK=$(umask)
  WAS_LOCALE=${LC_ALL-}
  LC_ALL=C
  umask 077
  printf '\nquarterdeck %s\n' "$NONCE"
  session_kind
  case $1 in
  prepare) verb_prepare ;;
  launch) verb_launch ;;
  follow) verb_follow ;;
  stop) verb_stop ;;
  ask) verb_ask ;;
  clear) verb_clear ;;
  retire) verb_retire ;;
  sweep) verb_sweep ;;
  esac
  say "end $NONCE"
}

say() { printf '%s\n' "$*" || exit 0; }

# fail KIND TEXT: the one answer of a verb that cannot do its work.
fail() {
  say "error $*"
  say "end $NONCE"
  exit 0
}

# blob WORDS: the bytes of $BLOB, framed.
blob() {
  say "$* ${#BLOB}"
  printf '%s\n' "$BLOB" || exit 0
  say "whole $NONCE"
}

# --- where things are ---------------------------------------------------------------------------------------

machine_id() {
  MACHINE=
  for FILE in /etc/machine-id /var/lib/dbus/machine-id; do
    [ -n "$MACHINE" ] || { read -r MACHINE <"$FILE"; } 2>/dev/null
  done
  [ -n "$MACHINE" ] || MACHINE=$(ioreg -rd1 -c IOPlatformExpertDevice 2>/dev/null | awk -F'"' '/IOPlatformUUID/ { print $4 }')
  [ -n "$MACHINE" ] || MACHINE=$(uname -n)
  case $MACHINE in *[!A-Za-z0-9._-]*) MACHINE=$(printf %s "$MACHINE" | tr -c 'A-Za-z0-9._-' _) ;; esac
}

# home: HOME_AT, our own home without symlinks; empty where there is none.
home() {
  HOME_AT=$(cd -P "${HOME:-/nonexistent}" 2>/dev/null && [ -O . ] && pwd -P) ||
    HOME_AT=$(eval "cd -P ~$(id -un)" 2>/dev/null && pwd -P)
}

# place: BASE, LOCKS and D, the job's folder. Changes nothing.
place() {
  machine_id
  BASE=$SPOOL
  LOCKS=$SPOOL
  if [ -z "$SPOOL" ] || [ -n "$HERE" ]; then
    home
    USUAL=$HOME_AT/.local/state/quarterdeck/$MACHINE
    if [ -z "$SPOOL" ]; then
      [ -n "$HOME_AT" ] || fail spool "the user $(id -un) has no home folder here; give the host a folder with --spool"
      BASE=$USUAL
      LOCKS=$BASE
    elif [ -n "$HOME_AT" ]; then
      LOCKS=$USUAL
    fi
  fi
  OURS=$BASE/$DASHBOARD
  D=$OURS/$JOB
}

# make FOLDER: makes it where it is missing; WRONG says why it cannot be used.
make() {
  WRONG=
  if ! [ -d "$1" ] && ! WRONG=$(mkdir -p -m 700 "$1" 2>&1); then
    case $WRONG in *'o space left'* | *'uota exceeded'*) KIND=disk ;; *) KIND=spool ;; esac
    return 1
  fi
  KIND=spool
  set -- "$1" "$(id -u)"
  WRONG=$(
    AT=
    IFS=/
    set -f
    set -- "$2" $1
    ME=$1
    shift 2
    unset IFS
    LIST=
    LAST=
    for PART in "$@"; do
      AT=$AT/$PART
      set -- $(ls -ldn "$AT" 2>/dev/null)
      case $1 in
      l*) echo "$AT is a symbolic link; give a folder without one with --spool"; exit ;;
      d???????w[!tT]*) echo "$AT can be written by everybody; chmod o-w it"; exit ;;
      d*) ;;
      *) echo "$AT is no folder"; exit ;;
      esac
    done
    [ "$3" = "$ME" ] || { echo "$AT belongs to user id $3, not to $(id -un); chown it or give another --spool"; exit; }
    case $1 in drwx------*) ;; *) echo "$AT is open to others ($1); chmod 700 it" ;; esac
  )
  [ -z "$WRONG" ]
}

# ready_base: BASE, our subfolder and LOCKS can be used, or the verb fails.
ready_base() {
  make "$BASE" || fail "$KIND" "$WRONG"
  make "$OURS" || fail "$KIND" "$WRONG"
  [ "$LOCKS" = "$BASE" ] || make "$LOCKS" || LOCKS=$BASE
}

at() {
  boot_id
  say "boot $BOOT"
  say "machine $MACHINE"
  say "spool $D"
}

# --- prepare ------------------------------------------------------------------------------------------------

verb_prepare() {
  [ -z "$WANT_FACTS" ] || facts
  if [ -n "$WANT_PLACE" ]; then
    place
    ready_base
    set -- $(df -Pk "$BASE" 2>/dev/null | tail -n 1)
    case ${4-} in '' | *[!0-9]*) ;; *) [ "$4" -ge 256 ] || fail disk "$BASE has $4 KiB left" ;; esac
    at
  fi
  [ -z "$WANT_CHECK" ] || pre_check
}

facts() {
  say "fact kernel $(uname -s)"
  OS=
  if [ -r /etc/os-release ]; then OS=$(. /etc/os-release 2>/dev/null && printf %s "${PRETTY_NAME-}" | tr '\n' ' '); fi
  [ -n "$OS" ] || OS="$(sw_vers -productName 2>/dev/null) $(sw_vers -productVersion 2>/dev/null)"
  [ "$OS" != ' ' ] || OS=$(uname -sr)
  say "fact os $OS"
  boot_id
  machine_id
  say "fact boot $BOOT"
  say "fact machine $MACHINE"
  if { read -r UP _ </proc/uptime; } 2>/dev/null; then
    say "fact uptime ${UP%.*}"
  else
    UP=$(sysctl -n kern.boottime 2>/dev/null | sed 's/.*sec = \([0-9]*\).*/\1/')
    [ -z "$UP" ] || say "fact uptime $(($(date +%s) - UP))"
  fi
  say "fact clock $(date +%s)"
  say "fact user $(id -un)"
  set -- $(df -Pk / 2>/dev/null | tail -n 1)
  case ${5-} in *%) say "fact disk ${5%\%}" ;; esac
  if [ -e /run/reboot-required ] || [ -e /var/run/reboot-required ]; then
    say "fact reboot 1"
  elif [ -e /run/booted-system/kernel ] &&
    [ "$(readlink -f /run/booted-system/kernel)" != "$(readlink -f /run/current-system/kernel)" ]; then
    say "fact reboot 1"
  fi
}

pre_check() {
  now
  BEGAN=$NOW
  BLOB=$(checked 2>&1 | tail -c 4000)
  CODE=${BLOB##*
}
  BLOB=${BLOB%
*}
  blob "check $CODE"
}

# checked: what the check writes, then its code on a line of its own.
checked() {
  # It reads its text from a pipe, so that this is neither in a file nor in a list of processes.
  checker 3<<QD_TEXT &
$P_CHECK
QD_TEXT
  CHECKER=$!
  timer "$CHECK_LIMIT" end_check "$CHECKER"
  while :; do
    wait "$CHECKER"
    CODE=$?
    [ $CODE -gt 128 ] && kill -0 "$CHECKER" 2>/dev/null || break
  done
  now
  kill "$TIMER" 2>/dev/null
  if [ $CODE -gt 128 ] && [ $((NOW - BEGAN)) -ge $((CHECK_LIMIT * 1000 - 50)) ]; then
    CODE=124
    printf '\nthe check was stopped: its time (%s s) was up\n' "$CHECK_LIMIT"
  fi
  printf '\n%s' "$CODE"
}

checker() {
  umask "$WAS_MASK"
  if [ -n "$WAS_LOCALE" ]; then LC_ALL=$WAS_LOCALE; else unset LC_ALL; fi
  QD_COMMAND=$COMMAND QD_HOST=$HOST
  export QD_COMMAND QD_HOST
  cd "$HOME" 2>/dev/null || cd /
  in_session /bin/sh -c 'qd=$(cat <&3); exec 3<&-; eval "unset qd; $qd"' check </dev/null
}

end_check() {
  kill -TERM "-$1" || kill -TERM "$1"
  sleep 1
  kill -KILL "-$1" || kill -KILL "$1"
}

# --- launch -------------------------------------------------------------------------------------------------

verb_launch() {
  place
  ready_base
  if WRONG=$(mkdir "$D" 2>&1); then
    write_job
    start_supervisor
  elif ! [ -d "$D" ]; then
    case $WRONG in
    *'o space left'* | *'uota exceeded'*) fail disk "$WRONG" ;;
    *) fail spool "$WRONG" ;;
    esac
  fi
  OFFSET=0
  follow
}

# put FILE TEXT BYTES: writes a file whole, or there is no room.
put() {
  printf %s "$2" >"$D/$1" 2>/dev/null
  [ "$(($(wc -c <"$D/$1")))" = "$3" ] || no_room
}

# Nothing runs and nothing stays but the fence, which a launch that arrives later must meet.
no_room() {
  for FILE in "$D"/*; do
    case $FILE in */void) ;; *) rm -f "$FILE" ;; esac
  done
  : >"$D/void" || rmdir "$D"
  fail disk "$(df -Pk "$BASE" 2>/dev/null | awk 'NR > 1 { print $6 " has " $4 " KiB left" }')"
}

write_job() {
  case $WAS_LOCALE in
  '' | *[!A-Za-z0-9._@-]*) AROUND="umask $WAS_MASK; unset LC_ALL" ;;
  *) AROUND="umask $WAS_MASK; LC_ALL=$WAS_LOCALE; export LC_ALL" ;;
  esac
  quote "$LOCKS"
  LIMITS="LIMIT=$OUTPUT_LIMIT TIMEOUT_MS=$TIMEOUT_MS OWNER=$DASHBOARD/$JOB JOB=$JOB LOCKS=$QUOTED"
  {
    put around "$AROUND" ${#AROUND}
    put limits "$LIMITS" ${#LIMITS}
    put env "$P_ENV" "$N_ENV"
    put super "$P_SUPER" "$N_SUPER"
    put script "$P_SCRIPT" "$N_SCRIPT"
    [ -z "$N_CHECK" ] || put script.check "$P_CHECK" "$N_CHECK"
    for FILE in out state whole nostop nocheck ready; do
      : >"$D/$FILE" || no_room
    done
  } 2>/dev/null
}

# quote TEXT: QUOTED, in single quotes.
quote() { QUOTED=\'$(printf %s "$1" | sed "s/'/'\\\\''/g")\'; }

start_supervisor() {
  set -- /bin/sh "$D/super" supervise "$D"
  case $SESSION in
  setsid)
    # With -f nothing is put in the background by a shell, which would make the job ignore INT and QUIT.
    if ! setsid -f "$@" </dev/null >/dev/null 2>&1; then
      setsid "$@" </dev/null >/dev/null 2>&1 &
    fi
    ;;
  perl)
    perl -e 'use POSIX; fork and exit 0; POSIX::setsid(); exec { $ARGV[0] } @ARGV or exit 127' "$@" \
      </dev/null >/dev/null 2>&1
    ;;
  *) nohup "$@" </dev/null >/dev/null 2>&1 & ;;
  esac
}

# --- follow -------------------------------------------------------------------------------------------------

verb_follow() {
  place
  follow
}

# ended: the job has come to an end that its folder shows; EVIDENCE is the line for it.
ended() {
  if first "$D"/exit.*; then
    EVIDENCE="exit $(printf %s "${FOUND##*/exit.}" | tr . ' ')"
  elif first "$D/done"; then
    EVIDENCE="done"
  elif first "$D"/busy.*; then
    EVIDENCE="locked $(printf %s "${FOUND##*/busy.}" | sed 's,+,/,')"
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
    pour
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
      [0-9] | [0-9][0-9] | [0-9][0-9][0-9] | 1???) PAUSE=0.05 ;;
      ????) PAUSE=0.2 ;;
      *) PAUSE=1 ;;
      esac
    fi
    nap "$PAUSE"
  done
}

# --- ask ----------------------------------------------------------------------------------------------------

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

# --- stop ---------------------------------------------------------------------------------------------------

step() { say "step $*"; }

verb_stop() {
  place
  ready_base
  [ -d "$D" ] || { fence; step "it was not there; fenced, so that it never starts"; }
  if first "$D"/exit.*; then
    case $FOUND in
    *.-.whole | *.-.cut)
      step "it had ended before"
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
    case $PGRP in "$RUN_PID" | "${CHECK_PID:-none}") [ "$(id -u)" != 0 ] || continue ;; esac
    if ! WRONG=$(kill -s "$1" "$PID" 2>&1); then
      case $WRONG in *ermitted*) step "$1 to process $PID ($NAME) was not permitted" ;; esac
    elif [ "$PGRP" != "$RUN_PID" ] && [ "$PGRP" != "$CHECK_PID" ]; then
      step "$1 to process $PID ($NAME) outside of the group"
    fi
  done
}

# --- after the end ------------------------------------------------------------------------------------------

verb_clear() {
  place
  ready_base
  mkdir "$D" 2>/dev/null
  empty "$D" || fail disk "cannot write into $D"
}

# empty FOLDER: down to its marker, which a launch that arrives later must meet.
empty() {
  { : >>"$1/done"; } 2>/dev/null || return 1
  for FILE in "$1"/*; do
    case $FILE in */done) ;; *) rm -f "$FILE" ;; esac
  done
}

verb_retire() {
  place
  ready_base
  mkdir "$D" 2>/dev/null
  { : >>"$D/done"; } 2>/dev/null || mv "$D/nocheck" "$D/done" 2>/dev/null || fail disk "cannot write into $D"
}

verb_sweep() {
  place
  SWEPT=0
  [ -d "$OURS" ] || { say "swept 0"; return; }
  make "$OURS" || fail "$KIND" "$WRONG"
  for D in $(cd "$OURS" && find . ! -name . -prune -type d -mtime +6 2>/dev/null); do
    D=$OURS/${D#./}
    case ${D##*/} in *[!0-9a-f.-]*) continue ;; esac
    if [ -e "$D/out" ] && { first "$D"/exit.* || first "$D/done"; }; then
      # A marker stays behind.
      empty "$D" && SWEPT=$((SWEPT + 1))
    elif first "$D"/exit.* || first "$D/done" || { first "$D/void" && ! first "$D"/run.*; }; then
      [ -n "$(find "$D" -prune -mtime +89 2>/dev/null)" ] || continue
      rm -rf "$D" && SWEPT=$((SWEPT + 1))
    fi
  done
  say "swept $SWEPT"
}
