# The program that a channel sends: it does one verb and answers in lines and length-framed bytes.
# Set before this text: NONCE, DASHBOARD, COMMAND, JOB, HOST, SPOOL, HERE and what the verb needs.

qd_main() {
  [ $# = 2 ] || exit 0 # a last line that was cut off
  exec </dev/null
  WAS_MASK=$(umask)
  WAS_LOCALE=${LC_ALL-}
  LC_ALL=C
  umask 077
  OUR_UID=
  printf '\nquarterdeck %s\n' "$NONCE"
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

machine_id() {
  MACHINE=
  for FILE in /etc/machine-id /var/lib/dbus/machine-id; do
    [ -n "$MACHINE" ] || { read -r MACHINE <"$FILE"; } 2>/dev/null
  done
  [ -n "$MACHINE" ] || MACHINE=$(ioreg -rd1 -c IOPlatformExpertDevice 2>/dev/null | awk -F'"' '/IOPlatformUUID/ { print $4 }')
  [ -n "$MACHINE" ] || MACHINE=$(uname -n)
  case $MACHINE in *[!A-Za-z0-9._-]*) MACHINE=$(printf %s "$MACHINE" | tr -c 'A-Za-z0-9._-' _) ;; esac
}

# home: HOME_AT, the account's own home without symlinks, whatever HOME says: two dashboards of one account must come
# to the same place. Empty where the account has none.
home() {
  [ -n "$OUR_UID" ] || OUR_UID=$(id -u)
  HOME_AT=$(getent passwd "$OUR_UID" 2>/dev/null)
  case $HOME_AT in
  *:*:*:*:*:*:*)
    HOME_AT=${HOME_AT%%
*}
    HOME_AT=${HOME_AT%:*}
    HOME_AT=${HOME_AT##*:}
    ;;
  *)
    LOGIN=$(id -un 2>/dev/null)
    case $LOGIN in
    '' | *[!A-Za-z0-9._-]* | [!A-Za-z_]*) HOME_AT= ;;
    *) HOME_AT=$(eval "printf %s ~$LOGIN") ;;
    esac
    ;;
  esac
  case $HOME_AT in /*) HOME_AT=$(cd -P "$HOME_AT" 2>/dev/null && pwd -P) ;; *) HOME_AT= ;; esac
}

# place: BASE, LOCKS and D, the job's folder. Changes nothing.
place() {
  machine_id
  BASE=$SPOOL
  LOCKS=$SPOOL
  if [ -z "$SPOOL" ] || [ -n "$HERE" ]; then
    home
    LOCKS=${HOME_AT%/}/.local/state/quarterdeck/$MACHINE
    if [ -z "$SPOOL" ]; then
      [ -n "$HOME_AT" ] || fail spool "the user $(id -un) has no home folder here; give the host a folder with --spool"
      BASE=$LOCKS
    fi
  fi
  OURS=$BASE/$DASHBOARD
  D=$OURS/$JOB
}

# make FOLDER: makes it where it is missing; WRONG says why it cannot be had.
make() {
  WRONG= KIND=spool
  [ -d "$1" ] || WRONG=$(mkdir -p -m 700 "$1" 2>&1) || {
    case $WRONG in *'o space left'* | *'uota exceeded'*) KIND=disk ;; esac
    return 1
  }
}

# trusted FOLDER N: no link and nothing that everybody may write is on the way to it, and the last N parts of its
# path are ours alone; else WRONG says what is to be done. One `ls` for all of it.
trusted() {
  [ -n "$OUR_UID" ] || OUR_UID=$(id -u)
  WRONG=$(
    ALONE=$2 AT=
    set -f
    IFS=/
    set -- $1
    unset IFS
    for PART in "$@"; do
      shift
      [ -n "$PART" ] || continue
      AT=$AT/$PART
      set -- "$@" "$AT"
    done
    while read -r MODE _ OWNER _; do
      case $MODE in
      l*) echo "$1 is a symbolic link; give a folder without one with --spool"; exit ;;
      d???????w[!tT]*) echo "$1 can be written by everybody; chmod o-w it"; exit ;;
      d*) ;;
      *) break ;;
      esac
      if [ $# -le "$ALONE" ]; then
        [ "$OWNER" = "$OUR_UID" ] || { echo "$1 belongs to user id $OWNER, not to $(id -un); chown it or give another --spool"; exit; }
        case $MODE in drwx------*) ;; *) echo "$1 is open to others ($MODE); chmod 700 it"; exit ;; esac
      fi
      shift
    done <<QD_LIST
$(ls -ldn "$@" 2>/dev/null)
QD_LIST
    [ $# = 0 ] || echo "$1 is no folder"
  )
  KIND=spool
  [ -z "$WRONG" ]
}

# ready_base: BASE, our subfolder and LOCKS can be used, or the verb fails.
ready_base() {
  # Nothing is made in a folder that was not looked at.
  [ -d "$OURS" ] || { make "$BASE" && trusted "$BASE" 1 && make "$OURS"; } || fail "$KIND" "$WRONG"
  trusted "$OURS" 2 || fail "$KIND" "$WRONG"
  [ "$LOCKS" != "$BASE" ] || return 0
  HELP='jobs.local_spool can name another folder, the same for every dashboard of this account'
  [ -n "$HOME_AT" ] || fail spool "the user $(id -un) has no home folder for the lock of this machine; $HELP"
  make "$LOCKS" && trusted "$LOCKS" 1 || fail "$KIND" "the lock of this machine cannot be kept: $WRONG; $HELP"
}

at() {
  boot_id
  say "boot $BOOT"
  say "machine $MACHINE"
  say "spool $D"
}
