# What the channel's program and the supervisor share: clocks, boot and machine ids, processes, states of a job.
# Functions answer in variables (NOW, BOOT, ...) where a subshell would cost a fork per look.

# NOW: milliseconds of a clock that only goes forward where there is one.
now() {
  if { read -r NOW _ </proc/uptime; } 2>/dev/null; then
    NOW=${NOW%.*}${NOW#*.}0
    while :; do case $NOW in 0?*) NOW=${NOW#0} ;; *) break ;; esac; done
  else
    NOW=$(date +%s)000
  fi
}

# nap SECONDS: a fraction where this sleep takes one.
nap() { sleep "$1" 2>/dev/null || sleep 1; }

# stat_of PID: STATE, PGRP, SESS and START of a process; false where there is none.
stat_of() {
  if [ -r /proc/self/stat ]; then
    { read -r LINE <"/proc/$1/stat"; } 2>/dev/null || return 1
    case $LINE in *') '*) ;; *) LINE=$(cat "/proc/$1/stat" 2>/dev/null) || return 1 ;; esac
    set -- ${LINE##*) }
    [ $# -ge 20 ] || return 1
    STATE=$1 PGRP=$3 SESS=$4 START=${20}
  else
    set -- $(ps -o stat= -o pgid= -o sess= -o lstart= -p "$1" 2>/dev/null)
    [ $# -ge 8 ] || return 1
    STATE=$1 PGRP=$2 SESS=$3
    shift 3
    START=$(printf %s "$*" | tr ' :' '__')
  fi
}

# alive PID START: that very process, and no zombie.
alive() {
  stat_of "$1" || return 1
  [ "$START" = "$2" ] || return 1
  case $STATE in [ZX]*) return 1 ;; esac
}

# procs: every process as "pid state group session start name".
procs() {
  if [ -r /proc/self/stat ]; then
    cat /proc/[0-9]*/stat 2>/dev/null | awk '{
      if (!match($0, /.*\) /)) next
      n = split(substr($0, RLENGTH + 1), f, " ")
      name = substr($0, 1, RLENGTH - 2); sub(/^[^(]*\(/, "", name)
      if (n >= 20) print $1 + 0, f[1], f[3], f[4], f[20], name
    }'
  else
    ps -A -o pid= -o stat= -o pgid= -o sess= -o lstart= -o comm= 2>/dev/null |
      awk '{ s = $5 "_" $6 "_" $7 "_" $8 "_" $9; gsub(/:/, "_", s); print $1, $2, $3, $4, s, $10 }'
  fi
}

# boot_id: BOOT, which differs after every boot and never within one.
boot_id() {
  if { read -r BOOT </proc/sys/kernel/random/boot_id; } 2>/dev/null; then
    if stat_of 1; then BOOT=$BOOT:$START; else BOOT=$BOOT:0; fi
  else
    BOOT=$(sysctl -n kern.bootsessionuuid 2>/dev/null) || BOOT=unknown
  fi
}

# first FILE: FOUND is the first name of a pattern that exists, false where there is none.
first() {
  FOUND=$1
  [ -e "$1" ]
}

# words TEXT SIGN [OTHER]: WORDS is the text with a blank, or OTHER, for every SIGN.
words() {
  WORDS=$1
  while :; do
    case $WORDS in *"$2"*) WORDS=${WORDS%%"$2"*}${3:- }${WORDS#*"$2"} ;; *) break ;; esac
  done
}

# state_of FOLDER: reads what its files' names say: RUN_PID RUN_START RUN_AT, CHECK_PID CHECK_START, SUP_*.
state_of() {
  RUN_PID= RUN_START= RUN_AT= CHECK_PID= CHECK_START= SUP_PID= SUP_START= SUP_BOOT=
  if first "$1"/run.*; then
    FOUND=${FOUND##*/run.}
    RUN_PID=${FOUND%%.*} FOUND=${FOUND#*.}
    RUN_START=${FOUND%%.*} RUN_AT=${FOUND#*.}
  fi
  if first "$1"/check.*; then
    FOUND=${FOUND##*/check.}
    CHECK_PID=${FOUND%%.*} CHECK_START=${FOUND#*.}
  fi
  if [ -e "$1/sup" ]; then { read -r SUP_PID SUP_START SUP_BOOT <"$1/sup"; } 2>/dev/null; fi
}

# group_of PID START: GROUP is PID where that can still be the job's group, else empty. A pid is not given
# again while it names a group, so a leader with another start time proves that the old group is gone.
group_of() {
  GROUP=
  case $1 in '' | 0 | 1 | *[!0-9]*) return ;; esac
  if stat_of "$1" && [ "$START" != "$2" ]; then return; fi
  GROUP=$1
}

# members: the living processes of the command's groups and sessions as "pid start name" (after state_of).
# Another boot has none. With `whole`, a session outlives its empty group.
members() {
  boot_id
  [ "$SUP_BOOT" = "$BOOT" ] || return 0
  group_of "$RUN_PID" "$RUN_START"
  MEMBER_A=$GROUP
  group_of "$CHECK_PID" "$CHECK_START"
  MEMBER_B=$GROUP
  [ -n "$MEMBER_A$MEMBER_B" ] || return 0
  [ "$1" = whole ] || { nobody "$MEMBER_A" && nobody "$MEMBER_B" && return 0; }
  procs | awk -v a="${MEMBER_A:--1}" -v b="${MEMBER_B:--1}" '
    $2 !~ /^[ZX]/ && ($1 == a || $3 == a || $4 == a || $1 == b || $3 == b || $4 == b) { print $1, $5, $6 }'
}

# nobody PID: the kernel says, without a look at every process, that neither it nor a group of that number exists.
nobody() {
  [ -n "$1" ] || return 0
  if [ -e "/proc/$1" ]; then return 1; fi
  case $(kill -0 "-$1" 2>&1 || echo none) in *'o such process'*none) ;; *) return 1 ;; esac
}

# count LINES: COUNT of the lines in a text.
count() {
  COUNT=0
  [ -z "$1" ] || COUNT=$(($(printf '%s\n' "$1" | wc -l)))
}

# session_kind: SESSION is how a session of its own can be made here.
session_kind() {
  if setsid true 2>/dev/null; then
    SESSION=setsid
  elif perl -e 'use POSIX' 2>/dev/null; then
    SESSION=perl
  else
    SESSION=nohup
  fi
}

# in_session WORDS: becomes WORDS in a session of its own; call it in a subshell.
in_session() {
  case $SESSION in
  setsid) exec setsid "$@" ;;
  perl) exec perl -e 'use POSIX; POSIX::setsid(); exec { $ARGV[0] } @ARGV or exit 127' "$@" ;;
  *) exec nohup "$@" ;;
  esac
}

# timer SECONDS WORDS: runs WORDS then, unless `kill $TIMER` comes first (which leaves no sleep behind).
timer() {
  (
    SLEEPER=
    trap '[ -z "$SLEEPER" ] || kill "$SLEEPER" 2>/dev/null; exit 0' TERM
    sleep "$1" &
    SLEEPER=$!
    wait "$SLEEPER"
    SLEEPER=
    shift
    "$@"
  ) >/dev/null 2>&1 3>&- 4>&- 5>&- 6>&- &
  TIMER=$!
}
