# What happens to a folder when its outcome is committed, and when it is old.

verb_clear() {
  place
  ready_base
  [ -d "$D" ] || mkdir "$D" 2>/dev/null
  empty "$D" || fail disk "cannot write into $D"
}

# empty FOLDER: down to its marker, which a launch that arrives later must meet.
empty() {
  { : >>"$1/done"; } 2>/dev/null || return 1
  for FILE in "$1"/*; do
    case $FILE in */done) ;; *) set -- "$@" "$FILE" ;; esac
  done
  shift
  rm -f "$@"
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
  trusted "$OURS" 2 || fail "$KIND" "$WRONG"
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
