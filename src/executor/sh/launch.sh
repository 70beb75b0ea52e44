# The verb that starts a job: claims its folder, writes it, and leaves it to its supervisor.

verb_launch() {
  place
  ready_base
  outlive
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

# put FILE TEXT BYTES: writes a file; MADE and SIZES are what `whole_sizes` looks at.
put() {
  printf %s "$2" >"$D/$1" || no_room
  MADE="$MADE $1" SIZES="$SIZES $3"
}

# whole_sizes: every file that was put has the size that it should have, or there was no room.
whole_sizes() {
  FOUND=
  while read -r SIZE NAME; do
    case $NAME in total) ;; *) FOUND="$FOUND $SIZE" ;; esac
  done <<QD_SIZES
$(cd "$D" && wc -c $MADE)
QD_SIZES
  [ "$FOUND" = "$SIZES" ] || no_room
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
  session_kind
  MADE= SIZES=
  case $OP in '' | *[!A-Za-z0-9._-]*) OP=- ;; esac
  LIMITS="SESSION=$SESSION LIMIT=$OUTPUT_LIMIT TIMEOUT_MS=$TIMEOUT_MS OWNER=$DASHBOARD/$JOB JOB=$JOB OP=$OP LOCKS=$QUOTED"
  {
    put around "$AROUND" ${#AROUND}
    put limits "$LIMITS" ${#LIMITS}
    put env "$P_ENV" "$N_ENV"
    put super "$P_SUPER" "$N_SUPER"
    put script "$P_SCRIPT" "$N_SCRIPT"
    [ -z "$N_CHECK" ] || put script.check "$P_CHECK" "$N_CHECK"
    whole_sizes
    for FILE in out state whole nostop nocheck ready; do
      : >"$D/$FILE" || no_room
    done
  } 2>/dev/null
}

# quote TEXT: QUOTED, in single quotes.
quote() {
  case $1 in
  *\'*) QUOTED=\'$(printf %s "$1" | sed "s/'/'\\\\''/g")\' ;;
  *) QUOTED="'$1'" ;;
  esac
}

# outlive: SCOPE, the words that keep logind from ending the job with the session that started it.
outlive() {
  SCOPE=
  [ -d /run/systemd/system ] || return
  case $(cat /proc/self/cgroup 2>/dev/null) in
  */user-0.slice/*) return ;;
  */user-*.slice/session-*) ;;
  *) return ;;
  esac
  [ "$(loginctl show-session -p KillUserProcesses --value 2>/dev/null)" = yes ] || return
  SCOPE='systemd-run --scope --collect --quiet'
  [ "$(id -u)" != 0 ] || return
  SCOPE="$SCOPE --user"
  USER_NAME=$(id -un)
  [ -e "/var/lib/systemd/linger/$USER_NAME" ] ||
    fail scope "logind ends what $USER_NAME leaves running (KillUserProcesses=yes); allow it: loginctl enable-linger $USER_NAME"
  : "${XDG_RUNTIME_DIR:=/run/user/$(id -u)}"
  export XDG_RUNTIME_DIR
}

start_supervisor() {
  set -- $SCOPE /bin/sh "$D/super" supervise "$D"
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
