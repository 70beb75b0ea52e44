# The verb that looks: facts of the host, the place where a job will live, and a check that only reads.

verb_prepare() {
  [ -z "$WANT_FACTS" ] || facts
  if [ -n "$WANT_PLACE" ]; then
    place
    ready_base
    set -- $(df -Pk "$BASE" 2>/dev/null)
    [ $# -lt 6 ] || shift $(($# - 6))
    case ${4-} in '' | *[!0-9]*) ;; *) [ "$4" -ge 256 ] || fail disk "$BASE has $4 KiB left" ;; esac
    at
  fi
  [ -z "$WANT_CHECK" ] || pre_check
}

facts() {
  KERNEL=
  { read -r KERNEL </proc/sys/kernel/ostype; } 2>/dev/null
  say "fact kernel ${KERNEL:-$(uname -s)}"
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
  set -- $(df -Pk / 2>/dev/null)
  [ $# -lt 6 ] || shift $(($# - 6))
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
  # Beside what is kept of its text, its code goes straight to the asker.
  { BLOB=$(checked 2>&1 | relayed | tail -c 4000); } 6>&1
  blob "check -"
}

# relayed: what `checked` writes, until it has ended; what the check left in the background may hold the pipe longer.
relayed() {
  read -r LEFT
  stat_of "$LEFT" || START=
  LEFT_START=$START
  exec 7<&0
  cat <&7 6>&- &
  COPY=$!
  exec 7<&-
  while alive "$LEFT" "$LEFT_START" && alive_copy; do nap 0.05; done
  # What it wrote last is in the pipe: a moment for it, no longer.
  for _ in 1 2 3 4 5; do
    alive_copy || break
    nap 0.1
  done
  kill "$COPY" 2>/dev/null
  wait "$COPY"
} 2>/dev/null

alive_copy() {
  stat_of "$COPY" || return 1
  case $STATE in [ZX]*) return 1 ;; esac
}

# checked: its own pid, then what the check writes; its code goes to 6.
checked() {
  /bin/sh -c 'echo $PPID'
  LATE=
  # It reads its text from a pipe, so that this is neither in a file nor in a list of processes.
  checker 6>&- 3<<QD_TEXT &
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
    LATE=1
  fi
  printf 'checked %s\n' "$CODE" >&6
  [ -z "$LATE" ] || printf '\nthe check was stopped: its time (%s s) was up\n' "$CHECK_LIMIT"
}

checker() {
  session_kind
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
