# The program that stays with a job on its host, kept in the job's folder as `super`. Two ways in:
# `supervise`, in a session of its own, and `command`, which becomes the op's script in another one.
# It knows its folder and nothing of the connection that started it.

job_main() {
  LC_ALL=C
  umask 077
  D=$2
  cd "$D" || exit 1
  case $1 in
  supervise) supervise ;;
  command) command_session ;;
  check) check_session ;;
  esac
}

supervise() {
  trap : HUP INT TERM USR1 PIPE
  boot_id
  stat_of $$ || exit 1
  printf '%s %s %s\n' "$$" "$START" "$BOOT" >sup.new 2>/dev/null
  { read -r SUP_PID SUP_START SUP_BOOT <sup.new; } 2>/dev/null
  if [ "$SUP_PID $SUP_START $SUP_BOOT" != "$$ $START $BOOT" ] || ! mv -f sup.new sup; then
    mv -f state failed.disk
    exit 1
  fi
  mkfifo pipe 2>/dev/null || { mv -f state failed.disk; exit 1; }
  . ./limits
  exec 3<>pipe 5<pipe
  copier &
  COPIER=$!
  exec 4>pipe 3>&- 5<&-
  ( in_session /bin/sh "$D/super" command "$D" ) </dev/null >&4 2>&4 4>&-
  CODE=$?
  if ! first run.*; then
    # Locked, fenced, or no room for the lock: nothing ran.
    exec 4>&-
    first busy.* || first void || first never.* || mv -f state failed.disk
    exit 0
  fi
  state_of .
  CHECK=-
  if [ "$CODE" = 0 ] && [ -e script.check ] && ! first stop.*; then check_within; fi
  exec 4>&-
  drained
  now
  MS=$((NOW - RUN_AT))
  [ "$MS" -ge 0 ] || MS=0
  state_of .
  LIVING=$(members)
  count "$LIVING"
  STOP=-
  if first stop.*; then STOP=${FOUND#stop.}; fi
  if [ -e whole ]; then CUT=whole; else CUT=cut; fi
  mv -f state "exit.$CODE.$CHECK.$MS.$COUNT.$STOP.$CUT"
}

# The post-check has what is left of the op's time; when that is up, the op's time is up.
check_within() {
  LEFT=0
  if [ "$TIMEOUT_MS" -gt 0 ]; then
    now
    LEFT=$(((TIMEOUT_MS - NOW + RUN_AT + 999) / 1000))
    if [ "$LEFT" -lt 1 ]; then
      time_is_up
      CHECK=124
      return
    fi
    timer "$LEFT" time_is_up
  fi
  ( in_session /bin/sh "$D/super" check "$D" ) </dev/null >&4 2>&4 4>&-
  CHECK=$?
  [ "$LEFT" = 0 ] || kill "$TIMER" 2>/dev/null
  if first stop.timeout; then CHECK=124; fi
}

time_is_up() {
  mv -f nostop stop.timeout
  state_of .
  [ -n "$CHECK_PID" ] || return
  group_of "$CHECK_PID" "$CHECK_START"
  [ -n "$GROUP" ] || return
  kill -TERM "-$GROUP"
  sleep 2
  group_of "$CHECK_PID" "$CHECK_START"
  [ -z "$GROUP" ] || kill -KILL "-$GROUP"
}

# Appends the pipe to `out` up to the limit or the end of the disk, then lets it flow to nowhere.
# TERM makes it stop appending at once and leave a drain behind, so that what still writes gets no SIGPIPE.
copier() {
  exec 3>&-
  WRITER= LATE=
  trap 'LATE=1; [ -z "$WRITER" ] || kill -KILL "$WRITER"' TERM
  ulimit -c 0
  (ulimit -f 1 && printf '%01024d' 0 >probe) 2>/dev/null
  UNIT=$(($(wc -c <probe)))
  rm -f probe
  [ "$UNIT" = 1024 ] || UNIT=512
  (
    trap - TERM
    ulimit -f $(((LIMIT + UNIT - 1) / UNIT))
    exec cat
  ) <&5 >>out 2>/dev/null &
  WRITER=$!
  wait "$WRITER"
  WROTE=$?
  [ -z "$LATE" ] || wait "$WRITER"
  [ "$WROTE" != 0 ] || exit 0
  [ -n "$LATE" ] || mv -f whole cut
  trap 'exit 0' TERM
  cat <&5 >/dev/null 2>&1 &
  [ -n "$LATE" ] || wait "$!"
  exit 0
}

# Waits until the copier has everything, but no longer than 2 s for what something left behind may still write.
drained() {
  LATE=
  trap 'LATE=1' USR1
  timer 2 too_late
  while :; do
    wait "$COPIER"
    [ $? -gt 128 ] && kill -0 "$COPIER" 2>/dev/null || break
    [ -z "$LATE" ] || kill -TERM "$COPIER" 2>/dev/null
    LATE=
  done
  kill "$TIMER" 2>/dev/null
}

too_late() {
  while kill -USR1 $$; do sleep 1; done
}

# Takes the lock, claims the start, looks for the fence, and only then becomes the script.
command_session() {
  . ./limits
  { read -r SUP_PID SUP_START SUP_BOOT <sup; } 2>/dev/null
  stat_of $$ || exit 75
  MY_START=$START
  take_lock 2>/dev/null # the op's output is the op's
  case $? in
  0) ;;
  1) mv -f ready "busy.$HOLDER"; exit 75 ;;
  *) exit 75 ;;
  esac
  # Fenced before it could start: then no start shows, not even for a moment.
  [ ! -e void ] || exit 75
  now
  mv ready "run.$$.$MY_START.$NOW" 2>/dev/null || exit 75
  if [ -e void ]; then
    mv -f "run.$$.$MY_START.$NOW" "never.$$"
    exit 75
  fi
  set -- "$D/script" # the op's own variables may have the names of ours
  surround
  exec /bin/sh "$1"
}

check_session() {
  stat_of $$ || exit 75
  mv -f nocheck "check.$$.$START"
  set -- "$D/script.check"
  surround
  exec /bin/sh "$1"
}

# The environment, mask and folder that the script would have had without us.
surround() {
  . ./env
  . ./around
  cd "$HOME" 2>/dev/null || cd /
}

# take_lock: 0 ours; 1 held, HOLDER names it; 2 could not be written. A lock is a file `lock.N` with its whole
# content from its first instant; the highest N counts. It is given back by the job's end, not by its removal.
take_lock() {
  MINE=$LOCKS/new.$JOB.$$
  CONTENT="$OWNER $SUP_BOOT $$ $MY_START $SUP_PID $SUP_START $D"
  # For the reader who is kept out: which op, and since when by this host's clock.
  ABOUT="${OP:--} $(date +%s)"
  printf '%s\n%s\n' "$CONTENT" "$ABOUT" >"$MINE" 2>/dev/null
  IS= ALSO=
  { read -r IS && read -r ALSO; } <"$MINE" 2>/dev/null
  [ "$IS $ALSO" = "$CONTENT $ABOUT" ] || { rm -f "$MINE"; return 2; }
  TRIES=0
  while [ $TRIES -lt 200 ]; do
    TRIES=$((TRIES + 1))
    highest
    if [ "$TOP" -gt 0 ] && held "$LOCKS/lock.$TOP"; then
      rm -f "$MINE"
      return 1
    fi
    NEXT=$((TOP + 1))
    ln "$MINE" "$LOCKS/lock.$NEXT" 2>/dev/null || { [ -e "$LOCKS/lock.$NEXT" ] || TRIES=$((TRIES + 40)); continue; }
    highest
    if [ "$TOP" != "$NEXT" ]; then
      rm -f "$LOCKS/lock.$NEXT"
      continue
    fi
    # One predecessor stays, so that whoever reads the folder meanwhile never sees it without a lock.
    for OLD in "$LOCKS"/lock.*; do
      [ "${OLD##*.}" -ge $((NEXT - 1)) ] || set -- "$@" "$OLD"
    done
    rm -f "$MINE" "$@"
    return 0
  done
  rm -f "$MINE"
  return 2
}

highest() {
  TOP=0
  for OLD in "$LOCKS"/lock.*; do
    case ${OLD##*/lock.} in *[!0-9]* | '') continue ;; esac
    [ "${OLD##*.}" -le "$TOP" ] || TOP=${OLD##*.}
  done
}

# held FILE: its job may still be alive. A file that vanished was not the highest: look again.
held() {
  HOLDER= L_BOOT= L_ABOUT=
  { read -r HOLDER L_BOOT L_PID L_START L_SUP L_SUP_START L_FOLDER && read -r L_ABOUT; } <"$1" 2>/dev/null
  [ -n "$L_BOOT" ] || return 1
  HOLDER=${HOLDER%%/*}+${HOLDER#*/}${L_ABOUT:+ $L_ABOUT}
  words "$HOLDER" ' ' +
  HOLDER=$WORDS
  boot_id
  [ "$L_BOOT" = "$BOOT" ] || return 1
  if first "$L_FOLDER"/exit.* || first "$L_FOLDER/done" || first "$L_FOLDER"/never.*; then return 1; fi
  # A fence without a start behind it: that job never starts, though its processes may take a moment to see it.
  if [ -e "$L_FOLDER/void" ] && ! first "$L_FOLDER"/run.*; then return 1; fi
  if alive "$L_SUP" "$L_SUP_START"; then return 0; fi
  SUP_KEEP=$SUP_BOOT
  SUP_BOOT=$BOOT RUN_PID=$L_PID RUN_START=$L_START CHECK_PID= CHECK_START=
  if first "$L_FOLDER"/check.*; then
    FOUND=${FOUND##*/check.}
    CHECK_PID=${FOUND%%.*} CHECK_START=${FOUND#*.}
  fi
  LIVING=$(members)
  SUP_BOOT=$SUP_KEEP
  [ -n "$LIVING" ]
}
